package clusternet

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

const (
	// prefaceTimeout bounds what a client says before it is connected.
	prefaceTimeout = 10 * time.Second
	// dialTimeout bounds connecting, the wait for a lost connection included.
	dialTimeout = 30 * time.Second
)

// peeked is a connection of which something was read ahead.
type peeked struct {
	net.Conn
	ahead *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.ahead.Read(b) }

// CloseWrite ends one direction, where the connection can.
func (p peeked) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return p.Close()
}

// SetLinger lets the connection be reset, where it can.
func (p peeked) SetLinger(seconds int) error {
	if c, ok := p.Conn.(interface{ SetLinger(int) error }); ok {
		return c.SetLinger(seconds)
	}
	return nil
}

// serveProxy accepts connections, and tells SOCKS from HTTP by their first byte.
func (d *Doors) serveProxy(ctx context.Context) error {
	web := newHandover(d.proxy.Addr())
	group, ctx := errgroup.WithContext(ctx)
	d.web.BaseContext = func(net.Listener) context.Context { return ctx }
	group.Go(func() error {
		if err := d.web.Serve(web); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving the proxy: %w", err)
		}
		return nil
	})
	defer context.AfterFunc(ctx, func() { _ = d.web.Close(); _ = d.proxy.Close() })()
	group.Go(func() error {
		for {
			conn, err := d.proxy.Accept()
			if err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return fmt.Errorf("accepting connections of the proxy: %w", err)
			}
			group.Go(func() error {
				d.welcome(ctx, peeked{conn, bufio.NewReader(conn)}, web)
				return nil
			})
		}
	})
	return group.Wait()
}

// welcome looks at a connection's first byte, and has it served.
func (d *Doors) welcome(ctx context.Context, conn peeked, web *handover) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(prefaceTimeout))
	first, err := conn.ahead.Peek(1)
	switch {
	case err != nil:
		_ = conn.Close()
	case first[0] != socksVersion:
		_ = conn.SetDeadline(time.Time{})
		stop()
		web.give(conn)
		return
	default:
		d.serveSOCKS(ctx, conn)
	}
	stop()
}

// serveSOCKS serves one connection of SOCKS.
func (d *Doors) serveSOCKS(ctx context.Context, conn peeked) {
	defer func() { _ = conn.Close() }()
	address, err := greetSOCKS(conn, d.trusted)
	if err != nil {
		return // it was answered
	}
	// The answer may take longer than the preface.
	_ = conn.SetDeadline(time.Time{})
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	_, port, _ := net.SplitHostPort(address)
	remote, err := d.dial(dialing, address, port == "443")
	if _, failed := conn.Write(socksAnswer(err)); err != nil || failed != nil {
		if err == nil {
			_ = remote.Close()
		}
		return
	}
	sshclient.Pipe(ctx, conn, remote)
}

// trusted tells whether a client knows the credentials.
func (d *Doors) trusted(name, password string) bool {
	return subtle.ConstantTimeCompare([]byte(name), []byte(user))&
		subtle.ConstantTimeCompare([]byte(password), []byte(d.password)) == 1
}

// handover is a listener whose connections another one accepts.
type handover struct {
	addr  net.Addr
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newHandover(addr net.Addr) *handover {
	return &handover{addr: addr, conns: make(chan net.Conn), ended: make(chan struct{})}
}

// give hands a connection over.
func (h *handover) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.ended:
		_ = conn.Close()
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.ended) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }
