//go:build linux

package sshd

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// TestKeepalive lets a client speak for an hour, as the plugin does, answer for
// another as OpenSSH does, and then sleep. Nothing goes through the system, so
// that only the clock decides.
func TestKeepalive(t *testing.T) {
	hostKey, _ := newKey(t)
	key, line := newKey(t)
	keys, err := NewAuthorizedKeys([]string{line}, t.TempDir(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		served, counts := make(chan error, 1), make(chan int, 10)
		config := Config{
			HostKey: hostKey, Authorized: keys.Contains, Runner: fakeRunner{}, Log: quiet(),
			OnChange: func(clients, _ int) { counts <- clients },
		}
		go func() { served <- New(config).Serve(ctx, newSingle(newBuffered(far))) }()
		client, chans, asked, err := gossh.NewClientConn(newBuffered(near), "", &gossh.ClientConfig{
			Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.FixedHostKey(hostKey.PublicKey()),
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for c := range chans {
				_ = c.Reject(gossh.Prohibited, "")
			}
		}()
		for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(10 * time.Second) {
			if _, _, err := client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
				t.Fatal(err)
			}
			if len(asked) > 0 {
				t.Fatal("a client that speaks is asked whether it is there")
			}
		}
		for start := time.Now(); time.Since(start) < time.Hour; {
			since := time.Now()
			req := <-asked
			if req == nil || req.Type != "keepalive@openssh.com" || time.Since(since) > 30*time.Second {
				t.Fatalf("got %v after %v, want a keepalive", req, time.Since(since))
			}
			if err := req.Reply(false, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-counts; got != 1 || len(counts) > 0 {
			t.Errorf("%d clients, and %d changes", got, len(counts))
		}
		answered := time.Now()
		_ = client.Wait() // it answers nothing any more
		if waited := time.Since(answered); waited > 75*time.Second {
			t.Errorf("it was given up after %v", waited)
		}
		if got := <-counts; got != 0 {
			t.Errorf("%d clients after that", got)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// buffered is an end of a net.Pipe whose writer does not wait for the reader.
type buffered struct {
	net.Conn
	writes chan []byte
	closed chan struct{}
	close  sync.Once
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, writes: make(chan []byte, 1024), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-b.writes:
				_, _ = c.Write(p)
			case <-b.closed:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.writes <- append([]byte(nil), p...):
		return len(p), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.close.Do(func() { close(b.closed) })
	return b.Conn.Close()
}

// single is a listener with one connection.
type single struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func newSingle(c net.Conn) *single {
	s := &single{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	s.conns <- c
	return s
}

func (s *single) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *single) Close() error {
	s.close.Do(func() { close(s.closed) })
	return nil
}

func (s *single) Addr() net.Addr { return &net.TCPAddr{} }
