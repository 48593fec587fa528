package engine

import (
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// flight holds the paths of changes that are on their way. Such a path, what
// is above it and what is below it are not merged again before it has landed:
// a second opinion on a half-known state would see conflicts that are none.
type flight struct {
	paths map[string]int // changes of the path itself
	below map[string]int // changes of paths below it
	toPod map[string]int // changes of the path in the pod
	sides [2]int
	bytes int64
	lag   *lag // of what is on its way or will be
}

func newFlight(l *lag) *flight {
	return &flight{paths: map[string]int{}, below: map[string]int{}, toPod: map[string]int{}, lag: l}
}

func (f *flight) add(side merge.Side, changes []merge.Change) {
	f.sides[side] += len(changes)
	for i := range changes {
		f.count(side, changes[i].Path, 1)
		f.bytes += changes[i].Entry.Size
	}
}

func (f *flight) land(side merge.Side, c *merge.Change) {
	f.sides[side]--
	f.bytes -= c.Entry.Size
	f.count(side, c.Path, -1)
	if f.size() == 0 {
		*f = *newFlight(f.lag) // gives the memory of a storm back
	}
}

func (f *flight) count(side merge.Side, p string, n int) {
	if side == merge.Pod {
		bump(f.toPod, p, n)
	}
	bump(f.paths, p, n)
	for a := tree.Parent(p); a != ""; a = tree.Parent(a) {
		bump(f.below, a, n)
	}
}

func bump(m map[string]int, p string, n int) {
	if m[p] += n; m[p] == 0 {
		delete(m, p)
	}
}

// blocks reports whether p must wait.
func (f *flight) blocks(p string) bool {
	if len(f.paths) == 0 {
		return false
	}
	if f.below[p] > 0 {
		return true
	}
	for ; p != ""; p = tree.Parent(p) {
		if f.paths[p] > 0 {
			return true
		}
	}
	return false
}

func (f *flight) size() int { return f.sides[merge.Laptop] + f.sides[merge.Pod] }

// pending returns the number of changes, their bytes, and one of their paths.
func (f *flight) pending() (n int, bytes int64, current string) {
	for p := range f.paths {
		current = p
		break
	}
	return f.size(), f.bytes, current
}
