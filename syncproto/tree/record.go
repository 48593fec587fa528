package tree

import (
	"io/fs"
	"os"
	"time"
)

// Windows within which a modification time close to the moment of hashing is
// not trusted: a second write in the same tick of the file system's clock
// would leave the same time behind. The coarse one is for file systems that
// keep no finer time than a millisecond (FAT keeps two seconds).
const (
	racyFine   = 20 * time.Millisecond
	racyCoarse = 2 * time.Second
)

// Record is an entry and the identity that its file had when it was hashed.
type Record struct {
	Entry
	CTime   int64  // nanoseconds since 1970; 0 where the system has none
	Inode   uint64 // 0 where the system has none
	Checked int64  // when hashing began, nanoseconds since 1970
}

// identify returns the record of a file without its digest.
func identify(info fs.FileInfo, now time.Time) Record {
	r := Record{Entry: Entry{Mode: permissions(info)}, Checked: now.UnixNano()}
	r.CTime, r.Inode = statIdentity(info)
	r.Size, r.MTime = info.Size(), info.ModTime().UnixNano()
	return r
}

// SameFile reports whether both records describe the same state of the same
// file, by everything that stat tells.
func (r Record) SameFile(o Record) bool {
	return r.Type == o.Type && r.Mode == o.Mode && r.Size == o.Size &&
		r.MTime == o.MTime && r.CTime == o.CTime && r.Inode == o.Inode
}

// Describes reports whether info, of a regular file, proves that the content is
// the one that was hashed.
func (r Record) Describes(info fs.FileInfo) bool {
	now := identify(info, time.Time{})
	now.Type = r.Type
	return now.SameFile(r) && !r.Racy()
}

// Unwritten reports whether info describes the same file with the content and
// the permission bits that it had.
func (r Record) Unwritten(info fs.FileInfo) bool {
	o := identify(info, time.Time{})
	return o.Mode == r.Mode && o.Size == r.Size && o.MTime == r.MTime && o.Inode == r.Inode
}

// Racy reports whether the file may have been written again after it was
// hashed without stat showing it.
func (r Record) Racy() bool {
	window := racyFine
	if r.MTime%int64(time.Millisecond) == 0 {
		window = racyCoarse
	}
	age := r.Checked - r.MTime
	return max(age, -age) < int64(window)
}

// SameInode reports whether both describe one file or folder of a root.
func SameInode(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) || Inode(a) != 0 && Inode(a) == Inode(b)
}

// Inode returns the inode of what info describes, 0 where the system has none.
func Inode(info fs.FileInfo) uint64 {
	_, inode := statIdentity(info)
	return inode
}
