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
	requests chan *syncproto.Request // from the other end, at most a window

	slots   chan struct{} // one for each of our requests on its way
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan *syncproto.Data

	closed chan struct{}  // closed when the session ends
	drain  sync.WaitGroup // of goroutines that wait for answers nobody wants
}

func newLink(conn io.ReadWriteCloser) (*link, error) {
	c, err := syncproto.NewConn(conn)
	if err != nil {
		return nil, err
	}
	return &link{
		conn:     c,
		requests: make(chan *syncproto.Request, syncproto.WindowRequests),
		slots:    make(chan struct{}, syncproto.WindowRequests),
		waiting:  map[uint64]chan *syncproto.Data{},
		closed:   make(chan struct{}),
	}, nil
}

// close ends the link, and returns when no goroutine of it is left.
func (l *link) close() {
	_ = l.conn.Close()
	close(l.closed)
	l.drain.Wait()
}

// read reads messages until the connection or ctx ends. Requests and data are
// its own business, anything else goes to handle.
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
			select {
			case l.requests <- m:
			default:
				return fmt.Errorf("%w: more than %d requests at once", ErrProtocol, syncproto.WindowRequests)
			}
		case *syncproto.Data:
			if err := l.deliver(m); err != nil {
				return err
			}
		case *syncproto.Stop:
			return stopError(m)
		default:
			if err := handle(m); err != nil {
				return err
			}
		}
	}
}

// deliver hands data to the request that asked for it.
func (l *link) deliver(m *syncproto.Data) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ch := l.waiting[m.ID]
	if ch == nil {
		return fmt.Errorf("%w: data that nobody asked for", ErrProtocol)
	}
	delete(l.waiting, m.ID)
	ch <- m // it has room for one
	return nil
}

// request asks for a piece; the answer arrives in the returned channel. The
// caller holds a slot and gives it back after the answer.
func (l *link) request(path string, d syncproto.Digest, offset int64, length int) (<-chan *syncproto.Data, error) {
	ch := make(chan *syncproto.Data, 1)
	l.mu.Lock()
	l.next++
	id := l.next
	l.waiting[id] = ch
	l.mu.Unlock()
	return ch, l.conn.Write(&syncproto.Request{
		ID: id, Path: path, Digest: d, Offset: uint64(offset), Length: uint32(length),
	})
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
	return &StopError{Code: m.Code, Text: m.Text}
}
