package tunnel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// queueSize bounds what a connection holds in each direction.
	queueSize = 256 << 10
	// linger bounds how long Close waits for the server to take what was
	// written before.
	linger = time.Second
	// courtesy bounds how long the end of a connection that is over already
	// is announced to the API server.
	courtesy = 100 * time.Millisecond
	// reasonWait bounds how long the end of the data waits for the reason.
	reasonWait = time.Second
	// maxMessage bounds the error text of the node that is kept.
	maxMessage = 16 << 10
)

// conn is a connection to a port: two queues, and two goroutines that move
// bytes between them and the frames of the transport. So a deadline that
// passes in the middle of a frame breaks nothing, and small writes that come
// together leave as one frame.
type conn struct {
	// config
	transport *transport
	addr      Addr
	// state
	in, out *queue
	// pong is the id of a ping to answer, or 0.
	pong atomic.Uint32
	// message is the error text of the node; only receive touches it.
	message       strings.Builder
	closing       sync.Once
	sent, arrived chan struct{}
}

// newConn starts the streams for a port on a transport, which it then owns.
func newConn(t *transport, addr Addr) (net.Conn, error) {
	open, err := openStreams(addr.Port)
	if err != nil {
		_ = t.raw.Close()
		return nil, err
	}
	c := &conn{
		transport: t,
		addr:      addr,
		in:        newQueue(queueSize),
		out:       newQueue(queueSize),
		sent:      make(chan struct{}),
		arrived:   make(chan struct{}),
	}
	go c.send(open)
	go c.receive()
	return c, nil
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.Write(p) }

// LocalAddr returns the local end of the connection to the API server.
func (c *conn) LocalAddr() net.Addr { return c.transport.raw.LocalAddr() }

// RemoteAddr returns the Addr in the pod.
func (c *conn) RemoteAddr() net.Addr { return c.addr }

func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}

// Close ends the connection. It waits, at most for linger, until the server
// has taken what was written before.
func (c *conn) Close() error {
	c.closing.Do(func() {
		c.in.abort(net.ErrClosed)
		c.out.finish(net.ErrClosed)
		timer := time.AfterFunc(linger, func() { _ = c.transport.raw.Close() })
		defer timer.Stop()
		<-c.arrived
		<-c.sent
	})
	return nil
}

// send writes frames until the outgoing queue ends.
func (c *conn) send(open []byte) {
	defer close(c.sent)
	_, err := c.transport.Write(open)
	buf := make([]byte, frameHeader+maxData)
	for err == nil {
		n, end := c.out.Read(buf[frameHeader:])
		if errors.Is(end, net.ErrClosed) {
			if _, err = c.transport.Write(farewell()); err == nil {
				return
			}
			break
		}
		if end != nil {
			return
		}
		if id := c.pong.Swap(0); id != 0 {
			_, err = c.transport.Write(appendPing(nil, id))
		}
		if n > 0 && err == nil {
			putDataHeader(buf, 0, n)
			_, err = c.transport.Write(buf[:frameHeader+n])
		}
	}
	err = c.lost("write", err)
	c.out.abort(err)
	c.in.finish(err)
	_ = c.transport.raw.Close()
}

// receive reads frames until the data stream or the transport ends.
func (c *conn) receive() {
	defer close(c.arrived)
	err := c.readFrames()
	// Whoever has read the reason must not be able to write any more.
	refusal := err
	if errors.Is(err, io.EOF) {
		refusal = c.lost("write", syscall.EPIPE)
	}
	c.out.abort(refusal)
	c.in.finish(err)
	// A Write that is stuck must not hold the farewell up.
	_ = c.transport.raw.SetWriteDeadline(time.Now().Add(courtesy))
	_ = c.transport.Close()
}

// streams is how far the streams of a connection are.
type streams struct {
	// dataEnded and errorEnded are true once the server has ended a stream;
	// dataReset, if it broke the data stream off.
	dataEnded, errorEnded, dataReset bool
}

// readFrames returns why nothing more comes. The end of the data counts only
// together with that of the error stream: some servers end the data first and
// tell the reason afterwards.
func (c *conn) readFrames() error {
	r := bufio.NewReaderSize(c.transport, frameHeader+maxData)
	header := make([]byte, frameHeader)
	var s streams
	for pongs := 0; pongs < serverQueues; {
		if s.dataEnded && s.errorEnded {
			return c.end(s)
		}
		if s.dataEnded {
			_ = c.transport.raw.SetReadDeadline(time.Now().Add(reasonWait))
		}
		_, err := io.ReadFull(r, header)
		if err == nil {
			f := parseFrame(header)
			switch {
			case !f.control:
				err = c.readData(r, f, &s)
			case f.kind == typeRstStream && f.length == rstSize:
				err = readReset(r, &s)
			case f.kind == typePing && f.length == pingSize:
				var ours bool
				if ours, err = c.readPing(r); ours {
					pongs++
				}
			default:
				_, err = r.Discard(f.length)
			}
		}
		if err != nil && s.dataEnded {
			return c.end(s)
		}
		if err != nil {
			return c.lost("read", err)
		}
	}
	return net.ErrClosed
}

// readData reads the rest of a data frame.
func (c *conn) readData(r *bufio.Reader, f frame, s *streams) error {
	last := f.flags&flagFin != 0
	switch f.stream {
	case dataStream:
		s.dataEnded = s.dataEnded || last
		return c.in.fill(r, f.length)
	case errorStream:
		s.errorEnded = s.errorEnded || last
		keep := min(f.length, maxMessage-c.message.Len())
		if _, err := io.CopyN(&c.message, r, int64(keep)); err != nil {
			return err
		}
		_, err := r.Discard(f.length - keep)
		return err
	default:
		_, err := r.Discard(f.length)
		return err
	}
}

// readReset reads the rest of a frame that breaks a stream off.
func readReset(r *bufio.Reader, s *streams) error {
	b := make([]byte, rstSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	switch binary.BigEndian.Uint32(b) {
	case dataStream:
		s.dataReset = !s.dataEnded
		s.dataEnded = true
	case errorStream:
		s.errorEnded = true
	}
	return nil
}

// readPing reads the rest of a ping. A server's own, with an even id, is left
// for send to answer.
func (c *conn) readPing(r *bufio.Reader) (ours bool, err error) {
	b := make([]byte, pingSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return false, err
	}
	id := binary.BigEndian.Uint32(b)
	if id%2 == 1 {
		return true, nil
	}
	c.pong.Store(id)
	c.out.wake()
	return false, nil
}

// end returns the reason that the node gave for ending the data stream.
func (c *conn) end(s streams) error {
	switch {
	case c.message.Len() > 0:
		return &RemoteError{Addr: c.addr, Message: c.message.String()}
	case s.dataReset:
		return c.lost("read", syscall.ECONNRESET)
	default:
		return io.EOF
	}
}

// lost describes a failure of the transport.
func (c *conn) lost(op string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &net.OpError{Op: op, Net: c.addr.Network(), Addr: c.addr, Err: fmt.Errorf("connection to the API server: %w", err)}
}
