package tree

import (
	"io/fs"
	"os"
)

// place is where an entry is on disk.
type place interface {
	lstat() (fs.FileInfo, error)
	// open opens what is a regular file as far as is known. It does not wait
	// for the other end of a fifo.
	open() (*os.File, error)
	readlink() (string, error)
}

// wholePath is a path of a root, every folder above which is a real one.
type wholePath struct {
	root *Root
	path string
}

func (w wholePath) lstat() (fs.FileInfo, error) { return w.root.LstatReal(w.path) }
func (w wholePath) open() (*os.File, error)     { return w.root.openReal(w.path) }
func (w wholePath) readlink() (string, error)   { return w.root.Readlink(w.path) }

// inFolder is a name in a folder that is open already.
type inFolder struct {
	dir  *os.Root
	name string
}

func (i inFolder) lstat() (fs.FileInfo, error) { return i.dir.Lstat(i.name) }
func (i inFolder) open() (*os.File, error)     { return i.dir.OpenFile(i.name, os.O_RDONLY|openFlags, 0) }
func (i inFolder) readlink() (string, error)   { return i.dir.Readlink(i.name) }
