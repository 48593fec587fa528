// Package plugin holds the commands of kubectl okteto: one file per command.
// A command turns flags into plain arguments and calls a package below; cobra
// stops here.
package plugin

import (
	"context"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
)

// Main runs the command line args, whose first element is the program's name,
// and returns the process's exit code.
func Main(ctx context.Context, args []string, env func(string) (string, bool), streams genericiooptions.IOStreams) int {
	if code, ok := devsession.Inside(args, streams.ErrOut); ok {
		return code
	}
	factory, err := newFactory(env, streams)
	if err != nil {
		return exitCode(newConsole(streams, env, nil), err)
	}
	factory.Args = args
	root := newRootCmd(factory)
	root.SetArgs(args[1:])
	command, err := root.ExecuteContextC(ctx)
	return exitCode(factory.Console(), withUsage(command, err))
}
