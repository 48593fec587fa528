package sshclient

import (
	"context"
	"os"

	"golang.org/x/sys/windows"
)

// watch tells of nothing: Windows reports new sizes only among the input
// records of the console, which the command's input consumes.
func (t *Terminal) watch(context.Context) <-chan Size { return nil }

// enableEscapes makes the console interpret the escape sequences that programs
// in the pod write.
func enableEscapes(out *os.File) (restore func()) {
	handle := windows.Handle(out.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(handle, &mode); err != nil {
		return func() {}
	}
	const escapes = windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING | windows.DISABLE_NEWLINE_AUTO_RETURN
	if err := windows.SetConsoleMode(handle, mode|escapes); err != nil {
		return func() {}
	}
	return func() { _ = windows.SetConsoleMode(handle, mode) }
}
