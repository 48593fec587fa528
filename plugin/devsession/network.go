package devsession

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/clusternet"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// localNetwork leads the local process into the cluster's network. The zero value
// does not.
type localNetwork struct {
	doors *clusternet.Doors
}

// OpenProxy opens a proxy and a name server for the process, which lead into the
// cluster by a session. Serve has to follow, or CloseNetwork.
func (l *Local) OpenProxy(ctx context.Context, s *Session) (err error) {
	l.network.doors, err = clusternet.Listen(ctx, clusternet.Config{
		Dial: s.dialPod, Connected: s.link.connected, Lookup: l.Lookup,
		ResolvConf: func() []byte {
			data, err := os.ReadFile("/etc/resolv.conf")
			if err != nil {
				return nil // as on Windows
			}
			return data
		},
	})
	return err
}

// ServeNetwork serves what OpenProxy opened until ctx ends.
func (l *Local) ServeNetwork(ctx context.Context) {
	if l.network.doors == nil {
		return
	}
	if err := l.network.doors.Serve(ctx); err != nil && ctx.Err() == nil {
		l.Console.Warn("names of the cluster can be used no longer: %v", err)
	}
}

// CloseNetwork closes it.
func (l *Local) CloseNetwork() {
	if l.network.doors != nil {
		_ = l.network.doors.Close()
	}
}

// environ adds to an environment what leads into the cluster.
func (n localNetwork) environ(env []string) []string {
	if n.doors == nil {
		return env
	}
	return n.doors.Environ(env)
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
		defer func() { _ = channel.Close() }()
		defer context.AfterFunc(ctx, func() { _ = channel.Close() })()
		resolvConf, err = io.ReadAll(channel)
	}
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, sshclient.ErrConnectionLost) {
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
	const pause = 50 * time.Millisecond
	waiting, cancel := context.WithTimeoutCause(ctx, restartTime, errLost)
	defer cancel()
	for {
		lines, err := s.link.get(waiting)
		if err != nil {
			return nil, err
		}
		client, err := lines.of(forwarding)
		if err == nil {
			var conn net.Conn
			if conn, err = client.Dial(ctx, network, address); err == nil {
				return conn, nil
			}
		}
		if _, answered := errors.AsType[*sshclient.DialError](err); answered || ctx.Err() != nil {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-waiting.Done():
			return nil, context.Cause(waiting)
		}
	}
}
