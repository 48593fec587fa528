package sshclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// stopGrace is how long a command may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// answerGrace is how long the agent may take to answer at all, when the user
// wants to go: the network may be dead, and nobody knows it yet.
const answerGrace = time.Second

// Command is what is run in the dev container.
type Command struct {
	// Line is the command line for the user's shell in the dev container; ""
	// means an interactive shell. Quote makes one of an argv.
	Line string
	// Env is added to the environment of the command; the agent leaves out
	// what it does not allow.
	Env map[string]string
	// Stdin is the command's input; nil means none. An *Input can be read
	// by another command later; of any other reader, a Read that still waits
	// when the command ends is left alone and what it gets is lost.
	Stdin io.Reader
	// Stdout and Stderr take the command's output; nil drops it. With a
	// terminal, all comes to Stdout.
	Stdout, Stderr io.Writer
	// Started is called when the command has been started; nil means that
	// nobody wants to know.
	Started func()
	// ForwardAgent lets the command use the ssh-agent at Config.AgentSocket.
	ForwardAgent bool
}

// ExitError is how a command ended, other than with status 0.
type ExitError struct {
	// Status is the exit status; 128 + the signal's number if a signal ended
	// the command.
	Status int
	// Signal is the signal that ended the command, without SIG; "" if none.
	Signal string
	// Message is what the agent says about it; may be empty.
	Message string
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("the command ended with exit code %d", e.Status)
	if e.Signal != "" {
		text = "the command was ended by signal " + e.Signal
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// session is a session channel (RFC 4254 section 6).
type session struct {
	client   *Client
	channel  ssh.Channel
	requests <-chan *ssh.Request
}

func (c *Client) openSession(ctx context.Context) (*session, error) {
	s, err := await(ctx, func() (*session, error) {
		channel, requests, err := c.ssh.OpenChannel("session", nil)
		return &session{client: c, channel: channel, requests: requests}, err
	}, func(s *session) {
		go ssh.DiscardRequests(s.requests)
		_ = s.channel.Close()
	})
	if err != nil {
		return nil, c.explain(err)
	}
	return s, nil
}

// explain says what a failure means if the connection has broken.
func (c *Client) explain(err error) error {
	if broken := c.broken(); broken != nil {
		return broken
	}
	return err
}

// request sends a request that needs no answer, which saves a round trip.
func (s *session) request(kind string, payload []byte) error {
	_, err := s.channel.SendRequest(kind, false, payload)
	return err
}

// errRefused means that the agent does not know a kind of session.
var errRefused = errors.New("the agent refuses a session")

// start sends the request that starts what the session is for.
func (s *session) start(ctx context.Context, kind string, payload []byte) error {
	ok, err := await(ctx, func() (bool, error) {
		return s.channel.SendRequest(kind, true, payload)
	}, func(bool) {})
	if err != nil {
		return s.client.explain(err)
	}
	if !ok {
		return fmt.Errorf("%w of kind %s", errRefused, kind)
	}
	return nil
}

// close ends the session without waiting for anything: a full connection must
// not hold the caller up.
func (s *session) close() {
	go func() { _ = s.channel.Close() }()
	go ssh.DiscardRequests(s.requests)
}

// stopped asks a command to end and tells whether it did so within bounds. Where
// nothing is heard from the agent there is no use in waiting.
func stopped(c *Client, finished <-chan error, ask func()) bool {
	answered := make(chan struct{})
	go func() {
		ask()
		if _, _, err := c.ssh.SendRequest(keepaliveRequest, true, nil); err == nil {
			close(answered)
		}
	}()
	hearing := time.NewTimer(answerGrace)
	defer hearing.Stop()
	select {
	case <-finished: //nolint:errcheck // that it has ended is all that is asked
		return true
	case <-hearing.C:
		return false
	case <-answered:
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-finished: //nolint:errcheck // that it has ended is all that is asked
		return true
	case <-grace.C:
		return false
	}
}

// gate passes writes on until it is shut, so that nothing more is written once
// Attach has returned early. A nil writer drops everything.
type gate struct {
	w    io.Writer
	shut atomic.Bool
}

func newGate(w io.Writer) *gate {
	if w == nil {
		w = io.Discard
	}
	return &gate{w: w}
}

func (g *gate) Write(p []byte) (int, error) {
	if g.shut.Load() {
		return len(p), nil
	}
	return g.w.Write(p)
}
