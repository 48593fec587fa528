//go:build linux

package runner

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// process is a started command and our ends of its streams.
type process struct {
	reaper *reaper
	pid    int
	exited <-chan unix.WaitStatus

	stdin  *os.File
	stdout *os.File
	// stderr is nil when a terminal carries all output.
	stderr *os.File
	tty    bool
	memory memory
}

// startProcess starts a command as the leader of a session of its own.
func (r *Runner) startProcess(s Start) (*process, error) {
	env := r.environment(s)
	c, err := r.resolve(s, env)
	if err != nil {
		return nil, err
	}
	p := &process{reaper: r.reaper, tty: s.TTY != nil, memory: watchMemory(cgroupDir)}
	attr := &os.ProcAttr{Dir: r.startDir(), Env: env, Sys: &syscall.SysProcAttr{Setsid: true}}
	var theirs []*os.File
	if p.tty {
		master, slave, err := openTerminal(*s.TTY)
		if err != nil {
			return nil, err
		}
		p.stdin, p.stdout = master, master
		theirs = []*os.File{slave, slave, slave}
		attr.Env = setEnv(env, "SSH_TTY", slave.Name())
		attr.Sys.Setctty = true
	} else if theirs, err = p.pipes(); err != nil {
		p.close()
		return nil, fmt.Errorf("opening pipes: %w", err)
	}
	attr.Files = theirs
	p.pid, p.exited, err = r.reaper.start(c.path, c.argv, attr)
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		p.close()
		return nil, newStartError(c.argv[0], err)
	}
	return p, nil
}

// startDir returns where commands start. A folder that this user may not enter,
// such as another user's home under a uid that the image does not know, is left
// to the runtime: it entered it before it became this user, and "" is where it
// started this process.
func (r *Runner) startDir() string {
	if unix.Access(r.hello.Workdir, unix.X_OK) != nil {
		return ""
	}
	return r.hello.Workdir
}

// pipes makes the three pipes and returns the ends for the process.
func (p *process) pipes() (theirs []*os.File, err error) {
	for _, ours := range []**os.File{&p.stdin, &p.stdout, &p.stderr} {
		read, write, err := os.Pipe()
		if err != nil {
			for _, f := range theirs {
				f.Close()
			}
			return nil, err
		}
		if ours == &p.stdin {
			read, write = write, read
		}
		*ours = read
		theirs = append(theirs, write)
	}
	return theirs, nil
}

func (p *process) close() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// signal sends a signal by its name to the terminal's foreground process
// group, or else to the process's own.
func (p *process) signal(name string) {
	s := unix.SignalNum("SIG" + name)
	if s == 0 {
		return
	}
	if p.tty {
		if pgrp, err := foreground(p.stdout); err == nil && pgrp > 1 && pgrp != p.pid {
			_ = unix.Kill(-pgrp, s)
			return
		}
	}
	p.reaper.signalGroup(p.pid, p.exited, s)
}

// terminate asks the process group to end. Interactive shells ignore SIGTERM
// and go with SIGHUP; SIGCONT lets a stopped process hear it.
func (p *process) terminate() {
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGCONT} {
		p.reaper.signalGroup(p.pid, p.exited, s)
	}
}

// leaveGrace is how long a process whose client has gone may take to see the end
// of its input.
const leaveGrace = 500 * time.Millisecond

// leave ends the process of a client that has gone. A shell that reads its
// commands from the client ends by itself then, and what it has left in the
// background goes on, as under any SSH server: so do the servers of IDEs.
func (p *process) leave(done <-chan struct{}, grace time.Duration) {
	p.close()
	select {
	case <-done:
	case <-time.After(leaveGrace):
		p.hangUp(done, grace)
	}
}

// hangUp ends the process of a client that nobody waits for. Its end closes done.
func (p *process) hangUp(done <-chan struct{}, grace time.Duration) {
	p.terminate()
	p.close()
	select {
	case <-done:
	case <-time.After(grace):
		p.reaper.signalGroup(p.pid, p.exited, unix.SIGKILL)
	}
}

// notStarted is the exit of a command that could not be run.
func notStarted(err error) Exit {
	exit := Exit{Status: statusNoContainer, Message: err.Error()}
	if e, ok := errors.AsType[*startError](err); ok {
		exit.Status = e.status
	}
	return exit
}

// session is a process on a connection.
type session struct {
	runner  *Runner
	conn    net.Conn
	process *process
	input   *window

	// write keeps frames whole: both outputs and credit share the connection.
	write sync.Mutex
}

// serveSession runs a process until it has ended, or the connection has.
func (r *Runner) serveSession(conn net.Conn, in *bufio.Reader, start Start) error {
	s := &session{runner: r, conn: conn, input: newWindow(StdinWindow)}
	p, err := r.startProcess(start)
	if err != nil {
		return s.sendExit(notStarted(err))
	}
	s.process = p
	r.markSession(conn)
	r.track(p, true)
	defer r.track(p, false)

	disconnected := make(chan struct{})
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(disconnected)
		if err := s.receive(in); err != nil {
			r.log.Warn("session ended by its client", "pid", p.pid, "err", err)
		}
	})
	group.Go(s.feed)
	var status unix.WaitStatus
	go func() {
		defer close(done)
		status = p.pump(s.send)
	}()

	select {
	case <-done:
		err = s.sendExit(r.explain(p.memory.explain(exitOf(status))))
	case <-disconnected:
		p.leave(done, r.grace.hangUp)
	}
	s.input.end()
	p.close()
	conn.Close()
	<-done
	group.Wait()
	return err
}

// explain says of a process that ended with the container that it did not end
// by itself, so that a client may run it again in the next one.
func (r *Runner) explain(e Exit) Exit {
	if !r.stopping.Load() {
		return e
	}
	return Exit{Status: statusTerminated, Signal: "TERM", Message: config.ContainerGone + ": it was told to end"}
}

// receive handles what the client sends until the connection ends.
func (s *session) receive(in *bufio.Reader) error {
	for {
		t, payload, err := readFrame(in)
		if err != nil {
			return ignoreClosed(err)
		}
		switch t {
		case FrameStdin:
			err = s.input.put(payload)
		case FrameStdinEOF:
			s.input.end()
		case FrameSignal:
			s.process.signal(string(payload))
		case FrameWindow:
			var size Size
			if err = json.Unmarshal(payload, &size); err == nil && s.process.tty {
				_ = resize(s.process.stdout, size)
			}
		default:
			err = fmt.Errorf("unexpected frame %d", t)
		}
		if err != nil {
			return err
		}
	}
}

// feed writes standard input to the process and gives credit for it. When the
// process reads no more, what comes is dropped.
func (s *session) feed() {
	var broken error
	for {
		p := s.input.take()
		if p == nil {
			break
		}
		if broken == nil {
			_, broken = s.process.stdin.Write(p)
		}
		if s.send(frame.New(FrameCredit, binary.BigEndian.AppendUint32(nil, uint32(len(p))))) != nil {
			return
		}
	}
	if !s.process.tty {
		s.process.stdin.Close()
	}
}

func (s *session) send(b []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	_, err := s.conn.Write(b)
	return err
}

func (s *session) sendExit(e Exit) error {
	b, err := message(FrameExit, e)
	if err != nil {
		return err
	}
	return ignoreClosed(s.send(b))
}

func exitOf(status unix.WaitStatus) Exit {
	if status.Signaled() {
		name := unix.SignalName(status.Signal())
		if len(name) > 3 {
			name = name[3:]
		}
		return Exit{Status: 128 + int(status.Signal()), Signal: name, Core: status.CoreDump()}
	}
	return Exit{Status: status.ExitStatus()}
}
