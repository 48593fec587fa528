package devsession

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

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
		err = s.Command(ctx, client)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var exit *sshclient.ExitError
		switch {
		case err == nil, errors.As(err, &exit) && !crashed(exit):
			s.settle(ctx)
			return err
		case exit == nil:
			return lostError(err)
		}
		reason := s.Environment.Crash(ctx, pod, before.Runner.Started)
		if reason == "" {
			reason = exit.Message
		}
		s.Console.Warn("the development container ended: %s; running the command again when it is back", reason)
		if err := pause.wait(ctx); err != nil {
			return err
		}
		if _, err := status.await(ctx, func(st config.Status) bool {
			return st.Runner.Running && st.Runner.Starts > before.Runner.Starts
		}); err != nil {
			return fmt.Errorf("waiting for the development container: %w", err)
		}
	}
}

// crashed tells whether the dev container ended under its command.
func crashed(exit *sshclient.ExitError) bool {
	return strings.HasPrefix(exit.Message, config.ContainerGone)
}
