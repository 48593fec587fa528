//go:build linux

package sshd

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

const (
	// dialTimeout bounds connecting for a local forward.
	dialTimeout = 30 * time.Second
	// drainTimeout bounds delivering what a client sent before it closed.
	drainTimeout = 30 * time.Second
	// maxForwards bounds the remote forwards of one connection.
	maxForwards = 256
)

// channelOpen is what the channels of TCP and UDP are opened with, either way
// (RFC 4254, section 7.2).
type channelOpen struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

// serveDirectTCP handles direct-tcpip (RFC 4254, section 7.2): a local forward
// to an address that the pod can reach.
func (s *Server) serveDirectTCP(_ *ssh.Server, _ *gossh.ServerConn, newChannel gossh.NewChannel, ctx ssh.Context) {
	var r channelOpen
	if err := gossh.Unmarshal(newChannel.ExtraData(), &r); err != nil || r.Port > 65535 {
		reject(newChannel, fmt.Errorf("malformed request"))
		return
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port))))
	accept(newChannel, conn, err)
}

// serveDirectUnix handles direct-streamlocal@openssh.com (OpenSSH's PROTOCOL,
// section 2.4): a local forward to a unix socket of the dev container.
func (s *Server) serveDirectUnix(_ *ssh.Server, _ *gossh.ServerConn, newChannel gossh.NewChannel, ctx ssh.Context) {
	var r struct {
		Path, Reserved string
		Reserved2      uint32
	}
	if err := gossh.Unmarshal(newChannel.ExtraData(), &r); err != nil {
		reject(newChannel, fmt.Errorf("malformed request"))
		return
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.config.Runner.DialUnix(dialCtx, r.Path)
	accept(newChannel, conn, err)
}

func reject(newChannel gossh.NewChannel, reason error) {
	// An error means that the connection has ended.
	_ = newChannel.Reject(gossh.ConnectionFailed, reason.Error())
}

// accept joins a new channel with a connection, or passes on why there is
// none.
func accept(newChannel gossh.NewChannel, conn net.Conn, err error) {
	if err != nil {
		reject(newChannel, err)
		return
	}
	defer conn.Close()
	channel, requests, err := newChannel.Accept()
	if err != nil {
		return
	}
	join(channel, requests, conn)
}

// pieceSize is how much of a connection goes into a packet. With its header of 9
// bytes (RFC 4254 section 5.2) a piece has 32 KiB: beyond that the client's Go
// runtime takes the packet's memory from the system instead of from what it has
// at hand, which costs as much as to decrypt it.
const pieceSize = 32<<10 - 9

// join copies both ways until both have ended, and passes each end on by
// itself. A channel that its client closed takes the connection down, after
// what it sent before is delivered.
func join(channel gossh.Channel, requests <-chan *gossh.Request, conn net.Conn) {
	defer channel.Close()
	delivered := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(delivered)
		if _, err := io.Copy(conn, channel); err != nil {
			conn.Close()
			return
		}
		closeWrite(conn)
	})
	group.Go(func() {
		// A connection would copy itself, in pieces that are too large.
		_, _ = io.CopyBuffer(channel, struct{ io.Reader }{conn}, make([]byte, pieceSize))
		_ = channel.CloseWrite()
	})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		gossh.DiscardRequests(requests)
		// Nobody listens any more, so that delivering is all that is left.
		_ = conn.SetWriteDeadline(time.Now().Add(drainTimeout))
		<-delivered
		conn.Close()
	}()
	group.Wait()
	channel.Close()
	<-closed
}

func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// remoteForwards are the listeners of all connections.
type remoteForwards struct {
	server *Server
	mu     sync.Mutex
	open   map[forwardKey][]io.Closer
}

// forwardKey is what a client asked for, by which it also cancels.
type forwardKey struct {
	conn *gossh.ServerConn
	// network is tcp, udp, or unix, whose host is a path.
	network string
	host    string
	port    uint32
}

func newRemoteForwards(s *Server) *remoteForwards {
	return &remoteForwards{server: s, open: map[forwardKey][]io.Closer{}}
}

type tcpForward struct {
	Host string
	Port uint32
}

// listenTCP handles tcpip-forward (RFC 4254, section 7.1).
func (f *remoteForwards) listenTCP(ctx ssh.Context, _ *ssh.Server, req *gossh.Request) (bool, []byte) {
	var r tcpForward
	if gossh.Unmarshal(req.Payload, &r) != nil || r.Port > 65535 {
		return false, nil
	}
	listeners, port, err := listenTCP(r.Host, r.Port)
	if err != nil {
		f.server.config.Log.Info("remote forward refused", "host", r.Host, "port", r.Port, "err", err)
		return false, nil
	}
	conn := connOf(ctx)
	name := func(c net.Conn) (string, []byte) {
		origin := tcpForward{}
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			origin = tcpForward{a.IP.String(), uint32(a.Port)}
		}
		return "forwarded-tcpip", gossh.Marshal(channelOpen{r.Host, port, origin.Host, origin.Port})
	}
	if !f.add(ctx, forwardKey{conn, "tcp", r.Host, port}, closers(listeners)) {
		return false, nil
	}
	for _, l := range listeners {
		go f.server.acceptForwarded(conn, l, name)
	}
	if r.Port == 0 {
		return true, gossh.Marshal(struct{ Port uint32 }{port})
	}
	return true, nil
}

// listenTCP listens where a client asked for it: "" is every address and
// localhost both loopback addresses, as in RFC 4254, section 7.1. The second
// of them is a convenience, and may be missing.
func listenTCP(host string, port uint32) ([]net.Listener, uint32, error) {
	if host == "*" {
		host = ""
	}
	address := func(host string) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
	if host != "localhost" {
		l, err := net.Listen("tcp", address(host))
		if err != nil {
			return nil, 0, err
		}
		return []net.Listener{l}, portOf(l), nil
	}
	l, err := net.Listen("tcp4", address("127.0.0.1"))
	if err != nil {
		return nil, 0, err
	}
	port = portOf(l)
	listeners := []net.Listener{l}
	if l6, err := net.Listen("tcp6", address("::1")); err == nil {
		listeners = append(listeners, l6)
	}
	return listeners, port, nil
}

func closers(listeners []net.Listener) (all []io.Closer) {
	for _, l := range listeners {
		all = append(all, l)
	}
	return all
}

func portOf(l net.Listener) uint32 { return uint32(l.Addr().(*net.TCPAddr).Port) }

// cancelTCP handles cancel-tcpip-forward.
func (f *remoteForwards) cancelTCP(ctx ssh.Context, _ *ssh.Server, req *gossh.Request) (bool, []byte) {
	var r tcpForward
	if gossh.Unmarshal(req.Payload, &r) != nil {
		return false, nil
	}
	return f.remove(forwardKey{connOf(ctx), "tcp", r.Host, r.Port}), nil
}

// listenUnix handles streamlocal-forward@openssh.com (OpenSSH's PROTOCOL,
// section 2.4).
func (f *remoteForwards) listenUnix(ctx ssh.Context, _ *ssh.Server, req *gossh.Request) (bool, []byte) {
	var r struct{ Path string }
	if gossh.Unmarshal(req.Payload, &r) != nil || r.Path == "" {
		return false, nil
	}
	listenCtx, cancel := context.WithTimeout(ctx, runnerGrace)
	defer cancel()
	l, err := f.server.config.Runner.ListenUnix(listenCtx, r.Path)
	if err != nil {
		f.server.config.Log.Info("remote forward refused", "path", r.Path, "err", err)
		return false, nil
	}
	conn := connOf(ctx)
	if !f.add(ctx, forwardKey{conn: conn, network: "unix", host: r.Path}, []io.Closer{l}) {
		return false, nil
	}
	go f.server.acceptForwarded(conn, l, func(net.Conn) (string, []byte) {
		return "forwarded-streamlocal@openssh.com", gossh.Marshal(struct{ Path, Reserved string }{r.Path, ""})
	})
	return true, nil
}

// cancelUnix handles cancel-streamlocal-forward@openssh.com.
func (f *remoteForwards) cancelUnix(ctx ssh.Context, _ *ssh.Server, req *gossh.Request) (bool, []byte) {
	var r struct{ Path string }
	if gossh.Unmarshal(req.Payload, &r) != nil {
		return false, nil
	}
	return f.remove(forwardKey{conn: connOf(ctx), network: "unix", host: r.Path}), nil
}

// add keeps listeners until they are cancelled or the connection ends. It
// closes them when the connection has too many.
func (f *remoteForwards) add(ctx ssh.Context, key forwardKey, listeners []io.Closer) bool {
	f.mu.Lock()
	count := 0
	for k := range f.open {
		if k.conn == key.conn {
			count++
		}
	}
	full := count >= maxForwards
	if !full {
		f.open[key] = listeners
	}
	f.mu.Unlock()
	if full {
		for _, l := range listeners {
			l.Close()
		}
		return false
	}
	context.AfterFunc(ctx, func() { f.remove(key) })
	return true
}

func (f *remoteForwards) remove(key forwardKey) bool {
	f.mu.Lock()
	listeners, ok := f.open[key]
	delete(f.open, key)
	f.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	return ok
}

func connOf(ctx ssh.Context) *gossh.ServerConn {
	return ctx.Value(ssh.ContextKeyConn).(*gossh.ServerConn)
}
