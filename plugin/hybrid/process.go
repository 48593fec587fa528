package hybrid

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/netns"
)

// Config is what to run, and how.
type Config struct {
	// Argv is the program and its arguments, Dir where it starts.
	Argv []string
	Dir  string
	// Env is its environment, all of it.
	Env []string
	// Stdin, Stdout and Stderr are its streams; nil is an empty one. When Stdin
	// is the terminal and this program in its foreground, the process is that
	// while it runs.
	Stdin, Stdout, Stderr *os.File
	// Remove is a folder that goes with the group when this program is killed; ""
	// is none.
	Remove string
	// Grace is how long the group has to end when it is asked to; 0 means 5 s.
	Grace time.Duration
	// Room is a network namespace that the process has for itself; nil means that
	// it has the laptop's. It is closed with a process that was started.
	Room *netns.Room
	// Ended is told how the process ended, unless Stop ended it.
	Ended func(Exit)
}

// Exit is how a process ended.
type Exit struct {
	// Status is the exit status; 128 and the signal's number if a signal ended
	// the process, as shells have it.
	Status int
	// Signal is the signal's name without SIG; "" if none.
	Signal string
}

// unknown is the end of a process of which the system does not tell it.
const unknown = 255

// Process is a process of this machine with all that it started.
type Process struct {
	grace time.Duration
	group group
	room  *netns.Room
	done  chan struct{}
	// stopping is true once Stop was called.
	stopping atomic.Bool
	once     sync.Once
}

// Start starts a process in a group of its own.
func Start(c Config) (*Process, error) {
	path, err := lookPath(c.Argv[0], c.Dir, variable(c.Env, "PATH"))
	if err != nil {
		return nil, fmt.Errorf("running the command: %w", err)
	}
	files := []*os.File{c.Stdin, c.Stdout, c.Stderr}
	empty, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("running the command: %w", err)
	}
	defer func() { _ = empty.Close() }()
	for i := range files {
		files[i] = cmp.Or(files[i], empty)
	}
	p := &Process{grace: cmp.Or(c.Grace, 5*time.Second), room: c.Room, done: make(chan struct{})}
	attr := &os.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files}
	path, argv, err := c.Room.Enter(path, c.Argv, attr)
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	var entered error
	go func() {
		defer close(p.done)
		exit, err := p.group.run(path, argv, attr, c.Remove, func() {
			entered = c.Room.Started()
			started <- nil
		})
		if err != nil {
			started <- c.Room.Refused(err)
		} else if entered == nil && c.Ended != nil && !p.stopping.Load() {
			c.Ended(exit)
		}
	}()
	if err = <-started; err == nil && entered != nil {
		p.Stop()
		err = entered
	}
	if err != nil {
		return nil, fmt.Errorf("running the command: %w", err)
	}
	return p, nil
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.group.pid }

// Stop ends the process and what it started, by force after the grace period, and
// returns when they are gone. It is needed after the process ended by itself, too.
func (p *Process) Stop() {
	p.stopping.Store(true)
	p.once.Do(func() {
		p.group.end(p.grace)
		p.room.Close()
	})
	<-p.done
}

// Shell returns what runs a command line of the system's shell.
func Shell(line string) []string { return append(shell(), line) }

// UserShell returns the shell that the user of an environment types into.
func UserShell(env []string) []string {
	return []string{cmp.Or(variable(env, "SHELL"), variable(env, "COMSPEC"), "sh")}
}

// lookPath finds a program as a shell in that folder would.
func lookPath(name, dir, path string) (string, error) {
	if filepath.Base(name) != name {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return exec.LookPath(name)
	}
	for _, folder := range filepath.SplitList(path) {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		if file, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// variable returns the value of a variable, "" if there is none.
func variable(env []string, name string) string {
	for _, e := range env {
		if n, value, _ := strings.Cut(e, "="); contains([]string{name}, n) {
			return value
		}
	}
	return ""
}
