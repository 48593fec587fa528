package sshclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/test/leak"
)

// echoServer lets one client log in, and serves subsystems that echo, after a lot
// of noise on stderr. It answers global requests or leaves them.
type echoServer struct {
	hostKey, user ssh.Signer
	silent        bool
}

func newEchoServer(t *testing.T) *echoServer {
	t.Helper()
	key := func() ssh.Signer {
		signer, err := sshclient.LoadOrCreateKey(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	return &echoServer{hostKey: key(), user: key()}
}

// serve serves until the connection ends.
func (s *echoServer) serve(conn net.Conn) {
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	cfg.AddHostKey(s.hostKey)
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	go func() {
		for request := range requests {
			if request.WantReply && !s.silent {
				_ = request.Reply(true, nil)
			}
		}
	}()
	for requested := range channels {
		channel, requests, err := requested.Accept()
		if err != nil {
			return
		}
		go func() {
			for request := range requests {
				_ = request.Reply(true, nil)
			}
		}()
		go func() {
			_, _ = io.WriteString(channel.Stderr(), strings.Repeat("noise", 1<<20))
			_, _ = io.Copy(channel, channel)
			_ = channel.Close()
		}()
	}
}

// client logs in over a network.
func (s *echoServer) client(t *testing.T, n *memoryNetwork) *sshclient.Client {
	t.Helper()
	go s.serve(n.server)
	client, err := sshclient.NewClient(t.Context(), n.client, sshclient.Config{
		Signer:  s.user,
		HostKey: func(context.Context) (ssh.PublicKey, error) { return s.hostKey.PublicKey(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// echoed sends a byte and waits for it.
func echoed(stream io.ReadWriter) error {
	if _, err := stream.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(stream, make([]byte, 1))
	return err
}

// TestSubsystem ends its input, and reads to the end.
func TestSubsystem(t *testing.T) {
	network := newNetwork()
	client := newEchoServer(t).client(t, network)
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
	_ = client.Close()
	_ = network.server.Close()
	noGoroutines(t)
}

// TestKeepalive loses every packet: only silence tells.
func TestKeepalive(t *testing.T) {
	s := newEchoServer(t)
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		client := s.client(t, network)
		// An hour of nothing but keepalives.
		time.Sleep(time.Hour)
		stream, err := client.Subsystem(t.Context(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		if err := echoed(stream); err != nil {
			t.Fatal(err)
		}
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
		_ = network.server.Close()
	})
}

// TestKeepaliveAfterWriting loses every packet when somebody types: the wait begins
// then, whenever the next question was due.
func TestKeepaliveAfterWriting(t *testing.T) {
	s := newEchoServer(t)
	for _, phase := range []time.Duration{0, 3 * time.Second, 9 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			network := newNetwork()
			client := s.client(t, network)
			stream, err := client.Subsystem(t.Context(), "echo")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute + phase)
			network.lossy.Store(true)
			start := time.Now()
			if _, err := stream.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if err := client.Wait(); !errors.Is(err, sshclient.ErrSilent) {
				t.Errorf("Wait fails with %v", err)
			}
			if silence := time.Since(start); silence < 10*time.Second || silence > 11*time.Second {
				t.Errorf("it took %s to notice", silence)
			}
			_ = network.server.Close()
		})
	}
}

// TestKeepaliveBehindBulk answers no keepalive, but data flows.
func TestKeepaliveBehindBulk(t *testing.T) {
	s := newEchoServer(t)
	s.silent = true
	synctest.Test(t, func(t *testing.T) {
		network := newNetwork()
		client := s.client(t, network)
		stream, err := client.Subsystem(t.Context(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if err := echoed(stream); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
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

// noGoroutines fails the test if goroutines of the package are left.
func noGoroutines(t testing.TB) {
	t.Helper()
	leak.Goroutines(t, func(stack string) bool {
		// What reads the input waits for it: it is the next command's.
		return leak.Runs(stack, "plugin/sshclient") && !strings.Contains(stack, "sshclient.(*Input)")
	})
}
