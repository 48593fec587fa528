package sshclient

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// ctrlC is what a terminal sends for the key.
const ctrlC = 3

// attachment is a held command over one connection.
type attachment struct {
	held           *Held
	session        *session
	stdout, stderr *gate
	// tty is true when the command has a terminal, answered once the agent has
	// let this connection in.
	tty, answered bool
	// ended is closed when the connection has no more use.
	ended chan struct{}
	// sending is over when no more input is sent.
	sending sync.WaitGroup
	// write keeps frames whole.
	write sync.Mutex
}

func (a *attachment) send(t attach.Type, payload []byte) error {
	a.write.Lock()
	defer a.write.Unlock()
	_, err := a.session.channel.Write(frame.New(t, payload))
	return err
}

func (a *attachment) sendJSON(t attach.Type, m any) error {
	a.write.Lock()
	defer a.write.Unlock()
	return attach.WriteJSON(a.session.channel, t, m)
}

// stop ends the command, and waits for that within bounds.
func (a *attachment) stop(finished <-chan error) {
	if stopped(a.session.client, finished, func() { _ = a.send(attach.Signal, []byte(ssh.SIGTERM)) }) {
		return
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		_ = a.send(attach.HangUp, nil)
	}()
	select {
	case <-told:
	case <-time.After(answerGrace):
	}
}

// run opens the session and serves it to its end.
func (a *attachment) run(tty *TTY) error {
	h := a.held
	q := h.request
	if tty != nil && tty.Width > 0 {
		q.Size = &attach.Size{Cols: uint16(tty.Width), Rows: uint16(tty.Height)}
	}
	if h.attached {
		q.Start = nil
	} else if tty != nil {
		start := *q.Start
		// It echoes and edits UTF-8 (RFC 4254 section 8, RFC 8160).
		start.TTY = &attach.TTY{Term: tty.Term, Modes: map[uint8]uint32{ssh.ECHO: 1, ssh.IUTF8: 1}}
		q.Start = &start
	}
	if err := a.sendJSON(attach.Open, q); err != nil {
		return a.session.client.explain(err)
	}
	in := bufio.NewReader(a.session.channel)
	t, payload, err := attach.Read(in)
	if err != nil {
		return a.broken(err)
	}
	if t != attach.Attached {
		return a.last(t, payload)
	}
	var at attach.Position
	if err := json.Unmarshal(payload, &at); err != nil {
		return fmt.Errorf("reading the agent's answer: %w", err)
	}
	if err := h.goOn(at); err != nil {
		return err
	}
	a.tty, a.answered = at.TTY, true
	a.sending.Go(func() { a.sendInput(at.Stdin) })
	if tty != nil && tty.Resize != nil {
		go a.sendSizes(tty.Resize)
	}
	return a.receive(in)
}

// receive handles what comes until the command has ended.
func (a *attachment) receive(in io.Reader) error {
	q := &a.held.request
	for {
		t, payload, err := attach.Read(in)
		if err != nil {
			return a.broken(err)
		}
		switch t {
		case attach.Stdout:
			err = a.output(a.stdout, &q.Stdout, payload)
		case attach.Stderr:
			err = a.output(a.stderr, &q.Stderr, payload)
		case attach.Taken:
			var n int64
			if n, err = attach.ParseTaken(payload); err == nil {
				err = a.held.trim(n)
			}
		default:
			return a.last(t, payload)
		}
		if err != nil {
			return err
		}
	}
}

// output writes output. When nobody reads it any more, the command learns that.
func (a *attachment) output(to io.Writer, count *int64, p []byte) error {
	if _, err := to.Write(p); err != nil {
		if !a.held.joined {
			_ = a.send(attach.HangUp, nil)
		}
		return fmt.Errorf("writing the output of the command: %w", err)
	}
	*count += int64(len(p))
	return nil
}

// last handles the last frame.
func (a *attachment) last(t attach.Type, payload []byte) error {
	a.held.over = true
	switch t {
	case attach.Exit:
		var exit attach.Status
		if err := json.Unmarshal(payload, &exit); err != nil {
			return fmt.Errorf("reading how the command ended: %w", err)
		}
		_ = a.send(attach.Done, nil)
		a.awaitClose()
		return a.exit(exit)
	case attach.Refused:
		var refusal attach.Refusal
		if err := json.Unmarshal(payload, &refusal); err != nil {
			return fmt.Errorf("reading the agent's refusal: %w", err)
		}
		return a.refused(&refusal)
	}
	return fmt.Errorf("the agent sent an unexpected frame %d", t)
}

// awaitClose waits, within bounds, until the agent has closed the session: what is
// on its way when a connection is closed may not arrive.
func (a *attachment) awaitClose() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, a.session.channel)
	}()
	select {
	case <-closed:
	case <-time.After(answerGrace):
	}
}

// exit says how the command ended.
func (a *attachment) exit(s attach.Status) error {
	if text := cmp.Or(s.Message, crash(s.Signal)); text != "" {
		end := "\n"
		if a.tty {
			end = "\r\n"
		}
		_, _ = io.WriteString(a.stderr, text+end)
	}
	if s.Status == 0 && s.Signal == "" {
		return nil
	}
	return &ExitError{Status: s.Status, Signal: s.Signal, Message: s.Message}
}

// crash says what a signal means that nobody sends to a program to end it, as a
// shell would of its child; empty for others.
func crash(signal string) string {
	words, ok := map[string]string{
		"ABRT": "it aborted", "BUS": "bus error", "FPE": "arithmetic error", "ILL": "illegal instruction",
		"KILL": "it was killed", "SEGV": "segmentation fault", "SYS": "bad system call", "TRAP": "trap",
	}[signal]
	if !ok {
		return ""
	}
	return fmt.Sprintf("the command was ended by signal %s: %s", signal, words)
}

// refused says what a refusal means: a container that ends takes its commands
// along, and one that has started since does not know them.
func (a *attachment) refused(refusal *attach.Refusal) error {
	switch {
	case refusal.Code != attach.CodeGone:
		return &RefusedError{refusal.Message}
	case a.held.attached && !a.answered:
		return ErrGone
	}
	const killed = 128 + 9 // what a shell reports for SIGKILL
	return a.exit(attach.Status{
		Status: killed, Signal: "KILL",
		Message: config.ContainerGone + ": it crashed, ran out of memory, or is being replaced",
	})
}

// broken says what the end of the connection means.
func (a *attachment) broken(err error) error {
	if lost := a.session.client.broken(); lost != nil {
		return lost
	}
	// An agent that is being stopped closes what it serves first.
	return fmt.Errorf("%w: the agent closed the session: %w", ErrConnectionLost, err)
}

// sendInput sends the input that the agent does not have, and what is read from
// then on, until its end or that of the connection. What the agent may not have
// is kept for the next.
func (a *attachment) sendInput(from int64) {
	h := a.held
	buf := make([]byte, attach.MaxData)
	for sent := from; ; {
		h.mu.Lock()
		n := copy(buf, h.pending[sent-h.taken:])
		full, eof := len(h.pending) > attach.InputWindow-attach.MaxData, h.eof
		h.mu.Unlock()
		switch {
		case n > 0:
			if a.send(attach.Stdin, buf[:n]) != nil {
				return
			}
			sent += int64(n)
			if a.tty && bytes.IndexByte(buf[:n], ctrlC) >= 0 {
				go a.session.client.suspect()
			}
		case eof:
			_ = a.send(attach.StdinEOF, nil)
			return
		case full:
			select {
			case <-h.room:
			case <-a.ended:
				return
			}
		default:
			n, err := h.input.read(buf, a.ended)
			select {
			case <-a.ended:
				err = nil // if there was one, it comes again
			default:
			}
			h.mu.Lock()
			h.pending = append(h.pending, buf[:n]...)
			h.eof = err != nil
			h.mu.Unlock()
			if n == 0 && err == nil {
				return
			}
		}
	}
}

// sendSizes passes new sizes on until the command has ended.
func (a *attachment) sendSizes(sizes <-chan Size) {
	for {
		select {
		case <-a.ended:
			return
		case size, ok := <-sizes:
			if !ok || a.sendJSON(attach.Window, attach.Size{Cols: uint16(size.Width), Rows: uint16(size.Height)}) != nil {
				return
			}
		}
	}
}
