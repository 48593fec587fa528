//go:build unix

package stage

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// diskSize returns the size of the file system that dir is on, in bytes; 0 when
// it does not say.
func diskSize(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Blocks) * int64(st.Bsize)
}

// sameDisk reports whether two folders are on one file system.
func sameDisk(a, b *os.Root) bool {
	device := func(r *os.Root) (uint64, bool) {
		info, err := r.Stat(".")
		if err != nil {
			return 0, false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return 0, false
		}
		return uint64(st.Dev), true
	}
	da, oka := device(a)
	db, okb := device(b)
	return oka && okb && da == db
}
