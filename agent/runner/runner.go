//go:build linux

package runner

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
)

// lastWords is how long the sessions of processes that have ended may take to
// deliver their output when the container ends.
const lastWords = time.Second

// Config configures a runner.
type Config struct {
	// Dir is the folder of the socket, shared with the sidecar.
	Dir string
	// Exe is where the agent binary is in the dev container, for command
	// lines that a shell interprets.
	Exe string
	// Version is the version of the agent.
	Version string
	// Env is the environment of the container, as NAME=value.
	Env []string
	// Workdir is the working directory of the container.
	Workdir string
	// StopGrace is how long processes have to end after the runner is told
	// to; 0 means 10 s.
	StopGrace time.Duration
	// HangUpGrace is how long a process has to end after its client is gone;
	// 0 means 5 s.
	HangUpGrace time.Duration
	// Linger is how long the process of a session that outlives connections
	// goes on while no client is attached, and its exit is kept for its client;
	// 0 means 8 hours.
	Linger time.Duration
	// Log gets few lines.
	Log *slog.Logger
}

// Runner starts and reaps the processes of the dev container.
type Runner struct {
	// config
	dir     string
	exe     string
	env     []string
	grace   graces
	log     *slog.Logger
	hello   Hello
	account account

	// state
	reaper  *reaper
	holding holding
	tracked
	// stopping is true once the container was told to end.
	stopping atomic.Bool
}

// tracked is what the end of the runner has to end.
type tracked struct {
	mu   sync.Mutex
	open map[*process]bool
	// conns are connections; true for those that end with their process.
	conns map[net.Conn]bool
}

// graces are how long processes have to end: when the runner is told to, and
// after their client is gone; how long they may go on without a client where
// one may come back, and their exit is kept for it.
type graces struct{ stop, hangUp, linger time.Duration }

// New returns a runner that does nothing yet.
func New(c Config) *Runner {
	a := lookupAccount("/etc/passwd", os.Getuid())
	return &Runner{
		dir: c.Dir,
		exe: c.Exe,
		env: c.Env,
		grace: graces{
			stop:   cmp.Or(c.StopGrace, 10*time.Second),
			hangUp: cmp.Or(c.HangUpGrace, 5*time.Second),
			linger: cmp.Or(c.Linger, 8*time.Hour),
		},
		log:     c.Log,
		account: a,
		hello: Hello{
			Protocol: ProtocolVersion,
			Version:  c.Version,
			UID:      os.Getuid(),
			GID:      os.Getgid(),
			PID:      os.Getpid(),
			Workdir:  c.Workdir,
			Home:     cmp.Or(lookupEnv(c.Env, "HOME"), a.home, "/"),
			Shell:    chooseShell(a, lookupEnv(c.Env, "SHELL")),
			Started:  time.Now(),
		},
		holding: holding{sessions: map[string]*held{}},
		tracked: tracked{open: map[*process]bool{}, conns: map[net.Conn]bool{}},
	}
}

// Run serves until the context ends. It then passes SIGTERM on to all
// processes, waits for them no longer than the grace period, and returns nil.
// There must be no other code in this program that starts or waits for
// children.
func (r *Runner) Run(ctx context.Context) error {
	// Nothing but the order to end may end PID 1, and all else with it.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	defer signal.Stop(ignored)
	// Where this is not PID 1, because the pod shares its process namespace,
	// orphans still come here.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		r.log.Warn("orphans will not be reaped", "err", err)
	}
	l, err := r.listen()
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	r.reaper = newReaper()
	r.holding.budget.left.Store(heldMemory / blockSize)
	var reaping, serving sync.WaitGroup
	reaping.Go(func() { r.reaper.run(stopped) })
	stopListening := context.AfterFunc(ctx, func() { l.Close() })
	defer stopListening()
	r.log.Info("runner ready", "socket", l.Addr(), "uid", r.hello.UID, "shell", r.hello.Shell)
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			if ctx.Err() == nil {
				return fmt.Errorf("accepting: %w", err)
			}
			break
		}
		if !r.admit(conn) {
			conn.Close()
			continue
		}
		serving.Go(func() { r.serve(conn) })
	}
	r.stop()
	served := make(chan struct{})
	go func() {
		defer close(served)
		serving.Wait()
		r.holding.group.Wait()
	}()
	select {
	case <-served:
	case <-time.After(lastWords):
		// Whoever still holds an output is not of this container's sessions.
		r.closeConns(true)
		r.holding.abandon()
		<-served
	}
	close(stopped)
	reaping.Wait()
	return nil
}

// listen opens the socket. One that a killed runner left is replaced.
func (r *Runner) listen() (*net.UnixListener, error) {
	path := filepath.Join(r.dir, SocketName)
	// Every user may connect: admit decides who may stay.
	l, err := listenUnix(path, 0o666)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	return l, nil
}

// admit says whether the peer may use the runner: its own user, root, and
// processes of other PID namespaces, which have no number in ours. The last is
// the sidecar, whatever its user.
func (r *Runner) admit(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	if err := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || peer == nil {
		return false
	}
	if peer.Pid == 0 || peer.Uid == 0 || int(peer.Uid) == r.hello.UID {
		return true
	}
	r.log.Warn("refused a process of another user", "pid", peer.Pid, "uid", peer.Uid)
	return false
}

// serve handles one connection.
func (r *Runner) serve(conn *net.UnixConn) {
	defer conn.Close()
	if !r.keep(conn) {
		return
	}
	defer r.forget(conn)
	if err := r.serveRequest(conn); err != nil {
		r.log.Warn("request failed", "err", err)
	}
}

func (r *Runner) serveRequest(conn *net.UnixConn) error {
	hello, err := message(FrameHello, r.hello)
	if err != nil {
		return err
	}
	if _, err := conn.Write(hello); err != nil {
		return ignoreClosed(err)
	}
	in := bufio.NewReaderSize(conn, MaxData)
	t, payload, err := readFrame(in)
	if err != nil {
		return ignoreClosed(err)
	}
	if t == FrameStart {
		var start Start
		if err := frame.Decode(t, FrameStart, payload, &start); err != nil {
			return err
		}
		return r.serveSession(conn, in, start)
	}
	if t == FrameAttach {
		var a Attach
		if err := frame.Decode(t, FrameAttach, payload, &a); err != nil {
			return err
		}
		return r.serveAttach(conn, in, a)
	}
	if t == FrameMounts {
		var m mounts.Request
		if err := frame.Decode(t, FrameMounts, payload, &m); err != nil {
			return err
		}
		return r.serveMounts(conn, in, m)
	}
	var s Socket
	if t == FrameDial {
		if err := frame.Decode(t, FrameDial, payload, &s); err != nil {
			return err
		}
		return r.serveDial(conn, s)
	}
	if err := frame.Decode(t, FrameListen, payload, &s); err != nil {
		return err
	}
	return r.serveListen(conn, s)
}

// stop ends all processes, then all connections.
func (r *Runner) stop() {
	r.log.Info("runner stopping")
	r.stopping.Store(true)
	r.mu.Lock()
	for p := range r.open {
		if p.tty {
			p.terminate()
			continue
		}
		p.reaper.signalGroup(p.pid, p.exited, unix.SIGTERM)
	}
	r.mu.Unlock()
	if r.hello.PID == 1 {
		// All that is left in this PID namespace is ours.
		_ = unix.Kill(-1, unix.SIGTERM)
	}
	deadline := time.After(r.grace.stop)
	select {
	case <-r.reaper.idled():
	case <-deadline:
		r.log.Warn("processes did not end in time and are killed")
		r.mu.Lock()
		for p := range r.open {
			p.reaper.signalGroup(p.pid, p.exited, unix.SIGKILL)
		}
		r.mu.Unlock()
	}
	// Connections that still have a process to tell about end by themselves.
	r.closeConns(false)
}

// closeConns closes the connections that are left, those of sessions only when
// asked to.
func (r *Runner) closeConns(sessions bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, session := range r.conns {
		if sessions || !session {
			c.Close()
		}
	}
}

// track notes a process that stop has to end.
func (r *Runner) track(p *process, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.open[p] = true
	} else {
		delete(r.open, p)
	}
}

// keep notes a connection that stop has to close; false after stop.
func (r *Runner) keep(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping.Load() {
		return false
	}
	r.conns[conn] = false
	return true
}

// markSession notes that a connection ends with its process.
func (r *Runner) markSession(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[conn] = true
}

func (r *Runner) forget(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, conn)
}

// ignoreClosed drops the errors of a connection that has ended.
func ignoreClosed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}
