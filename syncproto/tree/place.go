package tree

import (
	"cmp"
	"io/fs"
	"os"
	"path"
	"slices"

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

// Folder is where some paths are that are looked at. It is open meanwhile if
// they are several: a look is one system call then, where finding the way takes
// three.
type Folder struct {
	root *Root
	open directory // nil where each look finds its own way
}

// EachFolder calls do for the paths of each folder, of a large one for some at a
// time. It changes the order of paths.
func EachFolder(paths []string, do func(dir string, paths []string)) {
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(Parent(a), Parent(b)) })
	for len(paths) > 0 {
		dir, n := Parent(paths[0]), 1
		for n < min(len(paths), lookTogether) && Parent(paths[n]) == dir {
			n++
		}
		do(dir, paths[:n:n])
		paths = paths[n:]
	}
}

// Folder returns the folder dir for looks at a number of paths that are in it.
func (r *Root) Folder(dir string, looks int) *Folder {
	f := &Folder{root: r}
	if looks > 1 && !r.names.Folds() { // else a name must be found as it is written
		if open, err := r.openDirectory(dir); err == nil {
			f.open = open
		}
	}
	return f
}

// Close releases the folder.
func (f *Folder) Close() {
	if f.open != nil {
		_ = f.open.Close()
	}
}

// at returns the place of p, which is in the folder.
func (f *Folder) at(p string) place {
	if f.open == nil {
		return wholePath{f.root, p}
	}
	return f.open.at(path.Base(p))
}

// Glance is a first look at a path, for Index.LookOn to go on from.
type Glance struct {
	place
	path string
	old  Record      // what the index had before
	info fs.FileInfo // nil where there was nothing, or once it was used
	dir  bool
}

// Glance looks at p, which is in the folder f.
func (x *Index) Glance(f *Folder, p string) *Glance {
	g := &Glance{place: f.at(p), path: p, old: x.landed(p)}
	if info, err := g.place.lstat(); err == nil {
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
	return g.place.lstat()
}

// inFolder is a name in a folder that is open already.
type inFolder struct {
	dir  *os.Root
	name string
}

func (i inFolder) lstat() (fs.FileInfo, error) { return i.dir.Lstat(i.name) }
func (i inFolder) open() (*os.File, error)     { return i.dir.OpenFile(i.name, os.O_RDONLY|openFlags, 0) }
func (i inFolder) readlink() (string, error)   { return i.dir.Readlink(i.name) }
