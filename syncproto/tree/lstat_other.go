//go:build !linux

package tree

import (
	"io/fs"
	"os"
)

// lstatReal is Lstat for a path whose parents are real folders.
func lstatReal(root *os.Root, p string) (fs.FileInfo, error) { return lstatWalk(root, p) }
