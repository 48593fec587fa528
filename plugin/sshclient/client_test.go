package sshclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	server "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

func newProxy(t *testing.T, target string) *tunneltest.Proxy {
	t.Helper()
	p, err := tunneltest.NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// TestHostKeyIsAwaited makes the host key known only after the server has
// shown its own.
func TestHostKeyIsAwaited(t *testing.T) {
	s := newServer(t)
	cfg := s.config()
	asked := make(chan struct{})
	known := make(chan struct{})
	cfg.HostKey = func(context.Context) (ssh.PublicKey, error) {
		close(asked)
		<-known
		return s.hostKey.PublicKey(), nil
	}
	go func() {
		<-asked
		close(known)
	}()
	s.clientAt(t, s.addr, cfg)
}

func TestRefusedLogin(t *testing.T) {
	s := newServer(t)
	unreachable := errors.New("the API server is gone")
	tests := map[string]struct {
		change func(*sshclient.Config)
		want   error
	}{
		"other host key": {func(c *sshclient.Config) {
			c.HostKey = func(context.Context) (ssh.PublicKey, error) { return newKey(t).PublicKey(), nil }
		}, sshclient.ErrHostKeyMismatch},
		"unknown host key": {func(c *sshclient.Config) {
			c.HostKey = func(context.Context) (ssh.PublicKey, error) { return nil, unreachable }
		}, unreachable},
		"no host key": {func(c *sshclient.Config) {
			c.HostKey = func(context.Context) (ssh.PublicKey, error) { return nil, nil }
		}, nil},
		"other user key": {func(c *sshclient.Config) { c.Signer = newKey(t) }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := s.config()
			test.change(&cfg)
			conn := dial(t, s.addr)
			_, err := sshclient.NewClient(t.Context(), conn, cfg)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("NewClient fails with %v, want %v", err, test.want)
			}
			if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is not closed: %v", err)
			}
			noGoroutines(t)
		})
	}
}

// TestCancelLogin ends the context while the server says nothing.
func TestCancelLogin(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		// The client has said hello: now it waits.
		_, _ = conn.Read(make([]byte, 1))
		cancel(why)
	}()
	_, err := sshclient.NewClient(ctx, dial(t, l.Addr().String()), newServer(t).config())
	if !errors.Is(err, why) {
		t.Errorf("NewClient fails with %v", err)
	}
	noGoroutines(t)
}

func TestWait(t *testing.T) {
	t.Run("after Close", func(t *testing.T) {
		client := newServer(t).client(t)
		_ = client.Close()
		if err := client.Wait(); err != nil {
			t.Errorf("Wait fails with %v", err)
		}
		if err := client.Run(t.Context(), sshclient.Command{Line: "true"}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run fails with %v", err)
		}
	})
	t.Run("after a cut", func(t *testing.T) {
		s := newServer(t)
		proxy := newProxy(t, s.addr)
		client := s.clientAt(t, proxy.Addr(), s.config())
		proxy.Cut()
		if err := client.Wait(); !errors.Is(err, sshclient.ErrConnectionLost) {
			t.Errorf("Wait fails with %v", err)
		}
	})
	t.Run("after the agent's end", func(t *testing.T) {
		s := newServer(t)
		client := s.client(t)
		s.stop()
		if err := client.Wait(); !errors.Is(err, sshclient.ErrConnectionLost) {
			t.Errorf("Wait fails with %v", err)
		}
	})
}

// TestKeepalive loses every packet: only silence tells.
func TestKeepalive(t *testing.T) {
	s := newServer(t)
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		go s.HandleConn(network.server)
		client, err := sshclient.NewClient(t.Context(), network.client, s.config())
		if err != nil {
			t.Fatal(err)
		}
		// An hour of nothing but keepalives.
		time.Sleep(time.Hour)
		stream, err := client.Subsystem(t.Context(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		running := make(chan error, 1)
		go func() { running <- client.Run(t.Context(), sshclient.Command{Line: "cat"}) }()
		network.lossy.Store(true)
		start := time.Now()
		if err := client.Wait(); !errors.Is(err, sshclient.ErrConnectionLost) {
			t.Errorf("Wait fails with %v", err)
		}
		if silence := time.Since(start); silence > 20*time.Second {
			t.Errorf("it took %s to notice", silence)
		}
		if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, sshclient.ErrConnectionLost) {
			t.Errorf("the stream ends with %v", err)
		}
		if err := <-running; !errors.Is(err, sshclient.ErrConnectionLost) {
			t.Errorf("the command ends with %v", err)
		}
		_ = network.server.Close()
	})
}

// TestKeepaliveBehindBulk answers no keepalive, but data flows.
func TestKeepaliveBehindBulk(t *testing.T) {
	s := newServer(t)
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		s.RequestHandlers["keepalive@openssh.com"] = func(server.Context, *server.Server, *ssh.Request) (bool, []byte) {
			<-ended
			return true, nil
		}
		network := newNetwork()
		go s.HandleConn(network.server)
		client, err := sshclient.NewClient(t.Context(), network.client, s.config())
		if err != nil {
			t.Fatal(err)
		}
		stream, err := client.Subsystem(t.Context(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := stream.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(stream, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		close(ended)
		_ = client.Close()
		_ = network.server.Close()
	})
}

// memoryNetwork joins two ends without the system, so that synctest sees
// everything that waits.
type memoryNetwork struct {
	client, server *memoryConn
	// lossy makes the network lose all that is written.
	lossy atomic.Bool
}

func newNetwork() *memoryNetwork {
	const packets = 1024
	n := &memoryNetwork{}
	up, down := make(chan []byte, packets), make(chan []byte, packets)
	n.client = &memoryConn{network: n, in: down, out: up, closed: make(chan struct{})}
	n.server = &memoryConn{network: n, in: up, out: down, closed: make(chan struct{})}
	return n
}

// memoryConn is one end of a memoryNetwork.
type memoryConn struct {
	net.Conn
	network *memoryNetwork
	in      <-chan []byte
	out     chan<- []byte
	rest    []byte
	once    sync.Once
	closed  chan struct{}
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		select {
		case c.rest = <-c.in:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *memoryConn) Write(p []byte) (int, error) {
	if c.network.lossy.Load() {
		return len(p), nil
	}
	select {
	case c.out <- bytes.Clone(p):
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *memoryConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

func TestSubsystem(t *testing.T) {
	client := newServer(t).client(t)
	stream, err := client.Subsystem(t.Context(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := stream.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(stream); string(got) != "hello" || err != nil {
		t.Errorf("read %q and %v", got, err)
	}
	for range 2 {
		if err := stream.Close(); err != nil {
			t.Errorf("Close fails with %v", err)
		}
	}
	if _, err := client.Subsystem(t.Context(), "nothing"); err == nil {
		t.Error("an unknown subsystem starts")
	}
}
