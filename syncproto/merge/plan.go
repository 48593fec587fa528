package merge

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// steps gathers the changes for one side by the moment at which they must
// happen. SPEC.md, "Order of changes".
type steps struct {
	cleared map[string]bool // folders that another type replaces
	copies  []Change        // conflict copies, before their originals go
	clears  []Change        // deletes that make room for another type, children first
	mkdirs  []Change        // parents first, those of one depth together: they can run in parallel
	creates []Change        // in any order, so that they can run in parallel
	deletes []Change        // after creates, which may copy from them
	rmdirs  []Change        // children first
	chmods  []Change        // of folders, children first
}

func (s *steps) list() []Change {
	slices.Reverse(s.clears)
	slices.Reverse(s.rmdirs)
	slices.Reverse(s.chmods)
	slices.SortStableFunc(s.mkdirs, func(a, b Change) int { return cmp.Compare(depth(a.Path), depth(b.Path)) })
	return slices.Concat(s.copies, s.clears, s.mkdirs, s.creates, s.deletes, s.rmdirs, s.chmods)
}

func depth(p string) int { return strings.Count(p, "/") }

// plan turns the verdicts into ordered changes.
func (m *merger) plan() Plan {
	var out Plan
	laptop, pod := steps{cleared: map[string]bool{}}, steps{cleared: map[string]bool{}}
	for _, p := range slices.Sorted(maps.Keys(m.verdicts)) {
		v := m.verdicts[p]
		if v.own {
			out.keepOwn(p, v, m.in.Own[p] || m.in.Left[p])
			continue
		}
		if v.laptop.Same(v.pod) && v.want.Same(v.laptop) {
			if !v.base.Same(v.laptop) {
				out.Agreed = append(out.Agreed, syncproto.Item{Path: p, Entry: v.pod})
			}
			continue
		}
		for _, side := range v.copies {
			c := m.copyBeside(p, v, side)
			out.Conflicts = append(out.Conflicts, c.conflict)
			if side == Laptop {
				laptop.copies = append(laptop.copies, c.change)
			} else {
				pod.copies = append(pod.copies, c.change)
			}
		}
		laptop.add(p, v, Laptop, m.in.First)
		pod.add(p, v, Pod, m.in.First)
	}
	out.Laptop, out.Pod = laptop.list(), pod.list()
	return out
}

// add appends what brings one side from what it has to what is wanted.
func (s *steps) add(p string, v *verdict, side Side, first bool) {
	have, other := v.laptop, v.pod
	if side == Pod {
		have, other = v.pod, v.laptop
	}
	c := Change{Agree: v.want.Same(other)}
	c.Path, c.Entry, c.Expect = p, v.want, have
	c.Keep = have.Exists() && !isDir(have) && !have.SameContent(v.base) && !have.SameContent(v.want)
	c.First = c.Keep && first && !v.base.Exists()
	switch {
	case have.Same(v.want):
	case !v.want.Exists():
		c.Op = syncproto.OpDelete
		switch {
		case s.underCleared(p):
			s.clears = append(s.clears, c)
		case isDir(have):
			s.rmdirs = append(s.rmdirs, c)
		default:
			s.deletes = append(s.deletes, c)
		}
	case have.SameContent(v.want):
		c.Op = syncproto.OpChmod
		if isDir(have) {
			s.chmods = append(s.chmods, c)
		} else {
			s.creates = append(s.creates, c)
		}
	default:
		if have.Exists() && isDir(have) != isDir(v.want) {
			gone := c
			gone.Op, gone.Entry, gone.Agree = syncproto.OpDelete, tree.Entry{}, false
			s.clears = append(s.clears, gone)
			s.cleared[p] = true
			c.Expect, c.Keep, c.First = tree.Entry{}, false, false
		}
		s.create(c)
	}
}

// ownerAll is what its owner must be allowed to do with a folder to fill it.
const ownerAll = 0o700

// create appends c, which makes a new entry. A folder that even its owner may
// not write gets that mode only once it is filled.
func (s *steps) create(c Change) {
	c.Op = operation(c.Entry.Type)
	if c.Op != syncproto.OpMkdir {
		s.creates = append(s.creates, c)
		return
	}
	if c.Entry.Mode&ownerAll != ownerAll {
		last := c
		c.Entry.Mode |= ownerAll
		c.Agree = false
		last.Op, last.Expect = syncproto.OpChmod, c.Entry
		s.chmods = append(s.chmods, last)
	}
	s.mkdirs = append(s.mkdirs, c)
}

func (s *steps) underCleared(p string) bool {
	for ; p != ""; p = tree.Parent(p) {
		if s.cleared[p] {
			return true
		}
	}
	return false
}

func operation(t syncproto.EntryType) syncproto.Op {
	switch t {
	case syncproto.EntryDir:
		return syncproto.OpMkdir
	case syncproto.EntrySymlink:
		return syncproto.OpSymlink
	default:
		return syncproto.OpPut
	}
}

type copied struct {
	change   Change
	conflict Conflict
}

// copyBeside keeps what a side has at p under another name on that side. The
// next merge carries the copy to the other side as any new file.
func (m *merger) copyBeside(p string, v *verdict, side Side) copied {
	have := v.laptop
	if side == Pod {
		have = v.pod
	}
	name := copyName(p, side, m.in.Now, m.exists)
	m.taken[name] = true
	c := Change{}
	c.Op, c.Path, c.Entry = operation(have.Type), name, have
	if have.Type == syncproto.EntryFile {
		c.From = p
	}
	return copied{change: c, conflict: Conflict{Path: p, Copy: name, Loser: side}}
}

func (m *merger) exists(p string) bool {
	return m.taken[p] || m.in.Base(p).Exists() || m.in.Laptop(p).Exists() || m.in.Pod(p).Exists()
}
