package tree

import (
	"io/fs"
	"syscall"
)

// openFlags keeps the open of a name that became a fifo from blocking.
const openFlags = syscall.O_NONBLOCK

// TracksModes says whether permission bits mean something on this system.
const TracksModes = true

func statIdentity(info fs.FileInfo) (ctime int64, inode uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return st.Ctimespec.Nano(), st.Ino
}

func permissions(info fs.FileInfo) uint32 { return uint32(info.Mode().Perm()) }

// device returns the number of the device that holds what info describes.
func device(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev)
	}
	return 0
}

// links returns how many names a file has.
func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}
