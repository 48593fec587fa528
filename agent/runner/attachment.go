//go:build linux

package runner

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// attachment is one connection of a client.
type attachment struct {
	held   *held
	client *heldClient
	owner  bool
	conn   net.Conn

	// The lock of held guards these.

	// sent is how far the client was sent the outputs, told how much of its
	// input it knows to be taken.
	sent [2]int64
	told int64
	// over is true when the exit was sent, gone when nothing more may come
	// from here.
	over, gone bool
}

// serveAttach serves a client of the protocol of agent/attach.
func (r *Runner) serveAttach(conn net.Conn, in *bufio.Reader, extra Attach) error {
	t, payload, err := attach.Read(in)
	if err != nil {
		return ignoreClosed(err)
	}
	if t == attach.List {
		return ignoreClosed(attach.WriteJSON(conn, attach.Sessions, r.holding.list()))
	}
	var q attach.Request
	if err := frame.Decode(t, attach.Open, payload, &q); err != nil {
		return err
	}
	if refusal := q.Verify(); refusal != nil {
		return ignoreClosed(attach.WriteJSON(conn, attach.Refused, refusal))
	}
	a, err := r.attach(conn, q, extra.Env)
	if err != nil {
		return ignoreClosed(refuse(conn, err))
	}
	return a.serve(in)
}

// refuse says why a client gets no session: a command that could not be run has
// an exit status all the same.
func refuse(conn net.Conn, err error) error {
	if refusal, ok := errors.AsType[*attach.Refusal](err); ok {
		return attach.WriteJSON(conn, attach.Refused, refusal)
	}
	return attach.WriteJSON(conn, attach.Exit, attach.Status(notStarted(err)))
}

// attach begins a connection to a session, in place of an older one of the same
// client, and tells the client where.
func (r *Runner) attach(conn net.Conn, q attach.Request, env []string) (*attachment, error) {
	h, err := r.hold(q, env)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.forgotten {
		return nil, &attach.Refusal{Code: attach.CodeGone, Message: "the session has ended"}
	}
	if q.Stdout > h.outputs[0].end || q.Stderr > h.outputs[1].end {
		return nil, &attach.Refusal{Code: attach.CodeMalformed, Message: "the client has more output than there was"}
	}
	c, err := h.client(q.Client)
	if err != nil {
		return nil, err
	}
	again := c.at != nil || q.Start == nil
	if c.at != nil {
		c.at.gone = true
		c.at.conn.Close()
	}
	a := &attachment{held: h, client: c, owner: q.Client == h.owner, conn: conn, told: c.taken}
	a.sent = [2]int64{max(q.Stdout, h.outputs[0].begin), max(q.Stderr, h.outputs[1].begin)}
	c.at = a
	if h.exit == nil {
		h.timer.Stop()
	}
	if q.Size != nil {
		c.size = *q.Size
	}
	h.fit(again)
	r.markSession(conn)
	err = attach.WriteJSON(conn, attach.Attached, attach.Position{
		Stdin: c.arrived, Stdout: a.sent[0], Stderr: a.sent[1], TTY: h.process.tty,
	})
	if err != nil {
		a.leave()
	}
	return a, err
}

// client returns the client of a name. Of too many, one that is away makes
// room, but never the owner.
func (h *held) client(name string) (*heldClient, error) {
	if c, ok := h.clients[name]; ok {
		return c, nil
	}
	if len(h.clients) >= maxClients {
		for other, c := range h.clients {
			if c.at == nil && other != h.owner {
				c.input.end()
				delete(h.clients, other)
				break
			}
		}
	}
	if len(h.clients) >= maxClients {
		return nil, &attach.Refusal{Code: attach.CodeBusy, Message: fmt.Sprintf("%d clients are attached to the session already", maxClients)}
	}
	c := &heldClient{input: newWindow(attach.InputWindow)}
	h.clients[name] = c
	if h.exit != nil {
		c.input.end()
		return c, nil
	}
	h.runner.holding.group.Go(func() { h.feed(c, name == h.owner) })
	return c, nil
}

// serve moves what comes and goes until the connection ends.
func (a *attachment) serve(in *bufio.Reader) error {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		a.send()
	}()
	err := a.receive(in)
	if err != nil {
		_ = attach.WriteJSON(a.conn, attach.Refused, attach.Refusal{Code: attach.CodeMalformed, Message: err.Error()})
	}
	a.held.mu.Lock()
	a.leave()
	a.held.mu.Unlock()
	a.conn.Close()
	<-sent
	return err
}

// leave notes that the connection is over. From then on nobody holds the
// process up, and it is given some time.
func (a *attachment) leave() {
	h := a.held
	a.gone = true
	if a.client.at == a {
		a.client.at = nil
	}
	h.changed.Broadcast()
	switch {
	case h.attached() > 0:
		h.fit(false)
	case h.forgotten:
		for i := range h.outputs {
			h.outputs[i].release()
		}
	case h.exit == nil:
		h.timer.Reset(h.runner.grace.linger)
	}
}

// send sends what there is until the exit was sent or the connection ends.
func (a *attachment) send() {
	buf := make([]byte, frame.HeaderSize+attach.MaxData)
	for b := a.next(buf); b != nil; b = a.next(buf) {
		if _, err := a.conn.Write(b); err != nil {
			return // receive hears what the client said before it left
		}
	}
}

// next waits for what the client has to be sent; nil when there will be no
// more.
func (a *attachment) next(buf []byte) []byte {
	h := a.held
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if a.gone || a.over {
			return nil
		}
		if taken := a.client.taken; taken > a.told {
			a.told = taken
			return attach.NewTaken(taken)
		}
		for i, t := range []attach.Type{attach.Stdout, attach.Stderr} {
			if n := h.outputs[i].read(a.sent[i], buf[frame.HeaderSize:]); n > 0 {
				frame.Put(buf, t, n)
				a.sent[i] += int64(n)
				h.changed.Broadcast()
				return buf[:frame.HeaderSize+n]
			}
		}
		if h.exit != nil {
			a.over = true
			if b, err := frame.JSON(attach.Exit, h.exit, attach.MaxMessage); err == nil {
				return b
			}
			return nil
		}
		h.changed.Wait()
	}
}

// receive handles what the client sends until the connection ends.
func (a *attachment) receive(in *bufio.Reader) error {
	for {
		t, payload, err := attach.Read(in)
		if err != nil {
			return ignoreClosed(err)
		}
		switch t {
		case attach.Signal:
			if !a.held.over() {
				a.held.process.signal(string(payload))
			}
		case attach.HangUp:
			// A client that takes no more output must not hold up the end.
			a.held.mu.Lock()
			a.leave()
			a.held.mu.Unlock()
			a.held.hangUp()
			<-a.held.ended
			a.held.forget()
			return nil
		case attach.Done:
			if a.owner && a.exited() {
				a.held.forget()
			}
			return nil
		default:
			err = a.take(t, payload)
		}
		if err != nil {
			return err
		}
	}
}

// exited tells whether the client may know of the exit.
func (a *attachment) exited() bool {
	a.held.mu.Lock()
	defer a.held.mu.Unlock()
	return a.over
}

// take takes input. What comes over a connection that was replaced is what the
// new one brings again.
func (a *attachment) take(t attach.Type, payload []byte) error {
	h := a.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.gone {
		return nil
	}
	switch t {
	case attach.Stdin:
		if h.exit != nil {
			return nil
		}
		a.client.arrived += int64(len(payload))
		return a.client.input.put(payload)
	case attach.StdinEOF:
		if a.owner {
			a.client.input.end()
		}
		return nil
	case attach.Window:
		var size attach.Size
		if err := json.Unmarshal(payload, &size); err != nil {
			return err
		}
		a.client.size = size
		h.fit(false)
		return nil
	}
	return fmt.Errorf("unexpected frame %d", t)
}
