package tree

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFlags keeps the open of a name that became a fifo from blocking.
const openFlags = syscall.O_NONBLOCK

// TracksModes says whether permission bits mean something on this system.
const TracksModes = true

func statIdentity(info fs.FileInfo) (ctime int64, inode uint64) {
	switch st := info.Sys().(type) {
	case *unix.Stat_t: // ours
		return st.Ctim.Nano(), st.Ino
	case *syscall.Stat_t:
		return st.Ctim.Nano(), st.Ino
	default:
		return 0, 0
	}
}

func permissions(info fs.FileInfo) uint32 { return uint32(info.Mode().Perm()) }

// links returns how many names a file has.
func links(info fs.FileInfo) uint64 {
	switch st := info.Sys().(type) {
	case *unix.Stat_t: // ours
		return uint64(st.Nlink)
	case *syscall.Stat_t:
		return uint64(st.Nlink)
	default:
		return 1
	}
}
