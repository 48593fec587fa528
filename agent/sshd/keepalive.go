//go:build linux

package sshd

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// keepaliveMisses is for how many more intervals a client may be silent after it
// was asked.
const keepaliveMisses = 3

// heardConn notices that the client says something.
type heardConn struct {
	net.Conn
	heard atomic.Bool
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, err
}

// heardKey finds the heardConn of a connection in its context.
type heardKey struct{}

// listenTo returns the connection for whoever serves it.
func listenTo(ctx ssh.Context, conn net.Conn) net.Conn {
	c := &heardConn{Conn: conn}
	ctx.SetValue(heardKey{}, c)
	return c
}

// keepAlive asks a client that is silent whether it is still there and closes
// the connection when it does not answer: a laptop that sleeps says no goodbye.
// One that speaks, as the plugin does with keepalives of its own, is not asked.
func (s *Server) keepAlive(ctx ssh.Context) {
	ticker := time.NewTicker(s.config.Keepalive)
	defer ticker.Stop()
	client, _ := ctx.Value(heardKey{}).(*heardConn)
	for missing := 0; ; missing++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		conn, ok := ctx.Value(ssh.ContextKeyConn).(*gossh.ServerConn)
		if !ok || client.heard.Swap(false) {
			// Without a connection the key was accepted a moment ago. If the
			// login fails after all, the context ends.
			missing = -1
			continue
		}
		switch {
		case missing == 0:
			go func() {
				// Whatever comes back is heard. After an error the connection
				// has ended, and the context with it.
				_, _, _ = conn.SendRequest("keepalive@openssh.com", true, nil)
			}()
		case missing >= keepaliveMisses:
			s.config.Log.Info("client does not answer, closing its connection", "client", conn.RemoteAddr())
			conn.Close()
			return
		}
	}
}
