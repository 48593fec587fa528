//go:build !linux && !darwin

package tree

import "io/fs"

const openFlags = 0

// TracksModes says whether permission bits mean something on this system.
const TracksModes = false

// statIdentity has nothing to add to size and modification time here.
func statIdentity(fs.FileInfo) (ctime int64, inode uint64) { return 0, 0 }

// permissions are not tracked here: 0 for every entry, and a merge is told to
// leave the modes of the other side alone.
func permissions(fs.FileInfo) uint32 { return 0 }

// device is not told here. What Windows mounts in a folder is no folder but a
// reparse point, and is skipped as such.
func device(fs.FileInfo) uint64 { return 0 }

// links are not told here.
func links(fs.FileInfo) uint64 { return 1 }
