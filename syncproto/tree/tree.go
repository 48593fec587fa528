// Package tree knows what a root holds: it scans folders into entries, hashes
// contents with BLAKE3, remembers both in an index so that a rescan hashes
// nothing that did not change, and keeps the base of a merge on disk.
//
// SPEC.md, "Trees", is the specification of what is and what is not an entry.
package tree

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// Entry is what one path of a tree is; the zero value is an absent entry.
type Entry = syncproto.Entry

// Tree maps the paths of one side to their entries. The root itself has no
// path, and absent entries have no key.
type Tree map[string]Entry

// Set makes e the entry of p; an absent entry removes the key.
func (t Tree) Set(p string, e Entry) {
	if e.Exists() {
		t[p] = e
	} else {
		delete(t, p)
	}
}

// Paths returns the paths in order; a folder comes before what it holds.
func (t Tree) Paths() []string { return slices.Sorted(maps.Keys(t)) }

// Digest identifies the tree: two trees have the same digest when every path
// has the Same entry in both (SPEC.md, "Tree digest").
func (t Tree) Digest() syncproto.Digest {
	var s sum
	for p, e := range t {
		s.replace(p, Entry{}, e)
	}
	return s.digest()
}

// Parent returns the folder that holds p, "" for the root.
func Parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// Under reports whether p is dir or lies below it; everything is under "".
func Under(p, dir string) bool {
	return dir == "" || p == dir || len(p) > len(dir) && p[len(dir)] == '/' && strings.HasPrefix(p, dir)
}

// IsTemp reports whether the last component of p is one of our own temporary
// names.
func IsTemp(p string) bool { return strings.HasPrefix(path.Base(p), syncproto.TempPrefix) }
