//go:build unix

package hybrid

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the user's, lent to a process. A nil one is none.
type terminal struct {
	fd int
	// own is our process group, before how the terminal was.
	own    int
	before *term.State
}

// openTerminal returns the terminal behind a file when this process is in its
// foreground.
func openTerminal(f *os.File) *terminal {
	fd := int(f.Fd())
	t := &terminal{fd: fd, own: unix.Getpgrp()}
	if !t.ours() {
		return nil
	}
	var err error
	if t.before, err = term.GetState(fd); err != nil {
		return nil
	}
	return t
}

// ours tells whether this process is in the foreground.
func (t *terminal) ours() bool {
	foreground, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && foreground == t.own
}

// give puts a process group into the foreground.
func (t *terminal) give(group int) {
	// From the background this would stop us.
	signal.Ignore(unix.SIGTTOU)
	defer signal.Reset(unix.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
}

// takeBack ends the loan.
func (t *terminal) takeBack() {
	if t == nil {
		return
	}
	t.give(t.own)
	_ = term.Restore(t.fd, t.before)
}

// suspend follows a process that the user has stopped: this one stops too, so that
// the user's shell has the terminal. Both go on together.
func (t *terminal) suspend(group int) {
	if t == nil {
		return
	}
	// Without a shell that controls jobs the system does not stop us.
	const unstoppable = 200 * time.Millisecond
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, unix.SIGCONT)
	defer signal.Stop(continued)
	t.takeBack()
	_ = unix.Kill(0, unix.SIGTSTP)
	select {
	case <-continued:
	case <-time.After(unstoppable):
	}
	if t.ours() {
		t.give(group)
	}
	_ = unix.Kill(-group, unix.SIGCONT)
}
