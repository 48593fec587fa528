//go:build unix

package stage

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// link makes a hard link from one open folder into another, so that no symlink
// leads elsewhere.
func link(from *os.File, name string, to *os.File, as string) error {
	return unix.Linkat(int(from.Fd()), name, int(to.Fd()), as, 0)
}

// shared reports whether a file has more names than one.
func shared(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && st.Nlink > 1
}
