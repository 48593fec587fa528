//go:build linux

package runner

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// sink takes output as a frame of FrameStdout or FrameStderr, whose bytes are
// its own only until it returns.
type sink func(framed []byte) error

// pump hands the output on until the process has ended and all of its output
// was read, and returns its status. With pipes that is their end, for which a
// background process may keep the session waiting, as with any SSH server; a
// terminal ends with its session leader.
func (p *process) pump(to sink) unix.WaitStatus {
	var outputs sync.WaitGroup
	outputs.Go(func() { copyOutput(to, FrameStdout, p.stdout) })
	if p.stderr != nil {
		outputs.Go(func() { copyOutput(to, FrameStderr, p.stderr) })
	}
	status := <-p.exited
	if p.tty {
		_ = p.stdout.SetReadDeadline(time.Now())
	}
	outputs.Wait()
	if p.tty {
		p.drainTerminal(to)
	}
	return status
}

// copyOutput hands on what it reads from the process. When nobody takes it the
// process gets SIGPIPE from its next write: hangUp closes our end.
func copyOutput(to sink, t FrameType, from *os.File) {
	buf := make([]byte, frame.HeaderSize+attach.MaxData)
	for {
		n, err := from.Read(buf[frame.HeaderSize:])
		if n > 0 {
			frame.Put(buf, t, n)
			if to(buf[:frame.HeaderSize+n]) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drainTerminal hands on what the terminal still holds after its session leader
// has ended. Background processes may keep it open, so that there is no end to
// wait for.
func (p *process) drainTerminal(to sink) {
	buf := make([]byte, frame.HeaderSize+attach.MaxData)
	_ = drain(p.stdout, func(fd int) bool {
		n, err := unix.Read(fd, buf[frame.HeaderSize:])
		if errors.Is(err, unix.EINTR) {
			return true
		}
		if n <= 0 {
			return false
		}
		frame.Put(buf, FrameStdout, n)
		return to(buf[:frame.HeaderSize+n]) == nil
	})
}
