//go:build unix && !linux

package hybrid

import "syscall"

// dieWithParent has nothing to set here: the guard does it.
func dieWithParent(*syscall.SysProcAttr) {}

// adoptOrphans leaves them to the system's first process.
func adoptOrphans() {}
