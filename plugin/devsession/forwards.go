package devsession

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/datagram"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// serveForward accepts local connections until ctx ends. It outlives
// connections to the pod: while there is none, local clients wait.
func (s *Session) serveForward(ctx context.Context, t Target) error {
	if !t.Bound() {
		var err error
		if t, err = s.awaitPort(ctx, t); err != nil {
			return err
		}
	}
	if t.Packets != nil {
		return s.serveDatagrams(ctx, t)
	}
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { _ = t.Listener.Close() })()
	target := s.hold(t)
	for {
		local, err := t.Listener.Accept()
		if err != nil {
			_ = group.Wait()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("accepting connections on %s: %w", t.Listener.Addr(), err)
		}
		group.Go(func() error {
			defer func() { _ = local.Close() }()
			remote, err := target.dial(ctx, func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, t) })
			if err == nil {
				sshclient.Pipe(ctx, local, remote)
			}
			return nil
		})
	}
}

// serveDatagrams does the same for UDP.
func (s *Session) serveDatagrams(ctx context.Context, t Target) error {
	target := s.hold(t)
	flows := datagram.Flows{Open: func(ctx context.Context, _ net.Addr) (io.ReadWriteCloser, error) {
		return target.dial(ctx, func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, t) })
	}}
	if err := flows.Serve(ctx, t.Packets); ctx.Err() == nil {
		return fmt.Errorf("receiving on %s: %w", t.Packets.LocalAddr(), err)
	}
	return context.Cause(ctx)
}

// awaitPort binds the port of a forward that is left to others when they have
// ended. The system does not tell when a port is free.
func (s *Session) awaitPort(ctx context.Context, t Target) (Target, error) {
	const pause = time.Second
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return Target{}, context.Cause(ctx)
		}
		if bound, err := t.later(ctx); err == nil {
			s.Console.Note("forward  %s, from here on by this session", t.Text)
			return bound, nil
		}
	}
}

// hold returns what connects from the pod to the target of a forward, which may be
// starting when the command has begun a moment ago.
func (s *Session) hold(t Target) *hold {
	return &hold{
		patience: t.Patience,
		starting: func() bool { return s.link.age() < t.Patience },
		tell:     func(err error) { s.Console.Warn("forward %s: %v", t.Text, err) },
	}
}

// dial connects from the pod to an address, over the connection that there is, or
// the next one.
func (s *Session) dial(ctx context.Context, t Target) (net.Conn, error) {
	lines, err := s.link.get(ctx)
	if err != nil {
		return nil, err
	}
	client, err := lines.of(forwarding)
	if err != nil {
		return nil, err
	}
	conn, err := client.Dial(ctx, t.Network, t.Address)
	if _, answered := errors.AsType[*sshclient.DialError](err); err != nil && !answered {
		err = lostError(err)
	}
	return conn, err
}

// Reverse leads from a port of the pod to an address of the laptop.
type Reverse struct {
	// Network is tcp, udp or unix: that of the address in the pod.
	Network string
	// Remote is the address in the pod: host:port, or the path of a socket.
	Remote string
	// LocalNetwork and Local are the same of the laptop.
	LocalNetwork, Local string
	// Text is the tunnel as the user reads it: 9000 <- 3000.
	Text string
	// standsIn is set by StandIn.
	standsIn bool
	// within connects with the laptop's side where that is in a namespace; nil
	// means that it is not.
	within func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewReverse says where a reverse tunnel leads; its port of the laptop is on an
// address of this machine.
func NewReverse(address string, r manifest.Reverse) Reverse {
	out := Reverse{Network: "tcp", LocalNetwork: "tcp", Text: ReverseText(r)}
	out.Remote = net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Remote))
	out.Local = net.JoinHostPort(address, strconv.Itoa(r.Local))
	if r.Protocol == manifest.UDP {
		out.Network, out.LocalNetwork = "udp", "udp"
	}
	if r.RemoteSocket != "" {
		out.Network, out.Remote = "unix", r.RemoteSocket
	}
	if r.LocalSocket != "" {
		out.LocalNetwork, out.Local = "unix", r.LocalSocket
	}
	return out
}

// StandIn returns the tunnel with the workload's port for its own: it is open on
// every address of the pod, so that Services lead to it, and a connection that
// comes while nobody listens on the laptop is held for a moment.
func (r Reverse) StandIn() Reverse {
	r.standsIn = true
	if _, port, err := net.SplitHostPort(r.Remote); err == nil && r.Network != "unix" {
		r.Remote = net.JoinHostPort("", port)
	}
	return r
}

// dial connects with the laptop's side.
func (r Reverse) dial(ctx context.Context) (net.Conn, error) {
	var h hold
	if r.standsIn {
		h.patience = restartTime
	}
	return h.dial(ctx, func(ctx context.Context) (net.Conn, error) {
		if r.within != nil && r.LocalNetwork != "unix" {
			return r.within(ctx, r.LocalNetwork, r.Local)
		}
		var d net.Dialer
		return d.DialContext(ctx, r.LocalNetwork, r.Local)
	})
}

// startReverses opens the reverse tunnels. One that cannot be opened is a
// warning: the rest of the session works without it.
func (s *Session) startReverses(ctx context.Context, group *errgroup.Group, l *lines) {
	for _, r := range s.Reverses {
		group.Go(func() error {
			client, err := l.of(forwarding)
			if err != nil {
				return nil // all are lost then
			}
			forward := client.RemoteForward
			if r.Network == "udp" {
				forward = client.RemoteForwardUDP
			}
			err = forward(ctx, r.Remote, r.dial)
			if err != nil && ctx.Err() == nil && !disconnected(err) && !errors.Is(err, io.EOF) {
				s.Console.Warn("reverse %s: %v", r.Text, err)
			}
			return nil
		})
	}
}

// showForwards lists what is open.
func (s *Session) showForwards() {
	for _, t := range s.Targets {
		if t.Bound() {
			s.Console.Note("forward  %s", t.Text)
		}
	}
	for _, r := range s.Reverses {
		s.Console.Note("reverse  %s", r.Text)
	}
}
