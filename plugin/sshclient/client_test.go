//go:build linux

package sshclient_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/test/localpod"
)

// TestHostKeyIsAwaited makes the host key known only after the server has
// shown its own.
func TestHostKeyIsAwaited(t *testing.T) {
	p := localpod.Start(t)
	cfg := podConfig(p)
	asked := make(chan struct{})
	known := make(chan struct{})
	cfg.HostKey = func(ctx context.Context) (ssh.PublicKey, error) {
		close(asked)
		<-known
		return p.HostKey(ctx)
	}
	go func() {
		<-asked
		close(known)
	}()
	logIn(t, p, cfg)
}

func TestRefusedLogin(t *testing.T) {
	p := localpod.Start(t)
	unreachable := errors.New("the API server is gone")
	tests := map[string]struct {
		change func(*sshclient.Config)
		want   error
	}{
		"other host key": {func(c *sshclient.Config) {
			c.HostKey = func(context.Context) (ssh.PublicKey, error) { return localpod.NewKey(t).PublicKey(), nil }
		}, sshclient.ErrHostKeyMismatch},
		"unknown host key": {func(c *sshclient.Config) {
			c.HostKey = func(context.Context) (ssh.PublicKey, error) { return nil, unreachable }
		}, unreachable},
		"no host key": {func(c *sshclient.Config) {
			c.HostKey = func(context.Context) (ssh.PublicKey, error) { return nil, nil }
		}, nil},
		"other user key": {func(c *sshclient.Config) { c.Signer = localpod.NewKey(t) }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := podConfig(p)
			test.change(&cfg)
			conn := dialPod(t, p)
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
	p := localpod.Start(t)
	p.Proxy.BlackHole(true)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cfg := podConfig(p)
	cfg.HostKey = func(ctx context.Context) (ssh.PublicKey, error) {
		cancel(why)
		return p.HostKey(ctx)
	}
	if _, err := sshclient.NewClient(ctx, dialPod(t, p), cfg); !errors.Is(err, why) {
		t.Errorf("NewClient fails with %v", err)
	}
	noGoroutines(t)
}

func TestWait(t *testing.T) {
	p := localpod.Start(t)
	t.Run("after Close", func(t *testing.T) {
		client := logIn(t, p, podConfig(p))
		_ = client.Close()
		if err := client.Wait(); err != nil {
			t.Errorf("Wait fails with %v", err)
		}
		if err := runHeld(t, client, sshclient.Command{Line: "true"}, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a command fails with %v", err)
		}
	})
	t.Run("after a cut", func(t *testing.T) {
		client := logIn(t, p, podConfig(p))
		p.Proxy.Cut()
		if err := client.Wait(); !errors.Is(err, sshclient.ErrConnectionLost) {
			t.Errorf("Wait fails with %v", err)
		}
	})
	t.Run("after the agent's end", func(t *testing.T) {
		client := logIn(t, p, podConfig(p))
		p.StopSidecar()
		if err := client.Wait(); !errors.Is(err, sshclient.ErrConnectionLost) {
			t.Errorf("Wait fails with %v", err)
		}
	})
}

// halfBroken is a connection of which who writes learns first that it has broken.
type halfBroken struct {
	net.Conn
	broken atomic.Bool
	fail   func()
}

func (c *halfBroken) Write(p []byte) (int, error) {
	if c.broken.Load() {
		c.fail()
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

func TestWriterLearnsOfTheLoss(t *testing.T) {
	p := localpod.Start(t)
	failed := make(chan struct{})
	conn := &halfBroken{Conn: dialPod(t, p), fail: sync.OnceFunc(func() { close(failed) })}
	client, err := sshclient.NewClient(t.Context(), conn, podConfig(p))
	if err != nil {
		t.Fatal(err)
	}
	var first sync.WaitGroup
	defer first.Wait()
	defer func() { _ = client.Close() }()
	conn.broken.Store(true)
	// The failure itself is not told to who meets it, but to all who write next.
	first.Go(func() { _, _ = client.Subsystem(t.Context(), config.SubsystemStatus) })
	<-failed
	if _, err := client.Subsystem(t.Context(), config.SubsystemStatus); !errors.Is(err, sshclient.ErrConnectionLost) {
		t.Errorf("a subsystem fails with %v", err)
	}
}

func TestUnknownSubsystem(t *testing.T) {
	_, client := connected(t)
	if _, err := client.Subsystem(t.Context(), "nothing"); err == nil {
		t.Error("an unknown subsystem starts")
	}
}
