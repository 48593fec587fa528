//go:build unix

package sshclient

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile waits until no other process has the lock of an open file. Closing
// the file releases it.
func lockFile(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR { //nolint:errorlint // An errno.
			return err
		}
	}
}
