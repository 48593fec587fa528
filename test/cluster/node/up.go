//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// SuperviseVerb is the argument by which Up starts this same program as the
// supervisor; the state folder follows it.
const SuperviseVerb = "supervise"

const (
	probeEvery  = 25 * time.Millisecond
	upLimit     = 90 * time.Second // far more than a slow machine needs
	endGrace    = 3 * time.Second
	logTailSize = 2000 // bytes
)

// Up starts the node and returns when everything in it can be used: the node
// is Ready, CoreDNS, the registry, BuildKit and the storage class serve, and
// push has brought the base images to the registry. If it fails, it leaves
// nothing behind but the logs. The error is ErrRunning when a healthy node
// runs already; the remains of one that is not are removed first.
func Up(ctx context.Context, c Config, push func(ctx context.Context) error, progress func(format string, args ...any)) (err error) {
	if err := c.Verify(); err != nil {
		return err
	}
	unlock, err := lockState(c.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := clearRemains(ctx, c, progress); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, upLimit, fmt.Errorf("the node is not ready after %s", upLimit))
	defer cancel()
	boot, err := bootID()
	if err != nil {
		return err
	}
	r := record{Config: c, Boot: boot, Sysctls: readSysctls(), Tables: filterTables(ctx)}
	if err := r.write(); err != nil {
		return err
	}
	if err := r.raise(ctx, push, progress); err != nil {
		// The caller's context may be what ended it; cleaning up goes on.
		return errors.Join(err, r.drop(context.WithoutCancel(ctx), true))
	}
	r.Ready = true
	return r.write()
}

// clearRemains makes way for a new node, or reports what stands in its way.
func clearRemains(ctx context.Context, c Config, progress func(format string, args ...any)) error {
	old, err := readRecord(c.State)
	switch {
	case errors.Is(err, ErrStopped):
		if err := foreignKubernetes(ctx); err != nil {
			return err
		}
		// The bridge is ours by its name, even if its state folder is lost.
		old = record{Config: c}
	case err != nil:
		return err
	default:
		if old.healthy(ctx) {
			return ErrRunning
		}
		progress("removing what a former run left behind")
	}
	if err := old.drop(ctx, false); err != nil {
		return fmt.Errorf("removing what a former run left behind: %w", err)
	}
	return errors.Join(subnetFree(c), portsFree(ctx, c))
}

// healthy says whether the node was started completely and all its components
// run.
func (r record) healthy(ctx context.Context) bool {
	if !r.Ready || !r.Supervisor.alive() {
		return false
	}
	reports, err := newControl(r.Config).reports(ctx)
	if err != nil {
		return false
	}
	for _, report := range reports {
		if report.PID == 0 {
			return false
		}
	}
	return len(reports) > 0
}

// raise makes all that the node is.
func (r *record) raise(ctx context.Context, push func(ctx context.Context) error, progress func(format string, args ...any)) error {
	c := r.Config
	if err := errors.Join(writeFiles(c), writePKI(c), raiseNetwork(ctx, c), raiseCgroups()); err != nil {
		return fmt.Errorf("preparing the node: %w", err)
	}
	if err := r.launch(ctx); err != nil {
		return err
	}
	n := starter{config: c, control: newControl(c), progress: progress}
	return n.guard(ctx, func(ctx context.Context) error { return n.startAll(ctx, push) })
}

// launch starts the supervisor in namespaces of its own, detached from this
// process and its terminal, and waits until it listens.
func (r *record) launch(ctx context.Context) error {
	c := r.Config
	// A copy stays when `go run` removes this program.
	program := c.path("run", "node")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := os.WriteFile(program, self, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(c.log("node"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(program, SuperviseVerb, c.State)
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	if r.Supervisor, err = identify(command.Process.Pid); err != nil {
		return fmt.Errorf("starting the supervisor: %w\n%s", err, tail(c.log("node")))
	}
	if err := r.write(); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		if !r.Supervisor.alive() {
			return false, fmt.Errorf("the supervisor has ended:\n%s", tail(c.log("node")))
		}
		_, err := newControl(c).reports(ctx)
		return err == nil, nil
	})
}
