package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

type execOptions struct {
	factory      *Factory
	file         string
	forwardAgent bool
	noWait       bool
	name         string
	command      []string
}

func newExecCmd(f *Factory) *cobra.Command {
	o := &execOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "exec [NAME] -- COMMAND [ARG...]",
		Short: "Run a command in a development container",
		Long: `Run a command in a development container, from any machine whose kubeconfig
allows it, as often and as parallel as you like. Without a command it opens a
shell. Standard input, output and the exit status are the command's, as with
ssh; 255 means that it could not be run.

When 'up' runs on this machine, the command waits until everything saved before
it is in the pod.`,
		Example: `  kubectl okteto exec api -- npm test
  kubectl okteto exec -- sh -c 'tar c dist' | tar x`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().BoolVarP(&o.forwardAgent, "forward-agent", "A", false, "let the command use your ssh-agent")
	cmd.Flags().BoolVar(&o.noWait, "no-wait", false, "do not wait until what was saved before is in the pod")
	return cmd
}

// Complete takes the name and the command.
func (o *execOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	o.name, o.command, err = splitDash(cmd, args)
	return err
}

// Validate has nothing to refuse: the manifest or the cluster knows the names.
func (o *execOptions) Validate() error { return nil }

// Run runs the command and passes its status on.
func (o *execOptions) Run(cmd *cobra.Command) error {
	return statusOf(o.run(cmd.Context()))
}

func (o *execOptions) run(ctx context.Context) error {
	env, err := o.factory.findActive(ctx, o.file, o.name)
	if err != nil {
		return err
	}
	defer env.use(ctx)()
	if !o.noWait {
		if err := flushHere(ctx, o.factory.controlSocket(env.cluster, env.Dev)); err != nil {
			return err
		}
	}
	client, err := o.factory.connect(ctx, env)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return o.factory.runRemote(ctx, client, sshclient.Quote(o.command), o.forwardAgent)
}

// flushHere waits for an `up` on this machine to bring over what was saved
// before; without one there is nothing to wait for.
func flushHere(ctx context.Context, socket string) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := devsession.Control{Socket: socket}.Flush(ctx, false)
	var stopped *control.Error
	switch {
	case errors.As(err, &stopped) && stopped.Code == control.CodeStopped:
		return fmt.Errorf("%w; --no-wait runs the command all the same", err)
	case errors.Is(err, control.ErrNoSession):
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("what was saved last is not in the pod after %v; --no-wait runs the command all the same", patience)
	}
	return err
}

// terminal returns the terminal that standard input and output are, if any.
func (f *Factory) terminal() (*sshclient.Terminal, bool) {
	in, ok := f.Streams.In.(*os.File)
	if !ok {
		return nil, false
	}
	out, ok := f.Streams.Out.(*os.File)
	if !ok {
		return nil, false
	}
	return sshclient.OpenTerminal(in, out)
}

// runRemote runs a command line on the standard streams; an empty one is a
// shell. When they are a terminal, the command gets one too, and this one is in
// raw mode meanwhile: the terminal in the pod interprets the keys.
func (f *Factory) runRemote(ctx context.Context, client *sshclient.Client, line string, forwardAgent bool) error {
	c := sshclient.Command{
		Line: line, Stdin: f.input(), Stdout: f.Streams.Out, Stderr: f.Streams.ErrOut,
		Env: map[string]string{}, ForwardAgent: forwardAgent,
	}
	for _, name := range []string{"LANG", "COLORTERM", "NO_COLOR"} {
		if value, ok := f.Env(name); ok {
			c.Env[name] = value
		}
	}
	t, ok := f.terminal()
	if !ok {
		return client.Run(ctx, c)
	}
	kind, _ := f.Env("TERM")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.TTY = t.TTY(ctx, kind)
	if err := t.MakeRaw(); err != nil {
		return err
	}
	defer func() { _ = t.Restore() }()
	return client.Run(ctx, c)
}
