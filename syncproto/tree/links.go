package tree

import (
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// OtherLinks returns the paths that are names of the same files as some of
// paths are, other than these. A write through one name makes no event under
// the others.
func (x *Index) OtherLinks(root *Root, paths []string) []string {
	inodes, known := map[uint64]bool{}, map[string]bool{}
	EachFolder(slices.Clone(paths), func(dir string, paths []string) {
		f := root.Folder(dir, len(paths))
		defer f.Close()
		for _, p := range paths {
			known[p] = true
			if x.Get(p).Type != syncproto.EntryFile {
				continue
			}
			if info, err := f.at(p).lstat(); err == nil && links(info) > 1 {
				inodes[Inode(info)] = true
			}
		}
	})
	if len(inodes) == 0 {
		return nil
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	var others []string
	for p, r := range x.records {
		if r.Type == syncproto.EntryFile && inodes[r.Inode] && !known[p] {
			others = append(others, p)
		}
	}
	return others
}
