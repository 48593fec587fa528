package engine

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// maxPrefixes bounds the paths that activity counts for.
const maxPrefixes = 8192

// Usage is what a path, with everything below it, costs.
type Usage struct {
	// Path is root-relative; empty for the root itself.
	Path string
	// Dir tells that the path is a folder, or was one.
	Dir bool
	// Changes and Bytes count what sync applied on either side since the leader
	// was made: entries, and the content that they had.
	Changes, Bytes int64
	// Last is when the last of them was applied.
	Last time.Time
	// Files and Size are the regular files that the laptop has there, and the
	// sum of their sizes.
	Files int
	Size  int64
}

// activity counts what is applied, for each path and every folder above it. Its
// memory is bounded: paths with which little happened are forgotten, and stay
// counted in the folders above them.
type activity struct {
	mu    sync.Mutex
	paths map[string]*Usage
}

func newActivity() *activity { return &activity{paths: map[string]*Usage{}} }

// add counts one change of p.
func (a *activity) add(p string, bytes int64, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at := p; ; at = tree.Parent(at) {
		u := a.paths[at]
		if u == nil {
			u = &Usage{Path: at}
			a.paths[at] = u
		}
		u.Dir = u.Dir || at != p
		u.Changes, u.Bytes, u.Last = u.Changes+1, u.Bytes+bytes, now
		if at == "" {
			break
		}
	}
	if len(a.paths) > maxPrefixes {
		a.forget()
	}
}

// forget drops the lighter half. A folder is never lighter than what is in it,
// and of two that weigh the same the deeper one goes.
func (a *activity) forget() {
	list := make([]*Usage, 0, len(a.paths))
	for _, u := range a.paths {
		list = append(list, u)
	}
	const perChange = 64 << 10 // bytes that weigh as much as a change
	weight := func(u *Usage) int64 { return u.Changes + u.Bytes/perChange }
	slices.SortFunc(list, func(x, y *Usage) int {
		return cmp.Or(cmp.Compare(weight(x), weight(y)), cmp.Compare(len(y.Path), len(x.Path)))
	})
	for _, u := range list[:len(list)/2] {
		delete(a.paths, u.Path)
	}
}

// copy returns the counts so far.
func (a *activity) copy() map[string]*Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := make(map[string]*Usage, len(a.paths))
	for p, u := range a.paths {
		one := *u
		c[p] = &one
	}
	return c
}

// Top returns the paths that cost most, by changes, bytes moved or size on disk,
// at most n and the costliest first, and what the whole root costs. Of a folder
// and what is in it one is named: the deepest that has most of the cost.
func (l *Leader) Top(n int) (top []Usage, whole Usage) {
	paths := l.activity.copy()
	for p, e := range l.r.index.Tree() {
		addSize(paths, p, e)
	}
	return costliest(paths, n)
}

// addSize counts an entry of the tree for its path and every folder above it.
func addSize(paths map[string]*Usage, p string, e tree.Entry) {
	for at := p; ; at = tree.Parent(at) {
		u := paths[at]
		if u == nil {
			u = &Usage{Path: at}
			paths[at] = u
		}
		u.Dir = u.Dir || at != p || e.Type == syncproto.EntryDir
		if e.Type == syncproto.EntryFile {
			u.Files, u.Size = u.Files+1, u.Size+e.Size
		}
		if at == "" {
			return
		}
	}
}

// costs are the measures by which paths are compared.
func costs() []func(*Usage) int64 {
	return []func(*Usage) int64{
		func(u *Usage) int64 { return u.Changes },
		func(u *Usage) int64 { return u.Bytes },
		func(u *Usage) int64 { return u.Size },
	}
}

// costliest implements Top on counts that include the sizes.
func costliest(paths map[string]*Usage, n int) (top []Usage, whole Usage) {
	if root := paths[""]; root != nil {
		whole = *root
	}
	whole.Dir = true
	below := map[string][]*Usage{}
	for p, u := range paths {
		if p != "" {
			below[tree.Parent(p)] = append(below[tree.Parent(p)], u)
		}
	}
	share := func(u *Usage) float64 {
		var most float64
		for _, cost := range costs() {
			if all := cost(&whole); all > 0 {
				most = math.Max(most, float64(cost(u))/float64(all))
			}
		}
		return most
	}
	list := slices.Clone(below[""])
	slices.SortFunc(list, func(x, y *Usage) int {
		return cmp.Or(cmp.Compare(share(y), share(x)), strings.Compare(x.Path, y.Path))
	})
	for _, u := range list[:min(n, len(list))] {
		top = append(top, *narrow(u, below))
	}
	return top, whole
}

// narrow descends from a folder as long as one path in it has most of what the
// folder costs, by every measure.
func narrow(u *Usage, below map[string][]*Usage) *Usage {
	most := func(part, all int64) bool { return part >= all-all/5 }
	for {
		i := slices.IndexFunc(below[u.Path], func(child *Usage) bool {
			return !slices.ContainsFunc(costs(), func(cost func(*Usage) int64) bool { return !most(cost(child), cost(u)) })
		})
		if i < 0 {
			return u
		}
		u = below[u.Path][i]
	}
}
