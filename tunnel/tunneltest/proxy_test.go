package tunneltest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

// newEcho starts a proxy in front of a server that sends back what it gets.
func newEcho(t *testing.T) *tunneltest.Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	p, err := tunneltest.NewProxy(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func connect(t *testing.T, p *tunneltest.Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// echo sends data with its end and expects both back.
func echo(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	want := make([]byte, 1<<20)
	_, _ = rand.Read(want)
	go func() {
		_, _ = conn.Write(want)
		_ = conn.CloseWrite()
	}()
	if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes come back of %d, error %v", len(got), len(want), err)
	}
}

func TestProxyPassesOn(t *testing.T) {
	p := newEcho(t)
	echo(t, connect(t, p))
	p.SetDelay(5 * time.Millisecond)
	start := time.Now()
	echo(t, connect(t, p))
	if passed := time.Since(start); passed < 10*time.Millisecond {
		t.Errorf("the delay is %s", passed)
	}
}

func TestProxyCounts(t *testing.T) {
	p := newEcho(t)
	echo(t, connect(t, p))
	if got, want := p.Traffic(), (tunneltest.Traffic{Sent: 1 << 20, Received: 1 << 20}); got != want {
		t.Errorf("the traffic is %+v, want %+v", got, want)
	}
}

func TestProxyFaults(t *testing.T) {
	p := newEcho(t)
	conn := connect(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.AwaitConnection(ctx); err != nil {
		t.Fatal(err)
	}
	p.BlackHole(true)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("something comes out of the black hole")
	}
	_ = conn.SetReadDeadline(time.Time{})
	p.BlackHole(false)
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Errorf("what was held back is lost: %v", err)
	}
	p.Cut()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is not cut")
	}
	p.Refuse(true)
	if _, err := connect(t, p).Read(make([]byte, 1)); err == nil {
		t.Error("the connection is not refused")
	}
	p.Refuse(false)
	echo(t, connect(t, p))
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
