package devsession

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// errPodEnds is why a connection is given up that would end with its pod.
var errPodEnds = errors.New("its pod ends")

// runCommand runs the command to its end. When the dev container ends under
// it, it says why, waits for the container's restart and runs it again.
func (s *Session) runCommand(ctx context.Context, client *sshclient.Client, status *statusWatch, pod string) error {
	pause := backoff{}
	for {
		before, err := status.await(ctx, func(st config.Status) bool { return st.Runner.Running })
		if err != nil {
			return err
		}
		s.Console.Clear()
		err = s.overConnection(ctx, client)
		var exit *sshclient.ExitError
		ended := err == nil || errors.As(err, &exit) && !crashed(exit)
		// A command that has ended has done so whatever became of the connections
		// meanwhile: it must not run twice.
		if why := context.Cause(ctx); why != nil && (!ended || !passing(why)) {
			return why
		}
		var refused *sshclient.RefusedError
		switch {
		case errors.As(err, &refused), errors.Is(err, sshclient.ErrOldAgent):
			return err
		case errors.Is(err, sshclient.ErrGone):
			s.Console.Warn("%v; running it again", err)
			if err := s.catchUp(ctx); err != nil {
				return err
			}
			continue
		case ended:
			s.tellAway(s.bringHome(ctx))
			return err
		case exit == nil:
			return lostError(err)
		}
		// What it wrote last is worth more than why it ended.
		home := make(chan error, 1)
		go func() { home <- s.bringHome(ctx) }()
		reason, ends := s.Environment.Crash(ctx, pod, "", before.Runner.Started)
		if reason == "" {
			s.unexplained = containerStart{pod, before.Runner.Started}
		}
		s.Console.Warn("the development container ended: %s; running the command again when it is back", cmp.Or(reason, exit.Message))
		if ends {
			// The next pod need not wait for the sidecar's end.
			s.tellAway(<-home)
			return cause(ctx, lostError(errPodEnds))
		}
		if err := pause.wait(ctx, nil); err != nil {
			return err
		}
		if _, err := status.await(ctx, func(st config.Status) bool {
			return st.Runner.Running && st.Runner.Starts > before.Runner.Starts
		}); err != nil {
			return err
		}
	}
}

// overConnection runs the command, or goes on with it. When the connection is
// lost, or given up, the command outlives it; whatever else ends the attempt ends
// the command.
func (s *Session) overConnection(ctx context.Context, client *sshclient.Client) error {
	command, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	stop := context.AfterFunc(ctx, func() {
		if why := context.Cause(ctx); passing(why) {
			_ = client.Close()
		} else {
			end(why)
		}
	})
	defer stop()
	return s.Command.Attach(command, client)
}

// catchUp waits for what a command waits for that did not run before.
func (s *Session) catchUp(ctx context.Context) error {
	if s.NoWait {
		return nil
	}
	return s.firstFlush(ctx)
}

// crashed tells whether the dev container ended under its command.
func crashed(exit *sshclient.ExitError) bool {
	return strings.HasPrefix(exit.Message, config.ContainerGone)
}
