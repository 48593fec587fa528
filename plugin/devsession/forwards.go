package devsession

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// PortError means that a local port cannot be bound.
type PortError struct {
	// Port is the local port, Owner the process that has it, if known.
	Port  int
	Owner string
	// Privileged is true when the system reserves the port.
	Privileged bool
	err        error
}

func (e *PortError) Error() string {
	switch {
	case e.Privileged:
		return fmt.Sprintf("local port %d is privileged", e.Port)
	case e.Owner != "":
		return fmt.Sprintf("local port %d is already in use by %s", e.Port, e.Owner)
	case errors.Is(e.err, syscall.EADDRINUSE):
		return fmt.Sprintf("local port %d is already in use", e.Port)
	default:
		return fmt.Sprintf("local port %d cannot be bound: %v", e.Port, e.err)
	}
}

// Unwrap returns the system's error.
func (e *PortError) Unwrap() error { return e.err }

// Target is where a local port leads: an address as the pod sees it.
type Target struct {
	// Listener accepts the local connections.
	Listener net.Listener
	// Address is host:port, resolved and dialed in the pod.
	Address string
	// Text is the forward as the user reads it: 8080 -> db:5432.
	Text string
}

// Listen binds a forward's local port on an address of this machine, before
// anything in the cluster changes. The error is a *PortError.
func Listen(ctx context.Context, address string, f manifest.Forward) (Target, error) {
	l, err := listen(ctx, address, f.Local)
	if err != nil {
		return Target{}, err
	}
	host := "127.0.0.1"
	if f.Service != "" {
		host = f.Service
	}
	return Target{Listener: l, Address: net.JoinHostPort(host, strconv.Itoa(f.Remote)), Text: ForwardText(f)}, nil
}

// ForwardText returns a forward as the user reads it.
func ForwardText(f manifest.Forward) string {
	if f.Service != "" {
		return fmt.Sprintf("%d -> %s:%d", f.Local, f.Service, f.Remote)
	}
	return fmt.Sprintf("%d -> %d", f.Local, f.Remote)
}

func listen(ctx context.Context, address string, port int) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err == nil {
		return l, nil
	}
	e := &PortError{Port: port, err: err, Privileged: errors.Is(err, fs.ErrPermission)}
	if errors.Is(err, syscall.EADDRINUSE) {
		e.Owner = portOwner(port)
	}
	return nil, e
}

// serveForward accepts local connections until ctx ends. It outlives
// connections to the pod: while there is none, local clients wait.
func (s *Session) serveForward(ctx context.Context, t Target) error {
	stop := context.AfterFunc(ctx, func() { _ = t.Listener.Close() })
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
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
			if err := s.forward(ctx, local, t.Address); err != nil && ctx.Err() == nil {
				s.Console.Warn("forward %s: %v", t.Text, err)
			}
			return nil
		})
	}
}

// forward connects one local connection with an address in the pod.
func (s *Session) forward(ctx context.Context, local net.Conn, address string) error {
	defer func() { _ = local.Close() }()
	lines, err := s.link.get(ctx)
	if err != nil {
		return err
	}
	client, err := lines.of(forwarding)
	if err != nil {
		return err
	}
	remote, err := client.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	sshclient.Pipe(ctx, local, remote)
	return nil
}

// Reverse leads from a port of the pod to an address of the laptop.
type Reverse struct {
	// Remote is the port in the pod, on its loopback.
	Remote int
	// Local is host:port as the laptop sees it.
	Local string
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
			var d net.Dialer
			bind := net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Remote))
			err = client.RemoteForward(ctx, bind, func(ctx context.Context) (net.Conn, error) {
				return d.DialContext(ctx, "tcp", r.Local)
			})
			if err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
				s.Console.Warn("reverse %d <- %s: %v", r.Remote, r.Local, err)
			}
			return nil
		})
	}
}

// showForwards lists what is open.
func (s *Session) showForwards() {
	for _, t := range s.Targets {
		s.Console.Note("forward  %s", t.Text)
	}
	for _, r := range s.Reverses {
		s.Console.Note("reverse  %d <- %s", r.Remote, r.Local)
	}
}
