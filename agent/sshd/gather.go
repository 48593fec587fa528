//go:build linux

package sshd

import (
	"net"
	"sync"
	"time"
)

const (
	// gatherSize bounds what waits to be written on a connection.
	gatherSize = 256 << 10
	// gatherLinger bounds how long the end of a connection waits for it.
	gatherLinger = time.Second
)

// gatheredConn writes in the background, so that what is written meanwhile
// leaves as one piece. SSH writes each packet in two: on the way through the
// node and the API server every piece costs a frame, read, encrypted and written
// several times.
type gatheredConn struct {
	net.Conn
	mu      sync.Mutex
	changed sync.Cond
	waiting []byte
	err     error
	closed  bool
	// written is closed when nothing is written any more.
	written chan struct{}
}

func gather(conn net.Conn) *gatheredConn {
	c := &gatheredConn{Conn: conn, written: make(chan struct{})}
	c.changed.L = &c.mu
	go c.write()
	return c
}

// Write takes p unless too much waits. An error is that of a write before.
func (c *gatheredConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) >= gatherSize && c.err == nil && !c.closed {
		c.changed.Wait()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	c.waiting = append(c.waiting, p...)
	c.changed.Broadcast()
	return len(p), nil
}

// write writes what waits until the end.
func (c *gatheredConn) write() {
	defer close(c.written)
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.waiting) == 0 && !c.closed {
			c.changed.Wait()
		}
		next := c.waiting
		c.waiting = spare[:0]
		c.changed.Broadcast()
		c.mu.Unlock()
		if len(next) == 0 {
			return
		}
		if _, err := c.Conn.Write(next); err != nil {
			c.mu.Lock()
			c.err = err
			c.changed.Broadcast()
			c.mu.Unlock()
			return
		}
		spare = next
	}
}

// Close lets what was written before leave, for as long as gatherLinger.
func (c *gatheredConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(gatherLinger))
	<-c.written
	return c.Conn.Close()
}
