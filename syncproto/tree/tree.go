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
	"github.com/zeebo/blake3"
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
	return digestOf(t.Paths(), func(p string) Entry { return t[p] })
}

// digestOf returns the digest of a tree that has these paths, in order.
func digestOf(paths []string, entry func(p string) Entry) syncproto.Digest {
	h := blake3.New()
	var line []byte
	for _, p := range paths {
		e := entry(p)
		e.MTime = 0
		line = append(line[:0], p...)
		line = syncproto.AppendEntry(append(line, 0), e)
		_, _ = h.Write(line) // a hash does not fail
	}
	var d syncproto.Digest
	h.Sum(d[:0])
	return d
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
