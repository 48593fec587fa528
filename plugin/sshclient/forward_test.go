package sshclient_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// halfEcho serves connections that get all of what they send back, with its
// length before it, only once they have ended their side.
func halfEcho(t *testing.T, l net.Listener) {
	t.Helper()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				data, err := io.ReadAll(conn)
				if err == nil {
					_, _ = fmt.Fprintf(conn, "%d:%s", len(data), data)
				}
			}()
		}
	}()
}

// exchange talks to a halfEcho.
func exchange(conn net.Conn, size int) error {
	defer func() { _ = conn.Close() }()
	data := make([]byte, size)
	_, _ = rand.Read(data)
	if _, err := conn.Write(data); err != nil {
		return err
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if want := fmt.Appendf(nil, "%d:%s", size, data); !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came back, want %d", len(got), len(want))
	}
	return nil
}

// exchangeMany talks to a halfEcho over many connections at once.
func exchangeMany(t *testing.T, dial func() (net.Conn, error)) {
	t.Helper()
	const conns = 50
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() {
			conn, err := dial()
			if err == nil {
				err = exchange(conn, i*5000)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestLocalForward(t *testing.T) {
	s := newServer(t)
	for name, target := range map[string]net.Listener{
		"tcp":  listen(t, "tcp", "127.0.0.1:0"),
		"unix": listen(t, "unix", t.TempDir()+"/socket"),
	} {
		t.Run(name, func(t *testing.T) {
			halfEcho(t, target)
			l := listen(t, "tcp", "127.0.0.1:0")
			// The listener outlives the connection to the pod.
			for range 2 {
				client := s.client(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- client.LocalForward(ctx, l, target.Addr().String()) }()
				exchangeMany(t, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
				why := errors.New("enough")
				cancel(why)
				if err := <-ended; !errors.Is(err, why) {
					t.Errorf("LocalForward ends with %v", err)
				}
				_ = client.Close()
			}
		})
	}
}

func TestLocalForwardRefused(t *testing.T) {
	s := newServer(t)
	cfg := s.config()
	reported := make(chan error, 1)
	cfg.Report = func(err error) { reported <- err }
	client := s.clientAt(t, s.addr, cfg)
	gone := t.TempDir() + "/gone"
	l := listen(t, "tcp", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- client.LocalForward(ctx, l, gone) }()
	conn := dial(t, l.Addr().String())
	if data, err := io.ReadAll(conn); len(data) > 0 {
		t.Errorf("read %q and %v", data, err)
	}
	_ = conn.Close()
	if err := <-reported; !strings.Contains(err.Error(), gone) {
		t.Errorf("reported is %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("LocalForward ends with %v", err)
	}
}

// TestForwardOfLostConnection expects a reset, not the end of the data.
func TestForwardOfLostConnection(t *testing.T) {
	s := newServer(t)
	proxy := newProxy(t, s.addr)
	client := s.clientAt(t, proxy.Addr(), s.config())
	target := listen(t, "tcp", "127.0.0.1:0")
	l := listen(t, "tcp", "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() { ended <- client.LocalForward(t.Context(), l, target.Addr().String()) }()
	conn := dial(t, l.Addr().String())
	defer func() { _ = conn.Close() }()
	remote := accept(t, target)
	_, _ = remote.Write([]byte("half"))
	if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	if err := <-ended; !errors.Is(err, sshclient.ErrConnectionLost) {
		t.Errorf("LocalForward ends with %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Read fails with %v", err)
	}
}

func TestRemoteForward(t *testing.T) {
	s := newServer(t)
	client := s.client(t)
	target := listen(t, "tcp", "127.0.0.1:0")
	halfEcho(t, target)
	// The port is free again at once.
	for range 2 {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- client.RemoteForward(ctx, "127.0.0.1:8080", func(ctx context.Context) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "tcp", target.Addr().String())
			})
		}()
		address := s.awaitForward(t, ended)
		exchangeMany(t, func() (net.Conn, error) { return net.Dial("tcp", address) })
		why := errors.New("enough")
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("RemoteForward ends with %v", err)
		}
	}
}

// awaitForward returns where a remote forward listens.
func (s *testServer) awaitForward(t *testing.T, ended <-chan error) (address string) {
	t.Helper()
	select {
	case address := <-s.forwards.listening:
		return address
	case err := <-ended:
		t.Fatalf("RemoteForward ends with %v", err)
		return ""
	}
}

func TestRemoteForwardTaken(t *testing.T) {
	s := newServer(t)
	client := s.client(t)
	taken := bindAddress{"127.0.0.1", 8080}
	l, ok := s.forwards.open(taken)
	if !ok {
		t.Fatal("the address is taken already")
	}
	defer func() { _ = l.Close() }()
	err := client.RemoteForward(t.Context(), taken.String(), nil)
	if err == nil || !strings.Contains(err.Error(), taken.String()) {
		t.Errorf("RemoteForward fails with %v", err)
	}
}

func TestDial(t *testing.T) {
	s := newServer(t)
	client := s.client(t)
	target := listen(t, "tcp", "127.0.0.1:0")
	halfEcho(t, target)
	conn, err := client.Dial(t.Context(), "tcp", target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != target.Addr().String() {
		t.Errorf("RemoteAddr() = %s", got)
	}
	if err := exchange(conn, 1<<20); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"nowhere", "host:http", "host:70000"} {
		if _, err := client.Dial(t.Context(), "tcp", bad); err == nil {
			t.Errorf("Dial(%q) works", bad)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Dial(ctx, "tcp", target.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial fails with %v", err)
	}
}
