package sshclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// stopGrace is how long a command may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// answerGrace is how long the agent may take to answer at all, when the user
// wants to go: the network may be dead, and nobody knows it yet.
const answerGrace = time.Second

// Command is what Run runs in the dev container.
type Command struct {
	// Line is the command line for the user's shell in the dev container; ""
	// means an interactive shell. Quote makes one of an argv.
	Line string
	// Env is added to the environment of the command; the agent leaves out
	// what it does not allow.
	Env map[string]string
	// TTY asks for a terminal; nil means none.
	TTY *TTY
	// Stdin is the command's input; nil means none. An *Input can be read
	// by another command later; of any other reader, a Read that still waits
	// when the command ends is left alone and what it gets is lost.
	Stdin io.Reader
	// Stdout and Stderr take the command's output; nil drops it. With a
	// terminal, all comes to Stdout.
	Stdout, Stderr io.Writer
	// Started is called when a held command has been started; nil means that
	// nobody wants to know.
	Started func()
	// ForwardAgent lets the command use the ssh-agent at Config.AgentSocket.
	ForwardAgent bool
}

// ExitError is how a command ended, other than with status 0.
type ExitError struct {
	// Status is the exit status; 128 + the signal's number if a signal ended
	// the command and the agent sent no status.
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

// Run runs a command and waits for its end. The error is nil, an *ExitError,
// or about the connection: ErrConnectionLost if it broke. When ctx ends, the
// command gets SIGTERM and some seconds to end before its session is closed;
// then the error is the cause of ctx.
func (c *Client) Run(ctx context.Context, cmd Command) error {
	s, err := c.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if cmd.ForwardAgent && c.agentSocket != "" {
		end := c.agents.allow(c)
		defer end()
		_ = s.request("auth-agent-req@openssh.com", nil)
	}
	if cmd.TTY != nil {
		if err := s.request("pty-req", cmd.TTY.request()); err != nil {
			return c.explain(err)
		}
	}
	for name, value := range cmd.Env {
		_ = s.request("env", ssh.Marshal(struct{ Name, Value string }{name, value}))
	}
	kind, payload := "shell", []byte(nil)
	if cmd.Line != "" {
		kind, payload = "exec", ssh.Marshal(struct{ Line string }{cmd.Line})
	}
	if err := s.start(ctx, kind, payload); err != nil {
		return err
	}
	return s.run(ctx, cmd)
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

// run moves input and output until the command has ended.
func (s *session) run(ctx context.Context, cmd Command) error {
	stdout, stderr := newGate(cmd.Stdout), newGate(cmd.Stderr)
	defer stdout.shut.Store(true)
	defer stderr.shut.Store(true)
	ended := make(chan struct{})
	defer close(ended)
	go s.sendStdin(cmd.Stdin, ended)
	if cmd.TTY != nil && cmd.TTY.Resize != nil {
		go s.resize(cmd.TTY.Resize, ended)
	}

	finished := make(chan error, 1)
	go func() { finished <- s.receive(stdout, stderr) }()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
	}
	stopped(s.client, finished, func() {
		_ = s.request("signal", ssh.Marshal(struct{ Name string }{string(ssh.SIGTERM)}))
	})
	return context.Cause(ctx)
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

// receive copies the output and returns how the command ended.
func (s *session) receive(stdout, stderr io.Writer) error {
	var output sync.WaitGroup
	failed := make(chan error, 2)
	for _, stream := range []struct {
		to   io.Writer
		from io.Reader
	}{{stdout, s.channel}, {stderr, s.channel.Stderr()}} {
		output.Go(func() {
			if _, err := io.Copy(stream.to, stream.from); err != nil {
				failed <- fmt.Errorf("writing the output of the command: %w", err)
				// The command learns that nobody reads any more.
				_ = s.channel.Close()
			}
		})
	}
	exit := exitStatus(s.requests)
	output.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	if exit == nil {
		if err := s.client.broken(); err != nil {
			return err
		}
		return errors.New("the session was closed before the command ended")
	}
	if exit.Status == 0 && exit.Signal == "" {
		return nil
	}
	return exit
}

// exitStatus reads the requests of a session (RFC 4254 section 6.10) until its
// channel is closed. It returns nil if the command has not ended.
func exitStatus(requests <-chan *ssh.Request) *ExitError {
	var exit *ExitError
	for req := range requests {
		switch req.Type {
		case "exit-status":
			var status struct{ Status uint32 }
			if ssh.Unmarshal(req.Payload, &status) == nil {
				exit = &ExitError{Status: int(status.Status)}
			}
		case "exit-signal":
			var status struct {
				Signal        string
				CoreDumped    bool
				Message, Lang string
			}
			if ssh.Unmarshal(req.Payload, &status) == nil {
				exit = &ExitError{Status: signalStatus(status.Signal), Signal: status.Signal, Message: status.Message}
			}
		}
		if req.WantReply {
			_ = req.Reply(false, nil)
		}
	}
	return exit
}

// signalStatus is the exit status that a shell reports for a signal (POSIX,
// Shell Command Language 2.8.2, and the numbers of Linux).
func signalStatus(name string) int {
	const base = 128
	numbers := map[string]int{
		"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9,
		"USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "XCPU": 24, "XFSZ": 25, "SYS": 31,
	}
	return base + numbers[name]
}

// gate passes writes on until it is shut, so that nothing more is written once
// Run has returned early. A nil writer drops everything.
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
