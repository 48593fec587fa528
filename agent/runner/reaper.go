//go:build linux

package runner

import (
	"errors"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper collects every child of this process: those that it started itself
// and the orphans that PID 1 inherits. There must be one, and nothing else may
// wait for children: wait4(-1) does not ask whose child it is.
type reaper struct {
	signals chan os.Signal

	// mu makes a start and its registration one step for collect, so that a
	// process that ends at once is not lost, and the failed half of a start,
	// which the os package collects, is not found here.
	mu       sync.Mutex
	children map[int]chan unix.WaitStatus
	// idle is closed while there is no child at all, started or inherited.
	idle chan struct{}
}

func newReaper() *reaper {
	r := &reaper{
		signals:  make(chan os.Signal, 1),
		children: map[int]chan unix.WaitStatus{},
		idle:     make(chan struct{}),
	}
	close(r.idle)
	signal.Notify(r.signals, unix.SIGCHLD)
	return r
}

// run collects children until stop is closed.
func (r *reaper) run(stop <-chan struct{}) {
	defer signal.Stop(r.signals)
	for {
		r.collect()
		select {
		case <-r.signals:
		case <-stop:
			return
		}
	}
}

// collect takes all children that have ended.
func (r *reaper) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			r.setIdle(true)
			return
		case err != nil || pid <= 0:
			r.setIdle(false)
			return
		}
		if ch, ok := r.children[pid]; ok {
			delete(r.children, pid)
			ch <- status
		}
	}
}

func (r *reaper) setIdle(idle bool) {
	select {
	case <-r.idle:
		if !idle {
			r.idle = make(chan struct{})
		}
	default:
		if idle {
			close(r.idle)
		}
	}
}

// idled returns a channel that is closed when no child is left.
func (r *reaper) idled() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idle
}

// start starts a process and returns its id and the channel that gets its
// status, once.
func (r *reaper) start(path string, argv []string, attr *os.ProcAttr) (int, <-chan unix.WaitStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	pid := p.Pid
	ch := make(chan unix.WaitStatus, 1)
	r.children[pid] = ch
	r.setIdle(false)
	// The process is known by its id from here on; it stays valid until
	// collect has taken it, which needs the lock.
	return pid, ch, p.Release()
}

// signalGroup sends a signal to the process group that pid led. When pid was
// collected and its number belongs to a younger child, that one is spared.
func (r *reaper) signalGroup(pid int, own <-chan unix.WaitStatus, s unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ch, ok := r.children[pid]; ok && (<-chan unix.WaitStatus)(ch) != own {
		return
	}
	// ESRCH means that the group is gone, which is what most signals are for.
	_ = unix.Kill(-pid, s)
}
