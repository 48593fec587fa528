package devsession

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
)

// PortError means that a local port cannot be bound, or a unix socket in its
// place.
type PortError struct {
	// Port is the local port, Socket the path of a unix socket instead; Owner
	// is the process that has the port, if known.
	Port          int
	Socket, Owner string
	// Privileged is true when the system reserves the port.
	Privileged bool
	err        error
}

func (e *PortError) Error() string {
	what := fmt.Sprintf("local port %d", e.Port)
	if e.Socket != "" {
		what = "local socket " + e.Socket
	}
	switch {
	case e.Privileged:
		return what + " is privileged"
	case e.Owner != "":
		return what + " is already in use by " + e.Owner
	case e.Taken():
		return what + " is already in use"
	default:
		return fmt.Sprintf("%s cannot be bound: %v", what, e.err)
	}
}

// Taken tells whether somebody else has the port.
func (e *PortError) Taken() bool { return errors.Is(e.err, syscall.EADDRINUSE) }

// NoAddress tells whether this machine does not have the address.
func (e *PortError) NoAddress() bool { return errors.Is(e.err, syscall.EADDRNOTAVAIL) }

// Unwrap returns the system's error.
func (e *PortError) Unwrap() error { return e.err }

// Target is where a local port leads: an address as the pod sees it.
type Target struct {
	// Listener accepts the local connections; nil for UDP.
	Listener net.Listener
	// Packets is the local port of UDP.
	Packets net.PacketConn
	// Network is tcp, udp or unix, Address the host:port or path there,
	// resolved and dialed in the pod.
	Network, Address string
	// Text is the forward as the user reads it: 8080 -> db:5432.
	Text string
	// Patience is how long a local connection is held while the pod cannot
	// connect to the address: what listens there is being started, or again.
	Patience time.Duration
	// later binds the local port when it is free; nil when it is bound.
	later func(context.Context) (Target, error)
}

// Listen binds a forward's local port on an address of this machine, before
// anything in the cluster changes. The error is a *PortError.
func Listen(ctx context.Context, address string, f manifest.Forward) (Target, error) {
	t := newTarget(f)
	var err error
	var lc net.ListenConfig
	local := net.JoinHostPort(address, strconv.Itoa(f.Local))
	switch {
	case f.LocalSocket != "":
		t.Listener, err = listenUnix(ctx, f.LocalSocket)
	case f.Protocol == manifest.UDP:
		t.Packets, err = lc.ListenPacket(ctx, "udp", local)
	default:
		t.Listener, err = lc.Listen(ctx, "tcp", local)
	}
	if err == nil {
		return t, nil
	}
	e := &PortError{Port: f.Local, Socket: f.LocalSocket, err: err}
	e.Privileged = f.LocalSocket == "" && errors.Is(err, fs.ErrPermission)
	if f.LocalSocket == "" && e.Taken() {
		e.Owner = portOwner(t.network(), f.Local)
	}
	return Target{}, e
}

// Later is a forward whose local port somebody else has: the session binds it as
// soon as it is free.
func Later(address string, f manifest.Forward) Target {
	t := newTarget(f)
	t.later = func(ctx context.Context) (Target, error) { return Listen(ctx, address, f) }
	return t
}

// newTarget says where a forward leads.
func newTarget(f manifest.Forward) Target {
	t := Target{Network: "tcp", Text: ForwardText(f), Patience: restartTime}
	host := "127.0.0.1"
	if f.Service != "" {
		host = f.Service
	}
	t.Address = net.JoinHostPort(host, strconv.Itoa(f.Remote))
	switch {
	case f.RemoteSocket != "":
		t.Network, t.Address = "unix", f.RemoteSocket
	case f.Protocol == manifest.UDP:
		t.Network = "udp"
	}
	return t
}

// network is that of the local port.
func (t Target) network() string {
	if t.Network == "udp" {
		return "udp"
	}
	return "tcp"
}

// Bound tells whether the local port is this session's.
func (t Target) Bound() bool { return t.later == nil }

// Close gives the local port back.
func (t Target) Close() error {
	var closer io.Closer
	switch {
	case t.Listener != nil:
		closer = t.Listener
	case t.Packets != nil:
		closer = t.Packets
	default:
		return nil
	}
	return closer.Close()
}

// listenUnix listens on the path of a unix socket. One that nobody serves any
// more is replaced.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	info, statErr := os.Lstat(path)
	if statErr != nil || info.Mode().Type() != fs.ModeSocket {
		return nil, err
	}
	var d net.Dialer
	conn, dialErr := d.DialContext(ctx, "unix", path)
	if dialErr == nil {
		_ = conn.Close()
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return lc.Listen(ctx, "unix", path)
}

// ForwardText returns a forward as the user reads it.
func ForwardText(f manifest.Forward) string {
	remote := endText(f.Remote, f.RemoteSocket, f.Protocol)
	if f.Service != "" {
		remote = f.Service + ":" + remote
	}
	return endText(f.Local, f.LocalSocket, "") + " -> " + remote
}

// ReverseText returns a reverse tunnel as the user reads it.
func ReverseText(r manifest.Reverse) string {
	return endText(r.Remote, r.RemoteSocket, "") + " <- " + endText(r.Local, r.LocalSocket, r.Protocol)
}

func endText(port int, socket string, protocol manifest.Protocol) string {
	switch {
	case socket != "":
		return socket
	case protocol != "":
		return fmt.Sprintf("%d/%s", port, protocol)
	default:
		return strconv.Itoa(port)
	}
}
