package convergence

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A class says which system calls an ambush counts; each has those before it.
type class int

const (
	naming   class = iota // what makes, renames and removes names, and modes
	changing              // and what writes, to files and to the connection
	looking               // and what asks for names and for what they stand for
)

// An ambush waits in a process for its n-th system call of a class.
type ambush struct {
	n     int
	class class
	act   func() // runs while the thread is stopped before the call; nil for nothing
	end   bool   // the process is killed then, and the call is never made
}

// traced is a process under ptrace(2). Only the goroutine of start, which keeps
// its thread, may speak to it.
type traced struct {
	pid  int
	over chan error // gets the end of the process
}

// counts reports whether a system call is one that the ambush counts.
func (a ambush) counts(nr uint64, args []uint64) bool {
	switch nr {
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT,
		unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2:
		return true
	case unix.SYS_OPENAT:
		return a.class == looking || a.class == changing && args[2]&unix.O_CREAT != 0
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_FCHMOD, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT, unix.SYS_FTRUNCATE,
		unix.SYS_COPY_FILE_RANGE:
		return a.class >= changing
	case unix.SYS_OPENAT2, unix.SYS_NEWFSTATAT, unix.SYS_FSTAT, unix.SYS_READLINKAT, unix.SYS_GETDENTS64, unix.SYS_STATX:
		return a.class == looking
	default:
		return false
	}
}

// start starts a program under ptrace, with files as its descriptors from 3 on.
func start(argv, env []string, files []*os.File, a ambush) (*traced, error) {
	started := make(chan error)
	t := &traced{over: make(chan error, 1)}
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
			Env: env, Files: append([]*os.File{nil, nil, os.Stderr}, files...), Sys: &syscall.SysProcAttr{Ptrace: true},
		})
		if err == nil {
			t.pid = p.Pid
			_ = p.Release()
			err = t.attach()
		}
		started <- err
		if err == nil {
			t.over <- t.follow(a)
		}
	}()
	return t, <-started
}

// attach waits for the stop at the program's start.
func (t *traced) attach() error {
	var ws unix.WaitStatus
	if _, err := unix.Wait4(t.pid, &ws, unix.WALL, nil); err != nil {
		return fmt.Errorf("waiting for a traced process: %w", err)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(t.pid, options); err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	return unix.PtraceSyscall(t.pid, 0)
}

// kill ends the process.
func (t *traced) kill() { _ = unix.Kill(t.pid, unix.SIGKILL) }

// follow passes the process from stop to stop until it is gone.
func (t *traced) follow(a ambush) error {
	count := 0
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("waiting for a traced process: %w", err)
		case ws.Exited() || ws.Signaled():
			if pid == t.pid && ws.ExitStatus() > 0 {
				return fmt.Errorf("the process ended with status %d", ws.ExitStatus())
			}
			if pid == t.pid {
				return nil
			}
			continue
		}
		signal := 0
		switch stop := ws.StopSignal(); stop {
		case unix.SIGTRAP | 0x80:
			if enters(pid, a.counts) {
				if count++; count == a.n {
					if a.act != nil {
						a.act()
					}
					if a.end {
						t.kill()
						continue
					}
				}
			}
		case unix.SIGTRAP, unix.SIGSTOP: // a new thread, seen from both sides
		default:
			signal = int(stop)
		}
		// It fails when the process was killed meanwhile; its end follows.
		_ = unix.PtraceSyscall(pid, signal)
	}
}

// syscallInfo is struct ptrace_syscall_info of a system call's entry.
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	_    uint32
	_, _ uint64
	nr   uint64
	args [6]uint64
	_    [2]uint64
}

// enters reports whether a stopped thread is about to make a system call that
// counts.
func enters(pid int, counts func(nr uint64, args []uint64) bool) bool {
	const getSyscallInfo, entry = 0x420e, 1 // PTRACE_GET_SYSCALL_INFO, PTRACE_SYSCALL_INFO_ENTRY
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(pid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	return errno == 0 && info.op == entry && counts(info.nr, info.args[:])
}
