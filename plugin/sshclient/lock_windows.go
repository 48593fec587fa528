package sshclient

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile waits until no other process has the lock of an open file. Closing
// the file releases it.
func lockFile(f *os.File) error {
	const all = ^uint32(0)
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, all, all, new(windows.Overlapped))
}
