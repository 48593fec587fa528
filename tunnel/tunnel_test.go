package tunnel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/kubectl-okteto/kubectl-okteto/test/leak"
	"github.com/kubectl-okteto/kubectl-okteto/tunnel"
	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

const port = 2222

// patience bounds waits for what happens at once on an idle machine.
const patience = 30 * time.Second

// transports are the ways that a server may let us in.
func transports() map[string]tunneltest.Options {
	return map[string]tunneltest.Options{
		"WebSocket":          {},
		"WebSocket over TLS": {TLS: true},
		"SPDY":               {NoWebSocket: true},
		"SPDY over TLS":      {NoWebSocket: true, TLS: true},
		"with pings":         {Pings: time.Millisecond},
	}
}

// eachTransport runs a test with a server whose pod default/api has a port
// that leads to the listener.
func eachTransport(t *testing.T, test func(t *testing.T, s *tunneltest.PodServer, target net.Listener)) {
	for name, opts := range transports() {
		t.Run(name, func(t *testing.T) {
			target := listen(t)
			s := tunneltest.NewPodServer(opts)
			s.SetPod("default", "api", map[int]string{port: target.Addr().String()})
			defer noGoroutines(t)
			defer s.Close()
			test(t, s, target)
		})
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// noGoroutines fails the test if a connection leaves a goroutine behind. Those
// of a canceled dial end by themselves, which nobody waits for.
func noGoroutines(t *testing.T) {
	t.Helper()
	leak.Goroutines(t, func(stack string) bool { return leak.Runs(stack, "tunnel") })
}

func dialer(t *testing.T, cfg *rest.Config, pod string) *tunnel.Dialer {
	t.Helper()
	d, err := tunnel.NewDialer(cfg, "default", pod)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func dial(t *testing.T, s *tunneltest.PodServer, port int) net.Conn {
	t.Helper()
	conn, err := dialer(t, s.Config(), "api").DialContext(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := acceptSoon(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// acceptSoon accepts a connection that should be there by now.
func acceptSoon(l net.Listener) (net.Conn, error) {
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	return l.Accept()
}

// TestConn holds a connection to the contract of net.Conn.
func TestConn(t *testing.T) {
	eachTransport(t, func(t *testing.T, s *tunneltest.PodServer, target net.Listener) {
		d := dialer(t, s.Config(), "api")
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			c1, err = d.DialContext(t.Context(), port)
			if err != nil {
				return nil, nil, nil, err
			}
			c2, err = acceptSoon(target)
			if err != nil {
				return nil, nil, nil, err
			}
			return c1, c2, func() {
				_ = c2.Close()
				_ = c1.Close()
			}, nil
		})
	})
}

func TestAddr(t *testing.T) {
	eachTransport(t, func(t *testing.T, s *tunneltest.PodServer, target net.Listener) {
		conn := dial(t, s, port)
		defer func() { _ = conn.Close() }()
		if got := conn.RemoteAddr(); got.String() != "default/api:2222" || got.Network() != "port-forward" {
			t.Errorf("RemoteAddr() = %s %s", got.Network(), got)
		}
		if _, ok := conn.LocalAddr().(*net.TCPAddr); !ok {
			t.Errorf("LocalAddr() = %v", conn.LocalAddr())
		}
		_ = accept(t, target).Close()
	})
}

// TestCloseDelivers sends more than all buffers hold, closes at once and
// expects everything to arrive.
func TestCloseDelivers(t *testing.T) {
	eachTransport(t, func(t *testing.T, s *tunneltest.PodServer, target net.Listener) {
		conn := dial(t, s, port)
		remote := accept(t, target)
		want := make([]byte, 3<<20)
		_, _ = rand.Read(want)
		go func() {
			_, _ = conn.Write(want)
			_ = conn.Close()
		}()
		got, err := io.ReadAll(remote)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived of %d, error %v", len(got), len(want), err)
		}
		_ = remote.Close()
		_ = conn.Close()
	})
}

func TestRemoteEnd(t *testing.T) {
	eachTransport(t, func(t *testing.T, s *tunneltest.PodServer, target net.Listener) {
		conn := dial(t, s, port)
		defer func() { _ = conn.Close() }()
		remote := accept(t, target)
		_, _ = remote.Write([]byte("bye"))
		_ = remote.Close()
		if got, err := io.ReadAll(conn); string(got) != "bye" || err != nil {
			t.Errorf("read %q and %v", got, err)
		}
	})
}

func TestClosedPort(t *testing.T) {
	eachTransport(t, func(t *testing.T, s *tunneltest.PodServer, _ net.Listener) {
		conn := dial(t, s, port+1)
		defer func() { _ = conn.Close() }()
		_, err := conn.Read(make([]byte, 1))
		var remote *tunnel.RemoteError
		if !errors.As(err, &remote) || !strings.Contains(remote.Message, "connection refused") || remote.Addr.Port != port+1 {
			t.Errorf("Read fails with %v", err)
		}
		if _, err := conn.Write([]byte("x")); !errors.As(err, &remote) {
			t.Errorf("Write fails with %v", err)
		}
	})
}

func TestNoPod(t *testing.T) {
	eachTransport(t, func(t *testing.T, s *tunneltest.PodServer, _ net.Listener) {
		_, err := dialer(t, s.Config(), "gone").DialContext(t.Context(), port)
		if !apierrors.IsNotFound(err) {
			t.Errorf("DialContext fails with %v", err)
		}
	})
}

func TestLostConnection(t *testing.T) {
	eachTransport(t, func(t *testing.T, s *tunneltest.PodServer, target net.Listener) {
		conn := dial(t, s, port)
		defer func() { _ = conn.Close() }()
		_ = accept(t, target)
		s.CutAll()
		_, err := conn.Read(make([]byte, 1))
		if err == nil {
			t.Fatal("Read goes on")
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("Write goes on")
		}
	})
}

func TestFallback(t *testing.T) {
	s := tunneltest.NewPodServer(tunneltest.Options{NoWebSocket: true})
	defer s.Close()
	target := listen(t)
	s.SetPod("default", "api", map[int]string{port: target.Addr().String()})
	d := dialer(t, s.Config(), "api")
	for range 2 {
		conn, err := d.DialContext(t.Context(), port)
		if err != nil {
			t.Fatal(err)
		}
		_ = accept(t, target).Close()
		_ = conn.Close()
	}
	if webSockets, spdys := s.Upgrades(); webSockets != 0 || spdys != 2 {
		t.Errorf("%d WebSockets and %d SPDY connections", webSockets, spdys)
	}
}

func TestPrefersWebSocket(t *testing.T) {
	s := tunneltest.NewPodServer(tunneltest.Options{})
	defer s.Close()
	s.SetPod("default", "api", map[int]string{port: listen(t).Addr().String()})
	_ = dial(t, s, port).Close()
	if webSockets, spdys := s.Upgrades(); webSockets != 1 || spdys != 0 {
		t.Errorf("%d WebSockets and %d SPDY connections", webSockets, spdys)
	}
}

// TestCancel ends the context while the server says nothing, before and after
// it takes the connection.
func TestCancel(t *testing.T) {
	eachTransport(t, func(t *testing.T, s *tunneltest.PodServer, _ net.Listener) {
		proxy, err := tunneltest.NewProxy(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = proxy.Close() }()
		proxy.BlackHole(true)
		cfg := s.Config()
		cfg.Host = strings.Replace(cfg.Host, s.Addr(), proxy.Addr(), 1)
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := dialer(t, cfg, "api").DialContext(ctx, port)
			failed <- err
		}()
		go func() {
			if err := proxy.AwaitConnection(ctx); err == nil {
				cancel(why)
			}
		}()
		if err := <-failed; !errors.Is(err, why) {
			t.Errorf("DialContext fails with %v", err)
		}
	})
}

// TestCloseInBlackHole closes a connection to a server that no longer answers,
// with a Write that waits.
func TestCloseInBlackHole(t *testing.T) {
	target := listen(t)
	s := tunneltest.NewPodServer(tunneltest.Options{})
	defer s.Close()
	s.SetPod("default", "api", map[int]string{port: target.Addr().String()})
	proxy, err := tunneltest.NewProxy(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()
	conn, err := dialer(t, &rest.Config{Host: "http://" + proxy.Addr()}, "api").DialContext(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	_ = accept(t, target)
	proxy.BlackHole(true)
	written := make(chan error, 1)
	go func() {
		chunk := make([]byte, 1<<20)
		for {
			if _, err := conn.Write(chunk); err != nil {
				written <- err
				return
			}
		}
	}()
	_ = conn.Close()
	if err := <-written; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write fails with %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read fails with %v", err)
	}
	noGoroutines(t)
}

func BenchmarkDial(b *testing.B) {
	for name, opts := range transports() {
		b.Run(name, func(b *testing.B) {
			s := tunneltest.NewPodServer(opts)
			defer s.Close()
			target, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = target.Close() }()
			s.SetPod("default", "api", map[int]string{port: target.Addr().String()})
			d, err := tunnel.NewDialer(s.Config(), "default", "api")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				conn, err := d.DialContext(b.Context(), port)
				if err != nil {
					b.Fatal(err)
				}
				remote, err := acceptSoon(target)
				if err != nil {
					b.Fatal(err)
				}
				_ = remote.Close()
				_ = conn.Close()
			}
		})
	}
}

func BenchmarkCopy(b *testing.B) {
	for name, opts := range transports() {
		for _, direction := range []string{"up", "down"} {
			b.Run(name+" "+direction, func(b *testing.B) {
				s := tunneltest.NewPodServer(opts)
				defer s.Close()
				target, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = target.Close() }()
				s.SetPod("default", "api", map[int]string{port: target.Addr().String()})
				d, err := tunnel.NewDialer(s.Config(), "default", "api")
				if err != nil {
					b.Fatal(err)
				}
				from, err := d.DialContext(b.Context(), port)
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = from.Close() }()
				to, err := acceptSoon(target)
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = to.Close() }()
				if direction == "down" {
					from, to = to, from
				}
				chunk := make([]byte, 1<<20)
				b.SetBytes(int64(len(chunk)))
				go func() {
					for {
						if _, err := from.Write(chunk); err != nil {
							return
						}
					}
				}()
				for b.Loop() {
					if _, err := io.ReadFull(to, chunk); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
