//go:build unix

package hybrid

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// group is the process group of a process.
type group struct {
	pid      int
	terminal *terminal
	guard    *guard
}

func shell() []string { return []string{"sh", "-c"} }

// run runs the leader of the group to its end; an error means that it could not be
// started. All happens on one thread of the
// system: Linux ends the process when the thread ends that started it.
func (g *group) run(path string, argv []string, attr *os.ProcAttr, remove string, started func()) (Exit, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	attr.Sys = cmp.Or(attr.Sys, &syscall.SysProcAttr{})
	attr.Sys.Setpgid = true
	dieWithParent(attr.Sys)
	adoptOrphans()
	g.terminal = openTerminal(attr.Files[0])
	if g.terminal != nil {
		attr.Sys.Foreground, attr.Sys.Ctty = true, g.terminal.fd
	}
	g.guard = startGuard(remove)
	p, err := os.StartProcess(path, argv, attr)
	if err != nil {
		g.guard.dismiss()
		return Exit{}, err
	}
	g.pid = p.Pid
	g.guard.watch(g.pid)
	_ = p.Release() // waited for below, where stopping shows too
	started()
	defer g.terminal.takeBack()
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(g.pid, &status, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return Exit{Status: unknown}, nil
		case status.Stopped():
			g.terminal.suspend(g.pid)
		default:
			return exitOf(status), nil
		}
	}
}

func exitOf(status unix.WaitStatus) Exit {
	if !status.Signaled() {
		return Exit{Status: status.ExitStatus()}
	}
	name := unix.SignalName(status.Signal())
	return Exit{Status: 128 + int(status.Signal()), Signal: name[min(len("SIG"), len(name)):]}
}

// end ends the group. How it is can only be looked at: no event tells the end of
// processes that are not our children.
func (g *group) end(grace time.Duration) {
	const look = 10 * time.Millisecond
	defer g.guard.dismiss()
	g.signal(unix.SIGTERM)
	g.signal(unix.SIGCONT)
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for _, patience := range []time.Duration{grace, time.Second} {
		deadline := time.After(patience)
		for over := false; !over; {
			g.reap()
			if !g.signal(0) {
				return
			}
			select {
			case <-ticker.C:
			case <-deadline:
				over = true
			}
		}
		g.signal(unix.SIGKILL)
	}
}

// reap forgets those of the group that have ended and whose parent we are: where
// nobody does, as in a container whose first process does not, they are there for
// ever.
func (g *group) reap() {
	for {
		if pid, err := unix.Wait4(-g.pid, nil, unix.WNOHANG, nil); err != nil || pid == 0 {
			return
		}
	}
}

// signal signals the group and tells whether there is one.
func (g *group) signal(s unix.Signal) bool { return unix.Kill(-g.pid, s) == nil }

// guard is a process that ends a group when this one is gone, however it went.
type guard struct {
	cmd      *exec.Cmd
	lifeline io.WriteCloser
}

// guardScript reads the number of a group; when its input ends without a further
// word it ends that, and removes the folder $1, if any.
const guardScript = `read -r group && [ -n "$group" ] || exit
read -r _ && exit
kill -s TERM -- "-$group"
sleep 1
kill -s KILL -- "-$group"
[ -z "$1" ] || rm -rf -- "$1"`

// startGuard returns nil where there is no shell: on Linux the leader of the
// group ends with this process all the same.
func startGuard(remove string) *guard {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "sh", remove)
	cmd.Dir = "/"
	// The signals of the terminal are not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	lifeline, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	return &guard{cmd, lifeline}
}

// watch names the group, which has just been started.
func (g *guard) watch(pgid int) {
	if g != nil {
		_, _ = fmt.Fprintln(g.lifeline, pgid)
	}
}

// dismiss ends the guard: there is nothing left for it to do.
func (g *guard) dismiss() {
	if g == nil {
		return
	}
	_, _ = io.WriteString(g.lifeline, "\n")
	_ = g.lifeline.Close()
	_ = g.cmd.Wait()
}
