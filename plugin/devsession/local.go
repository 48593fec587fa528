package devsession

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/hybrid"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// Local is the command of hybrid mode: a process of this machine, with the pod's
// environment. It outlives the connections over which that is read.
type Local struct {
	// Command is what to run, Dir where.
	Command manifest.Command
	Dir     string
	// Set are the names of the variables that the manifest sets.
	Set []string
	// Lookup finds a variable of this machine.
	Lookup func(string) (string, bool)
	// Stdin, Stdout and Stderr are the process's; nil means none.
	Stdin, Stdout, Stderr *os.File
	// Mounts are the files that the pod has mounted; nil means none.
	Mounts *Mounts
	// Console is told when the process is started again.
	Console *console.Console
	// End ends the session, with a reason.
	End context.CancelCauseFunc

	network localNetwork
	running
}

// running is the process with its environment, which other commands ask for.
type running struct {
	mu      sync.Mutex
	process *hybrid.Process
	env     []string
}

// localEnd means that the process ended by itself.
type localEnd struct{ hybrid.Exit }

func (e *localEnd) Error() string { return fmt.Sprintf("the command ended with %d", e.Status) }

// Running tells whether the process was started.
func (l *Local) Running() bool { return l.process != nil }

// Attach sees to it that the process runs with the environment of the pod, as long
// as the connection lasts.
func (l *Local) Attach(ctx context.Context, client *sshclient.Client) error {
	pod, err := l.podEnvironment(ctx, client)
	if err != nil {
		return err
	}
	end := l.Mounts.follow(ctx, client)
	defer end()
	l.learn(ctx, client, pod)
	if err := l.follow(pod); err != nil {
		l.End(err)
	}
	lost := make(chan error, 1)
	go func() { lost <- client.Wait() }()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-lost:
		return cmp.Or(err, net.ErrClosed)
	}
}

// podEnvironment asks for the environment of the dev container.
func (l *Local) podEnvironment(ctx context.Context, client *sshclient.Client) ([]string, error) {
	channel, err := client.Subsystem(ctx, config.SubsystemEnvironment)
	if err != nil {
		if ctx.Err() == nil && !disconnected(err) {
			l.End(fmt.Errorf("the agent of the pod knows nothing of hybrid mode: %w", err))
		}
		return nil, err
	}
	data, err := readToEnd(ctx, channel)
	if err != nil {
		return nil, fmt.Errorf("reading the environment of the pod: %w", err)
	}
	return hybrid.ParseEnvironment(data)
}

// readToEnd reads what an agent writes to its end, or that of ctx, and closes it.
func readToEnd(ctx context.Context, channel io.ReadCloser) ([]byte, error) {
	defer func() { _ = channel.Close() }()
	defer context.AfterFunc(ctx, func() { _ = channel.Close() })()
	return io.ReadAll(channel)
}

// follow starts the process, or again where the pod's environment is another one
// by now.
func (l *Local) follow(pod []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	env := l.network.environ(hybrid.Environment(l.Mounts.named(pod), l.Lookup, l.Set))
	if l.process != nil {
		changed := hybrid.Changed(l.env, env)
		if len(changed) == 0 {
			return nil
		}
		l.Console.Warn("the environment of the pod changed (%s): running the command again", strings.Join(changed, ", "))
		l.process.Stop()
	}
	argv := l.Command.Argv
	if l.Command.Shell {
		argv = hybrid.Shell(argv[0])
	}
	process, err := l.network.start(hybrid.Config{
		Argv: argv, Dir: l.Dir, Env: env, Stdin: l.Stdin, Stdout: l.Stdout, Stderr: l.Stderr, Remove: l.Mounts.path(),
		Ended: func(e hybrid.Exit) { l.End(&localEnd{e}) },
	})
	if err != nil {
		return err
	}
	l.process, l.env = process, env
	return nil
}

// Stop ends the process with the session, and returns that one's end as that of a
// command.
func (l *Local) Stop(err error) error {
	if l.process != nil {
		l.process.Stop()
	}
	l.Mounts.close()
	var ended *localEnd
	if errors.As(err, &ended) {
		return exitOf(ended.Exit)
	}
	return err
}

// exitOf is the end of a local process as that of a command.
func exitOf(e hybrid.Exit) error {
	if e.Status == 0 {
		return nil
	}
	return &sshclient.ExitError{Status: e.Status, Signal: e.Signal}
}
