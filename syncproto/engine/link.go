package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// ErrProtocol means that the other end broke a rule of SPEC.md.
var ErrProtocol = errors.New("the other end broke the sync protocol")

// link is a connection and what is on its way in it. Its reader never waits
// for anything but the connection: whatever may arrive was paid for by a
// window, and has room.
type link struct {
	conn     *syncproto.Conn
	requests chan wanted // from the other end, at most a window
	gentle   sync.Mutex  // held by who answers while sync gives way

	slots   chan struct{} // one for each of our requests on its way
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]question
}

// wanted is a request of the other end: one of both.
type wanted struct {
	piece  *syncproto.Request
	chunks *syncproto.Chunks
}

// question is a request of ours on its way.
type question struct {
	kind   syncproto.Type         // of the answer
	answer chan syncproto.Message // has room for it
}

func newLink(conn io.ReadWriteCloser) (*link, error) {
	c, err := syncproto.NewConn(conn)
	if err != nil {
		return nil, err
	}
	return &link{
		conn:     c,
		requests: make(chan wanted, syncproto.WindowRequests),
		slots:    make(chan struct{}, syncproto.WindowRequests),
		waiting:  map[uint64]question{},
	}, nil
}

// close ends the link.
func (l *link) close() { _ = l.conn.Close() }

// read reads messages until the connection or ctx ends. Requests and their
// answers are its own business, anything else goes to handle.
func (l *link) read(ctx context.Context, handle func(syncproto.Message) error) error {
	for {
		m, err := l.conn.Read()
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		switch m := m.(type) {
		case *syncproto.Request:
			err = l.queue(wanted{piece: m})
		case *syncproto.Chunks:
			err = l.queue(wanted{chunks: m})
		case *syncproto.Data:
			err = l.deliver(m.ID, m)
		case *syncproto.ChunkList:
			err = l.deliver(m.ID, m)
		case *syncproto.Stop:
			err = stopError(m)
		default:
			err = handle(m)
		}
		if err != nil {
			return err
		}
	}
}

// queue takes a request for the supplier.
func (l *link) queue(w wanted) error {
	select {
	case l.requests <- w:
		return nil
	default:
		return fmt.Errorf("%w: more than %d requests at once", ErrProtocol, syncproto.WindowRequests)
	}
}

// deliver hands an answer to the request that asked for it, and makes room for
// the next one.
func (l *link) deliver(id uint64, m syncproto.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	q, ok := l.waiting[id]
	if !ok || q.kind != m.Type() {
		return fmt.Errorf("%w: an answer that nobody asked for", ErrProtocol)
	}
	delete(l.waiting, id)
	q.answer <- m
	<-l.slots
	return nil
}

// ask waits for room in the window and sends the request that build makes with
// an id. Its answer, of the given kind, arrives in the returned channel.
func (l *link) ask(ctx context.Context, kind syncproto.Type, build func(id uint64) syncproto.Message) (<-chan syncproto.Message, error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	q := question{kind: kind, answer: make(chan syncproto.Message, 1)}
	l.mu.Lock()
	l.next++
	id := l.next
	l.waiting[id] = q
	l.mu.Unlock()
	return q.answer, l.conn.Write(build(id))
}

// StopError means that the other end closed the session and said why.
type StopError struct {
	Code syncproto.StopCode
	Text string
}

// Error returns the other end's text.
func (e *StopError) Error() string { return "the other end stopped sync: " + e.Text }

// stopError returns the error for a stop message; an orderly one is io.EOF.
func stopError(m *syncproto.Stop) error {
	if m.Code == syncproto.StopClosed {
		return io.EOF
	}
	return &StopError{Code: m.Code, Text: plain(m.Text)}
}
