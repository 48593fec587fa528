package tree

import (
	"io/fs"
	"os"
)

// lstatWalk is Lstat for a path whose parents are real folders: os.Root keeps
// a symlinked parent inside the root but would still follow it. It looks at
// every parent from the root anew.
func lstatWalk(root *os.Root, p string) (fs.FileInfo, error) {
	for i := range len(p) {
		if p[i] != '/' {
			continue
		}
		info, err := root.Lstat(p[:i])
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fs.ErrNotExist
		}
	}
	return root.Lstat(p)
}
