package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

type execOptions struct {
	factory      *Factory
	file         string
	forwardAgent bool
	noWait       bool
	pod          bool
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
it is in the pod.

In hybrid mode the command runs where the one of 'up' does: on this machine, with
the same environment and folder. --pod runs it in the pod.`,
		Example: `  kubectl okteto exec api -- npm test
  kubectl okteto exec -- sh -c 'tar c dist' | tar x
  kubectl okteto exec frontend --pod -- cat /etc/resolv.conf`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().BoolVarP(&o.forwardAgent, "forward-agent", "A", false, "let the command use your ssh-agent")
	cmd.Flags().BoolVar(&o.pod, "pod", false, "in hybrid mode, run the command in the pod")
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
	name, err := o.factory.devName(o.file, o.name)
	if err != nil {
		return err
	}
	if !o.pod {
		if here, err := o.factory.hybridHere(ctx, name); err != nil {
			return err
		} else if here != nil {
			stdin, stdout, stderr := o.factory.files()
			return here.Run(ctx, o.command, stdin, stdout, stderr)
		}
	}
	env, err := o.factory.lookUp(ctx, name)
	if err != nil {
		return err
	}
	if env.hybrid() && !o.pod {
		return &hybridElsewhereError{notHereError{Dev: name, Holder: env.Holder, Since: env.Since}}
	}
	defer env.use(ctx)()
	if !o.noWait {
		if err := flushHere(ctx, o.factory.controlSocket(env.cluster, env.Dev)); err != nil {
			return err
		}
	}
	command := o.factory.remote(sshclient.Quote(o.command), o.forwardAgent)
	return o.factory.persist(ctx, env, sshclient.NewHeld(command, "", o.factory.tellDropped))
}

// reconnectFor is how long a command is tried to be reached again: a laptop that
// sleeps does not count it.
const reconnectFor = 2 * time.Hour

// persist runs a command to its end, over as many connections as that takes.
func (f *Factory) persist(ctx context.Context, env *active, held *sshclient.Held) error {
	const first = "" // of reasons to connect
	reason, c := first, f.Console()
	attempt := func(ctx context.Context) (attached bool, err error) {
		var client *sshclient.Client
		if reason == first {
			client, err = f.connect(ctx, env)
		} else {
			client, env, err = f.reconnect(ctx, env)
		}
		if err != nil {
			return false, err
		}
		defer func() { _ = client.Close() }()
		return true, f.attach(ctx, client, held)
	}
	return devsession.Persist(ctx, reconnectFor, attempt, func(err error) bool {
		var unreached *unreachedError
		if !errors.Is(err, sshclient.ErrConnectionLost) && !errors.As(err, &unreached) {
			return false
		}
		if err.Error() != reason {
			reason = err.Error()
			c.Warn("%v; reconnecting to %s", err, env.Dev)
		}
		return true
	})
}

// unreachedError means that a pod was there and cannot be reached at the moment.
type unreachedError struct{ err error }

func (e *unreachedError) Error() string { return e.err.Error() }
func (e *unreachedError) Unwrap() error { return e.err }

// reconnect connects again, to whichever pod the environment has by now.
func (f *Factory) reconnect(ctx context.Context, before *active) (*sshclient.Client, *active, error) {
	env, err := f.lookUp(ctx, before.Dev)
	var client *sshclient.Client
	if err == nil {
		client, err = f.connect(ctx, env)
	}
	var missing *workload.NotFoundError
	var forbidden *workload.ForbiddenError
	switch {
	case err == nil:
		return client, env, nil
	case errors.As(err, &missing), errors.As(err, &forbidden), errors.Is(err, sshclient.ErrHostKeyMismatch):
		return nil, before, err
	}
	return nil, before, &unreachedError{err}
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

// typing tells whether somebody is at the keys of the terminal: less than a second
// ago, which is slow.
func (f *Factory) typing() bool {
	_, ok := f.terminal()
	return ok && f.input().Used(time.Second)
}

// remote is a command line on the standard streams; an empty one is a shell.
func (f *Factory) remote(line string, forwardAgent bool) sshclient.Command {
	c := sshclient.Command{
		Line: line, Stdin: f.input(), Stdout: f.Streams.Out, Stderr: f.Streams.ErrOut,
		Env: map[string]string{}, ForwardAgent: forwardAgent,
	}
	for _, name := range []string{"LANG", "COLORTERM", "NO_COLOR"} {
		if value, ok := f.Env(name); ok {
			c.Env[name] = value
		}
	}
	return c
}

// tellDropped says that output was lost while nobody was attached.
func (f *Factory) tellDropped(bytes int64) {
	f.Console().Warn("%s of output are missing here: the pod keeps the last 4 MiB while nobody is attached", console.Bytes(bytes))
}

// attach runs a command over a connection, or goes on with it. When the standard
// streams are a terminal, the command gets one too, and this one is in raw mode
// meanwhile: the terminal in the pod interprets the keys.
func (f *Factory) attach(ctx context.Context, client *sshclient.Client, held *sshclient.Held) error {
	t, ok := f.terminal()
	if !ok {
		return held.Attach(ctx, client, nil)
	}
	kind, _ := f.Env("TERM")
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	tty := t.TTY(watch, kind)
	if err := t.MakeRaw(); err != nil {
		return err
	}
	defer func() { _ = t.Restore() }()
	return held.Attach(ctx, client, tty)
}
