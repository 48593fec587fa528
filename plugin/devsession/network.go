package devsession

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/clusternet"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/hybrid"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/netns"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// localNetwork leads the local process into the cluster's network. The zero value
// does not.
type localNetwork struct {
	doors *clusternet.Doors
	// newRoom makes a namespace for a process, which room is while it runs; nil
	// where the process has the laptop's network.
	newRoom func() (*netns.Room, error)
	room    atomic.Pointer[netns.Room]
	// entered are the entrances of rooms that nobody serves yet.
	entered chan netns.Entrances
}

// Inside is this program where it was started to be in the network namespace of a
// process: it returns its exit status, or false elsewhere.
func Inside(args []string, stderr io.Writer) (int, bool) {
	if args[0] != netns.Role {
		return 0, false
	}
	return netns.Main(args[1:], stderr), true
}

// OpenNetwork opens what leads the process into the cluster by a session: a proxy
// and a name server, or a network namespace. ServeNetwork has to follow, or
// CloseNetwork.
func (l *Local) OpenNetwork(ctx context.Context, kind manifest.Network, s *Session) (err error) {
	if kind == manifest.NetworkNamespace {
		if err := l.openNamespace(s); err != nil {
			return err
		}
	}
	if kind != manifest.NetworkNone {
		// Beside a namespace they are for what runs outside of it.
		l.network.doors, err = clusternet.Listen(ctx, l.networkConfig(s))
	}
	return err
}

// openNamespace has the process run in a network namespace of its own, in which the
// cluster's names and addresses lead there. What this machine serves on its loopback
// when a process starts is served in there too, the session's forwards among it.
func (l *Local) openNamespace(s *Session) error {
	if err := netns.Probe(); err != nil {
		return fmt.Errorf("%w: choose \"network: proxy\" in the manifest, which needs none", err)
	}
	own := map[string]bool{} // ports that the process will have
	for i, r := range s.Reverses {
		s.Reverses[i].within = l.dialInside
		if _, port, err := net.SplitHostPort(r.Local); err == nil {
			own[port] = true
		}
	}
	// One process runs at a time.
	l.network.entered = make(chan netns.Entrances, 1)
	l.network.newRoom = func() (*netns.Room, error) {
		theirs := slices.DeleteFunc(netns.LoopbackPorts(), func(port uint16) bool { return own[strconv.Itoa(int(port))] })
		return netns.New(netns.Plan{Loopback: theirs}, func(e netns.Entrances) { l.network.entered <- e })
	}
	return nil
}

func (l *Local) networkConfig(s *Session) clusternet.Config {
	return clusternet.Config{
		Dial: s.dialPod, Connected: s.link.connected, Lookup: l.Lookup,
		ResolvConf: func() []byte {
			data, err := os.ReadFile("/etc/resolv.conf")
			if err != nil {
				return nil // as on Windows
			}
			return data
		},
	}
}

// ServeNetwork serves what was opened until ctx ends.
func (l *Local) ServeNetwork(ctx context.Context) {
	if l.network.doors == nil {
		return
	}
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return l.network.doors.Serve(serving) })
	if l.network.newRoom != nil {
		group.Go(func() error { return l.serveRooms(serving) })
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		l.Console.Warn("names of the cluster can be used no longer: %v", err)
	}
}

// serveRooms serves one room after the other.
func (l *Local) serveRooms(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for {
		select {
		case e := <-l.network.entered:
			if e.Datagrams != nil {
				group.Go(func() error { return l.network.doors.ServeDatagrams(ctx, e.Datagrams, e.DatagramDestination) })
			}
			group.Go(func() error { return l.network.doors.ServeNames(ctx, e.Names, e.NamesTCP) })
			group.Go(func() error { return l.network.doors.ServeConnections(ctx, e.Connections, e.Destination) })
		case <-ctx.Done():
			return group.Wait()
		}
	}
}

// dialInside connects with the process where it is.
func (l *Local) dialInside(ctx context.Context, network, address string) (net.Conn, error) {
	room := l.network.room.Load()
	if room == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return room.Dial(ctx, network, address)
}

// CloseNetwork closes what OpenNetwork opened.
func (l *Local) CloseNetwork() {
	if l.network.doors != nil {
		_ = l.network.doors.Close()
	}
}

// environ adds to the process's environment what leads into the cluster: nothing
// where all does.
func (n *localNetwork) environ(env []string) []string {
	if n.newRoom != nil {
		return env
	}
	return n.outside(env)
}

// outside adds it to the environment of a process that is in the laptop's network.
func (n *localNetwork) outside(env []string) []string {
	if n.doors == nil {
		return env
	}
	return n.doors.Environ(env)
}

// start starts a process in this network.
func (n *localNetwork) start(c hybrid.Config) (process *hybrid.Process, err error) {
	if n.newRoom != nil {
		if c.Room, err = n.newRoom(); err != nil {
			return nil, err
		}
	}
	if process, err = hybrid.Start(c); err != nil {
		c.Room.Close()
		return nil, err
	}
	n.room.Store(c.Room)
	return process, nil
}

// learn has the network know what the pod does. Without that the process runs all
// the same.
func (l *Local) learn(ctx context.Context, client *sshclient.Client, pod []string) {
	if l.network.doors == nil {
		return
	}
	channel, err := client.Subsystem(ctx, config.SubsystemResolver)
	var resolvConf []byte
	if err == nil {
		resolvConf, err = readToEnd(ctx, channel)
	}
	if err != nil {
		if ctx.Err() == nil && !disconnected(err) {
			l.Console.Warn("the cluster's names are unknown here: %v", err)
		}
		return
	}
	l.network.doors.Know(resolvConf, pod)
}

// dialPod connects from the pod to an address as the pod sees it. While there is no
// connection to the pod it waits for one, as long as a caller of a program that
// restarts waits.
func (s *Session) dialPod(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, restartTime, fmt.Errorf("the pod did not connect to %s within %s", address, restartTime))
	defer cancel()
	var h hold // which waits for nobody but the pod
	return h.dial(ctx, func(ctx context.Context) (net.Conn, error) {
		return s.dial(ctx, Target{Network: network, Address: address})
	})
}
