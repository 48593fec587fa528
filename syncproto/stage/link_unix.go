//go:build unix

package stage

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// link makes a hard link from one root into another. Both ends are named
// relative to an open folder, so that no symlink leads elsewhere.
func link(from *os.Root, p string, to *os.Root, q string) error {
	fromDir, fromName, err := parentOf(from, p)
	if err != nil {
		return err
	}
	defer fromDir.Close()
	toDir, toName, err := parentOf(to, q)
	if err != nil {
		return err
	}
	defer toDir.Close()
	return unix.Linkat(int(fromDir.Fd()), fromName, int(toDir.Fd()), toName, 0)
}

// shared reports whether a file has more names than one.
func shared(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && st.Nlink > 1
}
