package plugin

import (
	"os"
	"syscall"
)

// detachedProcess gives a process no console (DETACHED_PROCESS).
const detachedProcess = 0x8

// inBackground starts a process that the end of the console does not reach.
func inBackground() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | detachedProcess}
}

// interrupt ends a process: there is no way to ask one without a console.
func interrupt(p *os.Process) error { return p.Kill() }
