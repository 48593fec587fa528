// Package merge decides what either side of a sync must change. It is a pure
// function of three trees: the base on which both sides last agreed, what the
// laptop has, and what the pod has. SPEC.md, "Merge", holds the table that it
// implements; every cell of it is a test.
package merge

import (
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Side is one of the two sides of a sync.
type Side int

// The sides, and their names in conflict copies.
const (
	Laptop Side = iota
	Pod
)

// String returns the name of the side as conflict copies carry it.
func (s Side) String() string {
	if s == Laptop {
		return "laptop"
	}
	return "pod"
}

// Mode says which side may change the other.
type Mode int

// Modes of a sync.
const (
	// TwoWay carries changes both ways.
	TwoWay Mode = iota
	// Push makes the pod what the laptop is.
	Push
	// Pull makes the laptop what the pod is.
	Pull
)

// String returns the mode as a manifest names it.
func (m Mode) String() string { return [...]string{"two-way", "push", "pull"}[m] }

// Mirror returns the side that becomes what the other one is; none for TwoWay.
func (m Mode) Mirror() (side Side, ok bool) { return Side(Pull - m), m != TwoWay }

// View answers what a path is; absent when it does not exist.
type View func(p string) tree.Entry

// Input is what a merge is a function of.
type Input struct {
	Base, Laptop, Pod View

	// Paths are the paths to merge, in any order, duplicates allowed. Paths
	// that are unchanged on both sides since the base may be left out.
	Paths []string
	// First says that the first meeting of the two trees is not over: a path
	// that the base does not know is united, never a conflict.
	First bool
	// NoLaptopModes and NoPodModes say that a side keeps no permission bits:
	// what it has counts as what the other side has.
	NoLaptopModes, NoPodModes bool
	// Mode says which side may change the other.
	Mode Mode
	// Own are the paths that a mirror has for itself, and Left are folders that
	// it could not delete, for what sync does not see in them; nil for none.
	Own, Left map[string]bool
	// Now names conflict copies.
	Now time.Time
}

// Change is a change for one side.
type Change struct {
	syncproto.Change
	// Agree says that once this change is applied both sides have Entry.
	Agree bool
}

// Conflict is a path that both sides changed differently.
type Conflict struct {
	Path  string
	Copy  string // where the loser is kept
	Loser Side
}

// Plan is what a merge found.
type Plan struct {
	Laptop, Pod []Change         // in the order in which they must be applied
	Agreed      []syncproto.Item // both sides have this already, the base does not
	Conflicts   []Conflict
	Own         []string // what a mirror has for itself from now on
}

// Empty reports whether the plan asks for nothing.
func (p *Plan) Empty() bool {
	return len(p.Laptop) == 0 && len(p.Pod) == 0 && len(p.Agreed) == 0 && len(p.Own) == 0
}

// verdict is the outcome for one path.
type verdict struct {
	base, laptop, pod tree.Entry
	want              tree.Entry
	copies            []Side // sides whose entry is kept beside
	own               bool   // the mirror has it for itself: nothing is done
}

// merger is one merge in progress.
type merger struct {
	in       Input
	verdicts map[string]*verdict
	needed   map[string]bool // folders in which something will exist
	taken    map[string]bool // names of conflict copies in this plan
}

// Reconcile computes the plan for in.
func Reconcile(in Input) Plan {
	m := &merger{in: in, verdicts: map[string]*verdict{}, needed: map[string]bool{}, taken: map[string]bool{}}
	for _, p := range in.Paths {
		m.judge(p)
	}
	// A folder in which something survives survives too.
	for p, v := range m.verdicts {
		if m.needed[p] && v.want.Type != syncproto.EntryDir {
			v.keepFolder()
		}
	}
	if side, ok := in.Mode.Mirror(); ok {
		m.settleOwn(side)
	}
	return m.plan()
}

// judge decides p on its own, then the folders that must exist for it.
func (m *merger) judge(p string) {
	if m.verdicts[p] != nil {
		return
	}
	v := m.look(p)
	m.verdicts[p] = v
	m.decide(p, v)
	if !v.want.Exists() {
		return
	}
	for a := tree.Parent(p); a != "" && !m.needed[a]; a = tree.Parent(a) {
		m.needed[a] = true
		if m.verdicts[a] != nil {
			continue
		}
		if v := m.look(a); v.laptop.Type != syncproto.EntryDir || v.pod.Type != syncproto.EntryDir {
			m.decide(a, v)
			m.verdicts[a] = v
		}
	}
}

func (m *merger) decide(p string, v *verdict) {
	if side, ok := m.in.Mode.Mirror(); ok {
		v.mirror(side, m.in.First || m.in.Own[p] || m.in.Left[p])
		return
	}
	v.decide(m.in.First)
}

func (m *merger) look(p string) *verdict {
	v := &verdict{base: m.in.Base(p), laptop: m.in.Laptop(p), pod: m.in.Pod(p)}
	if m.in.NoLaptopModes && v.laptop.Exists() {
		v.laptop.Mode = borrowMode(v.laptop.Type, v.pod, v.base)
	}
	if m.in.NoPodModes && v.pod.Exists() {
		v.pod.Mode = borrowMode(v.pod.Type, v.laptop, v.base)
	}
	return v
}

// borrowMode gives an entry without permission bits those of the first
// candidate of its type.
func borrowMode(t syncproto.EntryType, candidates ...tree.Entry) uint32 {
	for _, c := range candidates {
		if c.Type == t {
			return c.Mode
		}
	}
	switch t {
	case syncproto.EntryDir:
		return 0o755
	case syncproto.EntryFile:
		return 0o644
	default:
		return 0
	}
}

// decide fills want and copies from the three entries.
func (v *verdict) decide(first bool) {
	b, l, r := v.base, v.laptop, v.pod
	switch {
	case l.Same(r), first && !b.Exists() && !r.Exists():
		v.want = l
	case first && !b.Exists() && !l.Exists():
		v.want = r
	case l.Same(b):
		v.want = r
	case r.Same(b), !r.Exists():
		v.want = l
	case !l.Exists():
		v.want = r
	case isDir(l) != isDir(r):
		v.folderWins()
	default:
		v.combine(first && !b.Exists())
	}
}

// folderWins resolves a folder on one side against something else on the
// other: folders keep the name, since their content cannot move beside in one
// step.
func (v *verdict) folderWins() {
	v.want, v.copies = v.laptop, []Side{Pod}
	if isDir(v.pod) {
		v.want, v.copies = v.pod, []Side{Laptop}
	}
}

// combine resolves two entries that both exist and both differ from the base:
// content and permission bits are merged on their own, and only two different
// new contents are a conflict, which the laptop wins.
func (v *verdict) combine(first bool) {
	b, l, r := v.base, v.laptop, v.pod
	switch {
	case l.SameContent(r), r.SameContent(b):
		v.want = l
	case l.SameContent(b):
		v.want = r
	default:
		v.want = l
		if !first {
			v.copies = []Side{Pod}
		}
		return
	}
	if l.Type == r.Type {
		v.want.Mode = l.Mode
		if b.Type == l.Type && l.Mode == b.Mode {
			v.want.Mode = r.Mode
		}
	}
}

// keepFolder turns the verdict into a folder: the one that a side has. What
// was wanted instead is kept beside.
func (v *verdict) keepFolder() {
	was := v.want
	switch {
	case isDir(v.laptop):
		v.want = v.laptop
	case isDir(v.pod):
		v.want = v.pod
	default:
		return // a folder that sync does not see: made on the way
	}
	v.copies = nil
	if !was.Exists() {
		return
	}
	if v.laptop.Same(was) {
		v.copies = append(v.copies, Laptop)
	} else if v.pod.Same(was) {
		v.copies = append(v.copies, Pod)
	}
}

func isDir(e tree.Entry) bool { return e.Type == syncproto.EntryDir }
