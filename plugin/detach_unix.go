//go:build unix

package plugin

import (
	"os"
	"syscall"
)

// inBackground starts a process that the end of the terminal does not reach.
func inBackground() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// interrupt asks a process to end.
func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
