package clusternet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/datagram"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// ServeConnections connects whoever arrives at l with the destination that the
// connection was meant for, until l is closed or ctx ends. The loopback's are the
// laptop's.
func (d *Doors) ServeConnections(ctx context.Context, l net.Listener, destination func(net.Conn) (string, error)) error {
	var group errgroup.Group
	defer func() { _ = group.Wait() }()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting connections: %w", err)
		}
		group.Go(func() error {
			dialing, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			address, err := destination(conn)
			var remote net.Conn
			if err == nil {
				remote, err = d.dialTo(dialing, address)
			}
			if err != nil {
				abort(conn)
				return nil
			}
			sshclient.Pipe(ctx, conn, remote)
			return nil
		})
	}
}

// dialTo connects with an address of the cluster's or the laptop's side.
func (d *Doors) dialTo(ctx context.Context, address string) (net.Conn, error) {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().IsLoopback() {
		return d.direct.dial(ctx, address, false)
	}
	return d.dial(ctx, address, false)
}

// ServeDatagrams does the same for what is sent by UDP, until packets is closed or
// ctx ends: each of its peers is a flow with one destination.
func (d *Doors) ServeDatagrams(ctx context.Context, packets net.PacketConn, destination func(net.Addr) string) error {
	flows := datagram.Flows{Open: func(ctx context.Context, peer net.Addr) (io.ReadWriteCloser, error) {
		dialing, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		address := destination(peer)
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if d.owner(dialing, host) == clusters {
			return d.config.Dial(dialing, "udp", address)
		}
		socket, err := d.direct.dialer.DialContext(dialing, "udp", address)
		if err != nil {
			return nil, err
		}
		near, far := net.Pipe()
		go datagram.Join(far, socket) // which ends with the flow
		return near, nil
	}}
	if err := flows.Serve(ctx, packets); !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
		return fmt.Errorf("receiving datagrams: %w", err)
	}
	return nil
}

// abort resets a connection: its client takes it for one that was refused.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// ServeNames answers questions about names that arrive elsewhere, until both are
// closed or ctx ends.
func (d *Doors) ServeNames(ctx context.Context, packets net.PacketConn, stream net.Listener) error {
	s := &nameServer{packets: packets, stream: stream, answer: d.answer}
	if err := s.serve(ctx); !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
		return err
	}
	return nil
}
