package engine

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
)

// frail is a connection that breaks, at first in one direction.
type frail struct {
	net.Conn
	files  int // in the pod
	broken chan struct{}

	mu          sync.Mutex
	read, write int // what it lets pass yet: bytes, writes
}

var errBroken = errors.New("the connection broke")

func (c *frail) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read -= n; c.read < 0 {
		c.end()
		return 0, errBroken
	}
	return n, err
}

func (c *frail) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.write--
	left := c.write
	if left < 0 {
		c.end()
	}
	c.mu.Unlock()
	if left < 0 {
		return 0, errBroken
	}
	return c.Conn.Write(b)
}

func (c *frail) end() {
	select {
	case <-c.broken:
	default:
		close(c.broken)
	}
}

// TestCutIsNoTroubleOfPaths breaks the connection while the laptop fetches many
// files: none of them is to blame, whichever of reading and writing notices
// first.
func TestCutIsNoTroubleOfPaths(t *testing.T) {
	const much = 1 << 30
	for name, c := range map[string]*frail{
		"reading": {files: 300, read: 400_000, write: much},
		"writing": {files: 20, read: much, write: 10},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			for i := range c.files {
				write(t, p.pod, fmt.Sprint("f", i), string(random(byte(i), 5000)))
			}
			p.boot()
			a, b := net.Pipe()
			c.Conn, c.broken = a, make(chan struct{})
			s := p.connect(c, b)
			<-c.broken
			<-s.leads
			s.leads <- nil
			s.stop()
			if n := p.told(Warning, ""); n > 0 {
				t.Errorf("%d warnings about a connection", n)
			}
			s = p.start()
			defer s.stop()
			p.settle()
		})
	}
}
