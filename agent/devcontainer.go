//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
	"github.com/kubectl-okteto/kubectl-okteto/agent/runner"
	"github.com/kubectl-okteto/kubectl-okteto/agent/sshd"
)

// runnerWait is how long a session waits for a dev container that is being
// started or restarted.
const runnerWait = 10 * time.Second

// devContainer lets the SSH server use the runner.
type devContainer struct{ client runner.Client }

// Run implements sshd.Runner.
func (d devContainer) Run(ctx context.Context, c sshd.Command, s sshd.Streams) (sshd.Exit, error) {
	start := runner.Start{Line: c.Line, SFTP: c.SFTP, Env: c.Env}
	if c.TTY != nil {
		start.TTY = &runner.TTY{Term: c.TTY.Term, Size: runner.Size(c.TTY.Size), Modes: c.TTY.Modes}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	exit, err := d.client.Run(ctx, start, runner.Streams{
		Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr,
		Signals: s.Signals, Sizes: convertSizes(ctx, s.Sizes),
	})
	if errors.Is(err, runner.ErrGone) {
		// It died with its container, as by an uncatchable signal.
		return sshd.Exit{Signal: "KILL", Message: config.ContainerGone + ": it crashed, ran out of memory, or is being replaced"}, nil
	}
	return sshd.Exit{Status: exit.Status, Signal: exit.Signal, Core: exit.Core, Message: exit.Message}, err
}

// Attach implements sshd.Runner.
func (d devContainer) Attach(ctx context.Context, env []string, client io.ReadWriter) error {
	return d.client.Attach(ctx, runner.Attach{Env: env}, client)
}

// environment is the environment subsystem.
func (d devContainer) environment(ctx context.Context, channel io.ReadWriteCloser) error {
	exit, err := d.client.Run(ctx, runner.Start{Environment: true}, runner.Streams{
		Stdin: strings.NewReader(""), Stdout: channel, Stderr: io.Discard,
	})
	if err == nil && exit.Status != 0 {
		err = fmt.Errorf("printing it ended with status %d: %s", exit.Status, exit.Message)
	}
	if err != nil {
		return fmt.Errorf("reading the environment of the dev container: %w", err)
	}
	return nil
}

// mounts is the mounts subsystem.
func (d devContainer) mounts(ctx context.Context, channel io.ReadWriteCloser) error {
	asked, err := mounts.ReadRequest(channel)
	if err != nil {
		return fmt.Errorf("reading what mounts are asked for: %w", err)
	}
	return d.client.Mounts(ctx, asked, channel)
}

// convertSizes passes sizes on as the runner's type until the context ends.
func convertSizes(ctx context.Context, in <-chan sshd.Size) <-chan runner.Size {
	out := make(chan runner.Size)
	go func() {
		for {
			select {
			case size := <-in:
				select {
				case out <- runner.Size(size):
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// DialUnix implements sshd.Runner.
func (d devContainer) DialUnix(ctx context.Context, path string) (net.Conn, error) {
	return d.client.DialUnix(ctx, path)
}

// ListenUnix implements sshd.Runner.
func (d devContainer) ListenUnix(ctx context.Context, path string) (net.Listener, error) {
	return d.client.ListenUnix(ctx, path)
}
