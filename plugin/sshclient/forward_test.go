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
				ended := make(chan error)
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
	gone := listen(t, "tcp", "127.0.0.1:0")
	_ = gone.Close()
	l := listen(t, "tcp", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- client.LocalForward(ctx, l, gone.Addr().String()) }()
	conn := dial(t, l.Addr().String())
	if data, err := io.ReadAll(conn); len(data) > 0 {
		t.Errorf("read %q and %v", data, err)
	}
	_ = conn.Close()
	if err := <-reported; !strings.Contains(err.Error(), gone.Addr().String()) {
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
	ended := make(chan error)
	go func() { ended <- client.LocalForward(t.Context(), l, target.Addr().String()) }()
	conn := dial(t, l.Addr().String())
	defer func() { _ = conn.Close() }()
	remote, err := target.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remote.Close() }()
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
	client := newServer(t).client(t)
	target := listen(t, "tcp", "127.0.0.1:0")
	halfEcho(t, target)
	// The port is free again at once.
	bind := freeAddress(t)
	for range 2 {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() {
			ended <- client.RemoteForward(ctx, bind, func(ctx context.Context) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "tcp", target.Addr().String())
			})
		}()
		exchangeMany(t, func() (net.Conn, error) { return dialUntilOpen(ctx, bind) })
		why := errors.New("enough")
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("RemoteForward ends with %v", err)
		}
	}
}

func TestRemoteForwardTaken(t *testing.T) {
	client := newServer(t).client(t)
	taken := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	err := client.RemoteForward(t.Context(), taken, nil)
	if err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("RemoteForward fails with %v", err)
	}
}

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l := listen(t, "tcp", "127.0.0.1:0")
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// dialUntilOpen connects to a port that is about to be opened.
func dialUntilOpen(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
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
