package sshclient

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// ErrGone means that a command to come back to is not there any more: its
// container was restarted or replaced meanwhile.
var ErrGone = errors.New("the command is gone: its container was restarted or replaced")

// ErrOldAgent means that the agent knows nothing of held commands.
var ErrOldAgent = errors.New("the agent in the pod is older than this program, and keeps no command over a lost connection")

// RefusedError means that the agent does not take a command.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// Held is a command that outlives connections: it belongs to the dev container,
// and this is its client. It is used by one goroutine at a time.
type Held struct {
	// config
	command Command
	dropped func(bytes int64)
	request attach.Request
	input   *Input

	// state
	// attached is true once the agent has answered.
	attached bool
	// over is true once there is nothing to come back to.
	over bool
	// joined is true when somebody else has started it, who alone ends it.
	joined bool

	mu sync.Mutex
	// pending is the input that the command may not have; it begins at taken.
	pending []byte
	taken   int64
	eof     bool
	// room tells that taken has grown.
	room chan struct{}
}

// NewHeld returns a command that its first Attach starts. The role, if any, is
// what it is in the environment: it replaces an older command of that role.
// dropped is told how much output was lost while nobody was attached.
func NewHeld(cmd Command, role string, dropped func(bytes int64)) *Held {
	h := newHeld(rand.Text(), cmd, dropped)
	h.request.Start = &attach.Start{Line: cmd.Line, Role: role}
	return h
}

// Join returns another client of a command that runs already. The end of a
// context ends only its Attach.
func Join(session string, cmd Command, dropped func(bytes int64)) *Held {
	h := newHeld(session, cmd, dropped)
	h.attached, h.joined = true, true
	return h
}

func newHeld(session string, cmd Command, dropped func(int64)) *Held {
	h := &Held{
		command: cmd, dropped: dropped, room: make(chan struct{}, 1),
		request: attach.Request{Version: attach.Version, Session: session, Client: rand.Text()},
	}
	switch in := cmd.Stdin.(type) {
	case nil:
		h.eof = true
	case *Input:
		h.input = in
	default:
		h.input = NewInput(in)
	}
	return h
}

// Over tells whether an Attach has learned that the command is not there any more.
func (h *Held) Over() bool { return h.over }

// Attach starts the command, or goes on with it, and waits for its end. The
// error is nil, an *ExitError, ErrGone, or about the connection. After
// ErrConnectionLost, Attach goes on over another connection: no input and no
// output is lost or comes twice. When ctx ends, the command gets SIGTERM and some
// seconds to end before it is hung up; then the error is the cause of ctx. The
// terminal may be another one each time; nil means none.
func (h *Held) Attach(ctx context.Context, c *Client, tty *TTY) error {
	s, err := c.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if h.command.ForwardAgent && c.agentSocket != "" {
		end := c.agents.allow(c)
		defer end()
		_ = s.request("auth-agent-req@openssh.com", nil)
	}
	for name, value := range h.command.Env {
		_ = s.request("env", ssh.Marshal(struct{ Name, Value string }{name, value}))
	}
	err = s.start(ctx, "subsystem", ssh.Marshal(struct{ Name string }{config.SubsystemSession}))
	if errors.Is(err, errRefused) {
		return ErrOldAgent
	}
	if err != nil {
		return err
	}
	a := &attachment{held: h, session: s, ended: make(chan struct{})}
	a.stdout, a.stderr = newGate(h.command.Stdout), newGate(h.command.Stderr)
	defer a.stdout.shut.Store(true)
	defer a.stderr.shut.Store(true)
	finished := make(chan error, 1)
	go func() { finished <- a.run(tty) }()
	select {
	case err := <-finished:
		close(a.ended)
		if errors.Is(err, ErrConnectionLost) || errors.Is(err, net.ErrClosed) {
			// What it has read is for the next connection.
			a.sending.Wait()
		}
		return err
	case <-ctx.Done():
	}
	defer close(a.ended)
	if !h.joined {
		a.stop(finished)
	}
	return context.Cause(ctx)
}

// goOn takes over where the agent goes on.
func (h *Held) goOn(at attach.Position) error {
	if !h.attached && h.command.Started != nil {
		h.command.Started()
	}
	lost := at.Stdout - h.request.Stdout + at.Stderr - h.request.Stderr
	h.attached, h.request.Stdout, h.request.Stderr = true, at.Stdout, at.Stderr
	if lost > 0 {
		h.dropped(lost)
	}
	return h.trim(at.Stdin)
}

// trim forgets input that has arrived.
func (h *Held) trim(to int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := to - h.taken
	if n > int64(len(h.pending)) {
		return fmt.Errorf("the agent has %d bytes of input that it was not sent", n-int64(len(h.pending)))
	}
	if n <= 0 {
		return nil
	}
	h.pending, h.taken = h.pending[n:], to
	select {
	case h.room <- struct{}{}:
	default:
	}
	return nil
}
