//go:build !linux

package tree

import (
	"io/fs"
	"os"
	"path/filepath"
)

// lstatReal is LstatReal for names that the file system does not fold.
func (r *Root) lstatReal(p string) (fs.FileInfo, error) { return r.lstatWalk(p) }

// isMounted reports whether a folder is on another device than the root.
func (r *Root) isMounted(folder *os.File) bool {
	top, err := r.dir.Stat()
	if err != nil {
		return false
	}
	info, err := folder.Stat()
	return err == nil && device(info) != device(top)
}

// openReal opens the file at p, whose parents are real folders, for reading.
func (r *Root) openReal(p string) (*os.File, error) { return r.openWalk(p) }

// OpenFolder opens the folder at p, "" for the root; it and its parents are real
// folders.
func (r *Root) OpenFolder(p string) (*os.Root, error) {
	if p == "" {
		return r.OpenRoot(".")
	}
	return r.openFolderWalk(p)
}

// OpenDir opens the folder at p, for system calls and for reading its list.
func (r *Root) OpenDir(p string) (*os.File, error) { return r.Open(filepath.FromSlash(p)) }

// openDirectory opens a folder for a scan.
func (r *Root) openDirectory(p string) (directory, error) { return r.rootDirectory(p) }
