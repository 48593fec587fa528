//go:build linux

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/receiver"
	"github.com/kubectl-okteto/kubectl-okteto/agent/runner"
	"github.com/kubectl-okteto/kubectl-okteto/agent/sshd"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// Sidecar is the role that faces the network.
type Sidecar struct {
	// Config is what the pod template says.
	Config config.Sidecar
	// RunDir is the folder of the runner's socket, StateDir the sidecar's own.
	RunDir, StateDir string
	// WorkspaceDir has the workspace's volume; "" means that roots and volumes
	// are at their own paths.
	WorkspaceDir string
	// Keepalive is the time between two questions whether a client is still
	// there; 0 means the server's default.
	Keepalive time.Duration
	// Log gets few lines.
	Log *slog.Logger
}

// Run serves until the context ends.
func (s Sidecar) Run(ctx context.Context) error {
	// The pod's memory is limited and charged for; collecting garbage twice as
	// often costs little here.
	const gcPercent = 50
	debug.SetGCPercent(gcPercent)
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	keys, err := sshd.NewAuthorizedKeys(s.Config.AuthorizedKeys, s.StateDir, s.Log)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Config.ListenPort())))
	if err != nil {
		return fmt.Errorf("listening for SSH: %w", err)
	}
	defer l.Close()
	// After the port: who has read a new host key can connect.
	hostKey, err := sshd.HostKey(s.StateDir)
	if err != nil {
		return err
	}
	// In the sticky folder no process can put a socket in the place of the
	// runner's. Only root needs it, and only root can: other users share a uid.
	if err := os.Chmod(s.RunDir, 0o777|os.ModeSticky); err != nil {
		s.Log.Debug("the run folder stays as it is", "err", err)
	}
	b := newBoard(config.Status{Version: config.Version(), Started: time.Now()})
	owner, seedings := newOwner(), newSeedings(s.Config.Folders())
	roots := receiver.New(receiver.Config{
		Roots: s.Config.Roots, Others: s.others(), StateDir: s.StateDir, Log: s.Log,
		Dir: s.dir,
		Prepare: func(ctx context.Context, root string) (*engine.Owner, error) {
			return s.prepareRoot(ctx, root, seedings, owner)
		},
		OnStatus: func(roots []config.RootStatus) { b.update(func(s *config.Status) { s.Roots = roots }) },
	})
	b.update(func(s *config.Status) { s.Roots = roots.Status() })
	dev := devContainer{runner.Client{Dir: s.RunDir, Wait: runnerWait}}
	server := sshd.New(sshd.Config{
		HostKey:    hostKey,
		Authorized: keys.Contains,
		Runner:     dev,
		Subsystems: map[string]sshd.Subsystem{
			config.SubsystemStatus:      b.serve,
			config.SubsystemSync:        roots.Serve,
			config.SubsystemEnvironment: dev.environment,
			config.SubsystemMounts:      dev.mounts,
			config.SubsystemResolver:    resolver,
		},
		OnChange: func(clients, sessions int) {
			b.update(func(s *config.Status) { s.Clients, s.Sessions = clients, sessions })
		},
		Keepalive: s.Keepalive,
		Log:       s.Log,
	})
	var group sync.WaitGroup
	group.Go(func() { s.watchRunner(ctx, b, owner) })
	group.Go(func() { s.seedAll(ctx, seedings, owner) })
	group.Go(func() { roots.Run(ctx) })
	s.Log.Info("sidecar ready", "address", l.Addr(), "version", config.Version())
	err = server.Serve(ctx, l)
	group.Wait()
	return err
}

// watchRunner keeps the state of the dev container on the board.
func (s Sidecar) watchRunner(ctx context.Context, b *board, owner *owner) {
	client := runner.Client{Dir: s.RunDir, Wait: time.Hour}
	for ctx.Err() == nil {
		err := client.Watch(ctx, func(h runner.Hello) {
			s.Log.Info("dev container up", "uid", h.UID, "gid", h.GID, "shell", h.Shell)
			b.update(func(s *config.Status) {
				if !s.Runner.Started.Equal(h.Started) {
					s.Runner.Starts++
				}
				s.Runner.Running, s.Runner.Started = true, h.Started
				s.Runner.UID, s.Runner.GID = h.UID, h.GID
			})
			owner.set(h.UID, h.GID)
		})
		if ctx.Err() != nil {
			return
		}
		s.Log.Warn("dev container down", "err", err)
		b.update(func(s *config.Status) { s.Runner.Running = false })
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// owner is the user and group of the dev container, which its runner tells.
type owner struct {
	once     sync.Once
	known    chan struct{}
	uid, gid int
}

func newOwner() *owner { return &owner{known: make(chan struct{})} }

// set notes the owner. It is the same after each restart of the container.
func (o *owner) set(uid, gid int) {
	o.once.Do(func() {
		o.uid, o.gid = uid, gid
		close(o.known)
	})
}

// wait waits for the owner. How long a container may take to start is for
// whoever watches the pod to say: init containers may come first.
func (o *owner) wait(ctx context.Context) (uid, gid int, err error) {
	select {
	case <-o.known:
		return o.uid, o.gid, nil
	case <-ctx.Done():
		return 0, 0, context.Cause(ctx)
	}
}
