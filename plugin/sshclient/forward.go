package sshclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// DialError is the pod's own answer: it cannot connect to an address.
type DialError struct {
	// Address is what was dialed, Message the pod's reason.
	Address, Message string
}

func (e *DialError) Error() string {
	return fmt.Sprintf("the pod cannot connect to %s: %s", e.Address, e.Message)
}

// Dial opens a connection from the pod to an address as the pod sees it:
// network tcp with host:port (direct-tcpip, RFC 4254 section 7.2), udp
// likewise, whose connection has datagrams as package datagram reads them, or
// unix with the path of a socket (direct-streamlocal@openssh.com). The
// connection has a CloseWrite and no deadlines. What the pod refuses is a
// *DialError.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	kind, payload, addr, err := forwardTarget(network, address)
	if err != nil {
		return nil, err
	}
	conn, err := await(ctx, func() (net.Conn, error) {
		channel, requests, err := c.ssh.OpenChannel(kind, payload)
		if err != nil {
			return nil, err
		}
		go ssh.DiscardRequests(requests)
		return &channelConn{stream: stream{Channel: channel, client: c}, remote: addr}, nil
	}, func(conn net.Conn) { _ = conn.Close() })
	if err == nil {
		return conn, nil
	}
	if broken := c.broken(); broken != nil {
		err = broken
	}
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return nil, &DialError{Address: address, Message: refused.Message}
	}
	return nil, fmt.Errorf("connecting from the pod to %s: %w", address, err)
}

// channelOpen is what the channels of TCP and UDP are opened with, either way.
type channelOpen struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

func forwardTarget(network, address string) (kind string, payload []byte, addr net.Addr, err error) {
	if network == "unix" {
		payload = ssh.Marshal(struct {
			Path     string
			Reserved string
			Unused   uint32
		}{Path: address})
		return "direct-streamlocal@openssh.com", payload, podAddr{network, address}, nil
	}
	host, port, err := parsePort(address)
	if err != nil {
		return "", nil, nil, err
	}
	payload = ssh.Marshal(channelOpen{Host: host, Port: port, OriginHost: "127.0.0.1"})
	if network == "udp" {
		return config.DirectUDP, payload, podAddr{network, address}, nil
	}
	return "direct-tcpip", payload, podAddr{"tcp", address}, nil
}

// whileAlive returns a context that also ends, with the reason as its cause,
// when the connection does.
func (c *Client) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.alive, func() { cancel(context.Cause(c.alive)) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// Pipe copies between two connections in both directions until both have
// ended, one has failed, or ctx ends; then it closes both. The end of one
// direction is passed on by CloseWrite where a connection has it; a failure, or
// the end of ctx, as a reset where it is TCP, so that nobody takes half of an
// answer for a whole one.
func Pipe(ctx context.Context, a, b net.Conn) {
	abort := func() {
		for _, conn := range []net.Conn{a, b} {
			if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	}
	defer func() {
		_ = a.Close()
		_ = b.Close()
	}()
	defer context.AfterFunc(ctx, abort)()
	var both sync.WaitGroup
	direction := func(to, from net.Conn) func() {
		return func() {
			if _, err := io.Copy(to, from); err != nil {
				abort()
				return
			}
			if half, ok := to.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			} else {
				_ = to.Close()
			}
		}
	}
	both.Go(direction(a, b))
	both.Go(direction(b, a))
	both.Wait()
}

// channelConn is a net.Conn over a channel.
type channelConn struct {
	stream
	remote net.Addr
}

// A channel is read in steps: of firstStep, and once more than that was waiting,
// of largeStep.
const (
	firstStep = 32 << 10
	largeStep = 256 << 10
)

// WriteTo copies all that comes to w. Whatever is read in one step is given back to
// the pod's window in one message, which the API server, the kubelet and the
// container runtime all have to wake up for.
func (c *channelConn) WriteTo(w io.Writer) (written int64, err error) {
	buf := make([]byte, firstStep)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			m, failed := w.Write(buf[:n])
			written += int64(m)
			if failed != nil {
				return written, failed
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return written, nil
		case err != nil:
			return written, err
		case n == firstStep && len(buf) == firstStep:
			buf = make([]byte, largeStep)
		}
	}
}

func (c *channelConn) LocalAddr() net.Addr  { return c.client.conn.LocalAddr() }
func (c *channelConn) RemoteAddr() net.Addr { return c.remote }

func (c *channelConn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *channelConn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *channelConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// podAddr is an address as the pod sees it, unresolved.
type podAddr struct{ network, address string }

func (a podAddr) Network() string { return a.network }
func (a podAddr) String() string  { return a.address }
