// Package sshclient talks SSH (RFC 4251 to 4254) to the agent in a pod: it
// keeps the user's key, pins the agent's host key, runs commands with and
// without a terminal, opens subsystems and forwards, notices a dead connection,
// and writes the entry in the user's ssh_config.
package sshclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// ErrHostKeyMismatch means that the server has another host key than the
// pinned one: it is not the agent of the pod.
var ErrHostKeyMismatch = errors.New("the host key is not the one of the pod")

// ErrConnectionLost means that the connection broke; the command, stream or
// forward that reports it may still be running in the pod.
var ErrConnectionLost = errors.New("the connection to the pod was lost")

// ErrSilent means that nothing was heard over a connection for too long, which is
// why it was lost.
var ErrSilent = errors.New("nothing was heard from it")

const (
	defaultKeepalive = 10 * time.Second
	defaultUser      = "okteto"
	keepaliveRequest = "keepalive@openssh.com"
)

// Config configures a Client.
type Config struct {
	// Signer is the user's private key.
	Signer ssh.Signer
	// HostKey returns the host key that the server must have. It is called
	// at once and runs while the connection is being set up.
	HostKey func(ctx context.Context) (ssh.PublicKey, error)
	// Keepalive is how often the server is asked for a sign of life, and how
	// long it may be silent afterwards; 0 means 10 seconds.
	Keepalive time.Duration
	// User is the user name to log in with, which the agent ignores; ""
	// means okteto.
	User string
	// AgentSocket is the unix socket of the user's ssh-agent, for commands
	// that forward it; "" means that there is none.
	AgentSocket string
	// Report is told why a forwarded connection failed, while its forward
	// goes on; nil means that nobody wants to know. It must not block.
	Report func(error)
}

// Client is a connection to the agent. Its methods may be called by several
// goroutines at once.
type Client struct {
	ssh         *ssh.Client
	conn        *watchedConn
	hostKey     ssh.PublicKey
	agentSocket string
	report      func(error)
	// alive ends when the connection is over, with the reason as its cause:
	// net.ErrClosed after Close.
	alive context.Context
	// closing is set by Close.
	closing atomic.Bool
	agents  agentForwards
	remotes remoteForwards
}

// NewClient logs in over conn, which the Client then owns; it is closed on
// failure too. ctx bounds only the login.
func NewClient(ctx context.Context, conn net.Conn, cfg Config) (*Client, error) {
	if cfg.Keepalive == 0 {
		cfg.Keepalive = defaultKeepalive
	}
	if cfg.User == "" {
		cfg.User = defaultUser
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	login, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := newWatchedConn(conn)
	unwatch := context.AfterFunc(login, func() { _ = conn.Close() })
	pin := newPin(login, cfg.HostKey)
	sshConn, channels, requests, err := ssh.NewClientConn(watched, conn.RemoteAddr().String(), &ssh.ClientConfig{
		Config: ssh.Config{
			Ciphers:      ciphers(),
			KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519},
		},
		User:            cfg.User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(cfg.Signer)},
		HostKeyCallback: pin.check(login),
	})
	if !unwatch() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("logging in to the pod: %w", pin.explain(err))
	}
	alive, end := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &Client{
		ssh:         ssh.NewClient(sshConn, channels, requests),
		conn:        watched,
		hostKey:     pin.key,
		agentSocket: cfg.AgentSocket,
		report:      cfg.Report,
		alive:       alive,
	}
	go c.watch(end)
	go c.keepalive(cfg.Keepalive)
	return c, nil
}

// HostKey returns the host key of the server.
func (c *Client) HostKey() ssh.PublicKey { return c.hostKey }

// ciphers prefers AES-GCM where the machine has it in hardware, as the agent's
// usually does too: it is half as expensive as ChaCha20-Poly1305 there.
func ciphers() []string {
	gcm := []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}
	if cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL || cpu.S390X.HasAESGCM {
		return append(gcm, ssh.CipherChaCha20Poly1305)
	}
	return append([]string{ssh.CipherChaCha20Poly1305}, gcm...)
}

// Wait waits until the connection is over. It returns nil after Close, else
// an error that is ErrConnectionLost and says why.
func (c *Client) Wait() error {
	<-c.alive.Done()
	if reason := context.Cause(c.alive); !errors.Is(reason, net.ErrClosed) || errors.Is(reason, ErrConnectionLost) {
		return reason
	}
	return nil
}

// Close ends the connection and everything that runs over it.
func (c *Client) Close() error {
	c.closing.Store(true)
	_ = c.ssh.Close()
	<-c.alive.Done()
	return nil
}

// watch waits for the end of the connection.
func (c *Client) watch(end context.CancelCauseFunc) {
	end(c.lost(c.ssh.Wait()))
}

// lost returns what a failure means once the connection has broken.
func (c *Client) lost(err error) error {
	if broken := c.conn.failure(); broken != nil {
		err = broken
	}
	switch {
	case c.closing.Load():
		return net.ErrClosed
	case err == nil, errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the agent ended it", ErrConnectionLost)
	default:
		return fmt.Errorf("%w: %w", ErrConnectionLost, err)
	}
}

// broken returns an error if the connection has broken, so that what looks
// like the end of a stream is none.
func (c *Client) broken() error {
	if c.conn.failure() == nil && !c.closing.Load() {
		return nil
	}
	return c.lost(nil)
}

// keepalive asks for a sign of life again and again, and when something that was
// written is not answered. Any byte is one: behind a bulk transfer the answer
// itself may be late.
func (c *Client) keepalive(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	answered := make(chan struct{}, 1)
	answered <- struct{}{}
	ask := func() {
		_, _, _ = c.ssh.SendRequest(keepaliveRequest, true, nil)
		answered <- struct{}{}
	}
	seen := c.conn.received.Load()
	for {
		select {
		case <-c.alive.Done():
			return
		case <-c.conn.unanswered:
			select {
			case <-answered:
				go ask()
				ticker.Reset(interval)
				seen = c.conn.received.Load()
			default: // it is asked already
			}
			continue
		case <-ticker.C:
		}
		select {
		case <-answered:
			go ask()
		default:
			if c.conn.received.Load() == seen {
				c.conn.fail(fmt.Errorf("%w for %s", ErrSilent, interval))
				_ = c.conn.Close()
				return
			}
		}
		seen = c.conn.received.Load()
	}
}

// suspect gives the connection up when nothing is heard from the agent soon: the
// user wants to interrupt, and must not wait until the keepalive notices.
func (c *Client) suspect() {
	answered := make(chan struct{})
	go func() {
		_, _, _ = c.ssh.SendRequest(keepaliveRequest, true, nil)
		close(answered)
	}()
	seen := c.conn.received.Load()
	patience := time.NewTimer(2 * answerGrace)
	defer patience.Stop()
	select {
	case <-answered:
	case <-patience.C:
		if c.conn.received.Load() == seen {
			c.conn.fail(fmt.Errorf("%w after Ctrl-C", ErrSilent))
			_ = c.conn.Close()
		}
	}
}

// watchedConn notices what passes.
type watchedConn struct {
	net.Conn
	// received counts bytes.
	received atomic.Int64
	// waits is set between something written and the next that is read, and
	// unanswered told when that takes long, by the timer.
	waits      atomic.Bool
	unanswered chan struct{}
	timer      *time.Timer

	mu  sync.Mutex
	err error
}

// patience is how long something that was written may go without anything being
// read before it is asked whether somebody is there.
const patience = time.Second

func newWatchedConn(conn net.Conn) *watchedConn {
	c := &watchedConn{Conn: conn, unanswered: make(chan struct{}, 1)}
	c.timer = time.AfterFunc(patience, func() {
		if c.waits.Load() {
			select {
			case c.unanswered <- struct{}{}:
			default:
			}
		}
	})
	return c
}

func (c *watchedConn) Write(p []byte) (int, error) {
	if !c.waits.Swap(true) {
		c.timer.Reset(patience)
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		c.fail(err) // who writes may learn of the end before who reads
	}
	return n, err
}

func (c *watchedConn) Close() error {
	c.timer.Stop()
	return c.Conn.Close()
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	c.waits.Store(false)
	if err != nil {
		c.fail(err)
	}
	return n, err
}

// fail keeps the first reason for the end of the connection.
func (c *watchedConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

func (c *watchedConn) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// await calls f, which no context reaches, unless ctx has ended, and returns
// early when it does.
// Then discard is called with the result of f, if there is one at last: f must
// end when the connection does.
func await[T any](ctx context.Context, f func() (T, error), discard func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	done := make(chan result)
	abandoned := make(chan struct{})
	go func() {
		value, err := f()
		select {
		case done <- result{value, err}:
		case <-abandoned:
			if err == nil {
				discard(value)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		close(abandoned)
		return none, context.Cause(ctx)
	}
}
