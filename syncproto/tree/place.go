package tree

import (
	"io/fs"
	"os"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
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

// Glance is a first look at a path, for Index.LookOn to go on from.
type Glance struct {
	wholePath
	old  Record      // what the index had before
	info fs.FileInfo // nil where there was nothing, or once it was used
	dir  bool
}

// Glance looks at p.
func (x *Index) Glance(root *Root, p string) *Glance {
	g := &Glance{wholePath: wholePath{root, p}, old: x.landed(p)}
	if info, err := g.wholePath.lstat(); err == nil {
		g.info, g.dir = info, info.IsDir()
	}
	return g
}

// Dir reports whether a folder is there.
func (g *Glance) Dir() bool { return g.dir }

// WasDir reports whether the index had a folder there.
func (g *Glance) WasDir() bool { return g.old.Type == syncproto.EntryDir }

func (g *Glance) lstat() (fs.FileInfo, error) {
	info := g.info
	if g.info = nil; info != nil {
		return info, nil
	}
	return g.wholePath.lstat()
}

// inFolder is a name in a folder that is open already.
type inFolder struct {
	dir  *os.Root
	name string
}

func (i inFolder) lstat() (fs.FileInfo, error) { return i.dir.Lstat(i.name) }
func (i inFolder) open() (*os.File, error)     { return i.dir.OpenFile(i.name, os.O_RDONLY|openFlags, 0) }
func (i inFolder) readlink() (string, error)   { return i.dir.Readlink(i.name) }
