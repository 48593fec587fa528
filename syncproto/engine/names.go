package engine

import (
	"fmt"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// names keeps from a side what it cannot hold (SPEC.md, "Names"). Only the
// session's loop uses it.
type names struct {
	sides   [2]sideNames
	refused map[string]refusal // by path
}

// sideNames are the names of one side.
type sideNames struct {
	rules tree.Names
	taken map[string]string // paths that exist, by key; nil until it is needed
}

// A refusal says why a path is left alone.
type refusal struct {
	side merge.Side
	why  string
	by   string // the path that is in the way; empty for none
}

// moved takes note of paths that may have come or gone on either side, and
// returns those for which the way is free now.
func (n *names) moved(paths []string, exists func(merge.Side, string) bool) (free []string) {
	for side := range n.sides {
		s := &n.sides[side]
		for _, p := range paths {
			if s.taken == nil {
				break
			}
			key := s.rules.Key(p)
			if exists(merge.Side(side), p) {
				s.taken[key] = p
			} else if s.taken[key] == p {
				delete(s.taken, key)
			}
		}
	}
	for _, p := range paths {
		delete(n.refused, p)
	}
	for p, r := range n.refused {
		if r.by != "" && !exists(r.side, r.by) {
			free = append(free, p)
		}
	}
	return free
}

// filter drops from the changes for one side those that would create what it
// cannot hold. each yields the paths that exist there.
func (n *names) filter(side merge.Side, changes []merge.Change, each func(func(p string)), ignored func(p string, e tree.Entry) bool) []merge.Change {
	s := &n.sides[side]
	if s.rules == (tree.Names{}) {
		return changes
	}
	claimed := map[string]string{} // by key, within this plan
	dropped := map[string]bool{}
	return slices.DeleteFunc(changes, func(c merge.Change) bool {
		if c.Op == syncproto.OpDelete || c.Expect.Exists() && !dropped[c.Path] {
			return false
		}
		if s.taken == nil && s.rules.Folds() {
			s.taken = map[string]string{}
			each(func(p string) { s.taken[s.rules.Key(p)] = p })
		}
		r := s.judge(c, claimed, ignored)
		if r.why == "" {
			return false
		}
		r.side = side
		n.refused[c.Path] = r
		dropped[c.Path] = true
		return true
	})
}

// judge says whether a change may create its path.
func (s *sideNames) judge(c merge.Change, claimed map[string]string, ignored func(p string, e tree.Entry) bool) refusal {
	if why := s.rules.Refuses(c.Path); why != "" {
		return refusal{why: why}
	}
	if !s.rules.Folds() {
		return refusal{}
	}
	if key := s.rules.Key(c.Path); key != c.Path && ignored(key, c.Entry) {
		return refusal{why: "it would be one with a path that is ignored"}
	}
	for p := c.Path; p != ""; p = tree.Parent(p) {
		key := s.rules.Key(p)
		for _, other := range []string{s.taken[key], claimed[key]} {
			if other != "" && other != p {
				return refusal{why: fmt.Sprintf("the file system takes it for %q, which is there", other), by: other}
			}
		}
	}
	for p := c.Path; p != ""; p = tree.Parent(p) {
		claimed[s.rules.Key(p)] = p
	}
	return refusal{}
}

// refusedTexts bounds how many refusals a status lists.
const refusedTexts = 100

// texts describes the refusals for a status.
func (n *names) texts() []string {
	var list []string
	for p, r := range n.refused {
		if list = append(list, fmt.Sprintf("%s: %s: %s", p, where(r.side), r.why)); len(list) == refusedTexts {
			break
		}
	}
	slices.Sort(list)
	return list
}

// exists reports whether a side has an entry at p.
func (rc *reconciler) exists(side merge.Side, p string) bool { return rc.entry(side, p).Exists() }

// keepNames drops from a plan for paths what a side cannot hold, and tells about
// it.
func (rc *reconciler) keepNames(plan *merge.Plan, paths []string) {
	for _, p := range rc.names.moved(paths, rc.exists) {
		rc.dirty[p] = true
	}
	visible := rc.s.r.rules.Load().visible
	ignored := func(p string, e tree.Entry) bool { return !visible(p, e) }
	plan.Laptop = rc.names.filter(merge.Laptop, plan.Laptop, func(yield func(string)) {
		rc.s.r.index.Each(func(p string, _ tree.Entry) bool { yield(p); return true })
	}, ignored)
	plan.Pod = rc.names.filter(merge.Pod, plan.Pod, func(yield func(string)) {
		for p := range rc.remote.All() {
			yield(p)
		}
	}, ignored)
	for _, p := range paths {
		if r, ok := rc.names.refused[p]; ok {
			rc.s.r.skipped(p, "it cannot be "+where(r.side)+": "+r.why)
		}
	}
}
