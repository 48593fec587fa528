package engine

import (
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// sight tells what was seen as a whole. A folder that is renamed or removed while
// it is looked at leaves a tree for a moment that cannot be: with something in a
// folder that is none. Whoever looks is about to find out, and what is merged
// before would make the folder anew, or leave a part of it behind.
type sight struct {
	rc      *reconciler
	folders [2]map[string]bool // by side: what all above is known as a folder of
}

// whole reports whether both trees agree with themselves about p.
func (s *sight) whole(p string) bool {
	if s.rc.entry(merge.Laptop, p).Type != syncproto.EntryDir && s.rc.s.r.index.HasBelow(p) && s.visible(p) {
		return false
	}
	for _, side := range []merge.Side{merge.Laptop, merge.Pod} {
		if s.rc.entry(side, p).Exists() && !s.stands(side, tree.Parent(p)) {
			return false
		}
	}
	return true
}

// stands reports whether dir and all above it are folders on a side, as far as
// sync sees them.
func (s *sight) stands(side merge.Side, dir string) bool {
	if dir == "" {
		return true
	}
	known, ok := s.folders[side][dir]
	if !ok {
		known = (s.rc.entry(side, dir).Type == syncproto.EntryDir || !s.visible(dir)) && s.stands(side, tree.Parent(dir))
		if s.folders[side] == nil {
			s.folders[side] = map[string]bool{}
		}
		s.folders[side][dir] = known
	}
	return known
}

// visible reports whether sync would see a folder at p.
func (s *sight) visible(p string) bool {
	return s.rc.s.r.rules.Load().visible(p, tree.Entry{Type: syncproto.EntryDir})
}

// belowLost returns what the pod has, or both agreed on, below those of the
// paths that are folders no more on the laptop. The index may be ahead of what
// the observer has told, and a folder must not go without what is in it.
func (rc *reconciler) belowLost(paths []string) []string {
	lost := map[string]bool{}
	for _, p := range paths {
		if rc.remote.Get(p).Type == syncproto.EntryDir && rc.s.r.entry(p).Type != syncproto.EntryDir {
			lost[p] = true
		}
	}
	if len(lost) == 0 {
		return nil
	}
	var below []string
	for _, known := range []*tree.Entries{rc.remote.Entries, rc.s.leader.base.Entries()} {
		for p := range known.All() {
			if !rc.dirty[p] && tree.UnderAny(tree.Parent(p), lost) {
				below = append(below, p)
			}
		}
	}
	return below
}
