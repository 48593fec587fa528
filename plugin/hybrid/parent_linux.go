package hybrid

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent ends a process with the thread that starts it.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// adoptOrphans makes this process the parent of those whose own has ended. Where
// that cannot be, their end is noticed by the grace period's.
func adoptOrphans() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }
