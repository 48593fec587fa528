//go:build !linux

package tree

import (
	"io/fs"
	"os"
)

// LstatReal is Lstat for a path whose parents are real folders; below anything
// else there is nothing.
func (r *Root) LstatReal(p string) (fs.FileInfo, error) {
	if p == "" {
		p = "."
	}
	return r.lstatWalk(p)
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
