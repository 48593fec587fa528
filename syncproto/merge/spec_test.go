package merge

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// row is a row of a table of SPEC.md, "Merge".
type row struct {
	cells   [3]string
	outcome string
	hits    int
}

// specTable reads the table of SPEC.md whose header begins with columns.
func specTable(t *testing.T, columns string) []*row {
	t.Helper()
	text, err := os.ReadFile("../SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n| "+columns+" | outcome |\n|---|---|---|---|\n")
	if !ok {
		t.Fatalf("SPEC.md has no table of %s", columns)
	}
	var rows []*row
	for line := range strings.Lines(rest) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 4 {
			break
		}
		rows = append(rows, &row{cells: [3]string(cells[:3]), outcome: cells[3]})
	}
	return rows
}

// situation is a combination of entries at one path, and what else counts.
type situation struct {
	base, a, b tree.Entry // a and b are laptop and pod, or source and mirror
	first, own bool
}

// fits reports whether a row describes the situation.
func (r *row) fits(s situation) bool {
	switch r.cells[0] {
	case "-":
		if s.base.Exists() {
			return false
		}
	case "B":
		if !s.base.Exists() {
			return false
		}
	}
	prime := func(e, of tree.Entry) bool { return e.Exists() && e.SameContent(of) && !e.Same(of) }
	for i, e := range [2]tree.Entry{s.a, s.b} {
		other := [2]tree.Entry{s.b, s.a}[i]
		ok := false
		switch cell := r.cells[i+1]; cell {
		case "any":
			ok = true
		case "-":
			ok = !e.Exists()
		case "=":
			ok = e.Exists() && e.Same(s.base)
		case "x":
			ok = e.Exists() && (!e.Same(s.base) || r.cells[0] == "any") && (r.cells[2-i] != "x" || e.Same(other))
		case "y":
			ok = e.Exists() && (!e.Same(s.base) || r.cells[0] == "any") && !e.Same(other)
		case "x'":
			ok = prime(e, other)
		case "B'":
			ok = prime(e, s.base)
		case "folder":
			ok = isDir(e)
		case "other":
			ok = e.Exists() && !isDir(e)
		case "own":
			ok = e.Exists() && s.own
		default:
			panic("SPEC.md has the unknown cell " + cell)
		}
		if !ok {
			return false
		}
	}
	return true
}

// result is what a row asks for.
type result struct {
	a, b  tree.Entry // at the path in the end
	copy  tree.Entry // beside it, on both sides
	trash tree.Entry // must be in the trash of the second side
	quiet bool       // there is nothing to do
}

// want turns the text of an outcome into what it asks for.
func want(t *testing.T, outcome string, s situation) result {
	both := func(e tree.Entry) result { return result{a: e, b: e} }
	mode := func(e tree.Entry, mode uint32) tree.Entry {
		e.Mode = mode
		return e
	}
	if first, later, ok := strings.Cut(strings.TrimPrefix(outcome, "first meeting: "), "; later: "); ok {
		outcome = later
		if s.first {
			outcome = first
		}
	}
	switch outcome {
	case "agreed, nothing to do", "nothing", "y is the mirror's own and stays":
		return result{a: s.a, b: s.b, quiet: true}
	case "x on both":
		return both(s.a)
	case "y on both":
		return both(s.b)
	case "deleted on both":
		return both(tree.Entry{})
	case "the folder on both, the other as a conflict copy":
		r := both(s.a)
		r.copy = s.b
		if isDir(s.b) {
			r = both(s.b)
			r.copy = s.a
		}
		return r
	case "x on both, with the mode that changed, the laptop's if both did":
		if s.base.Type == s.a.Type && s.a.Mode == s.base.Mode {
			return both(s.b)
		}
		return both(s.a)
	case "y on both, with the laptop's mode if the types are the same":
		if s.a.Type == s.b.Type {
			return both(mode(s.b, s.a.Mode))
		}
		return both(s.b)
	case "x on both, with the pod's mode if the laptop's did not change and the types are the same":
		if s.a.Type == s.b.Type && s.a.Mode == s.base.Mode {
			return both(mode(s.a, s.b.Mode))
		}
		return both(s.a)
	case "x on both, y to the trash":
		r := both(s.a)
		r.trash = s.b
		return r
	case "conflict":
		r := both(s.a)
		r.copy = s.b
		return r
	case "x on the mirror":
		return result{a: s.a, b: s.a, trash: s.b}
	case "deleted in the mirror":
		return result{trash: s.b}
	}
	t.Fatalf("SPEC.md has the unknown outcome %q", outcome)
	return result{}
}

// entries are what a path may be.
func entries() []tree.Entry {
	return []tree.Entry{
		{}, file("a", 0o644), file("a", 0o755), file("b", 0o644), file("b", 0o755), file("c", 0o644),
		dir(0o755), dir(0o700), link("s"), link("t"),
	}
}

// situations are all combinations.
func situations(own bool) []situation {
	var all []situation
	for _, base := range entries() {
		for _, a := range entries() {
			for _, b := range entries() {
				all = append(all, situation{base: base, a: a, b: b}, situation{base: base, a: a, b: b, first: true})
				if own && !base.Exists() {
					all = append(all, situation{base: base, a: a, b: b, own: true})
				}
			}
		}
	}
	return all
}

// decide finds the row for a situation.
func decide(t *testing.T, rows []*row, s situation) *row {
	for _, r := range rows {
		if r.fits(s) {
			r.hits++
			return r
		}
	}
	t.Fatalf("SPEC.md has no row for %+v", s)
	return nil
}

// play merges until nothing is left to do and returns both trees, the trashes
// and how many changes it took.
func play(t *testing.T, in Input, laptop, pod tree.Tree, base tree.Tree) (sides [2]*replica, changes int) {
	for i, tr := range []tree.Tree{laptop, pod} {
		sides[i] = &replica{tree: tr, trash: map[syncproto.Digest]bool{}}
	}
	own := maps.Clone(in.Own)
	if own == nil {
		own = map[string]bool{}
	}
	for range 6 {
		next := input(base, sides[Laptop].tree, sides[Pod].tree, in.First)
		next.Mode, next.Own = in.Mode, own
		plan := Reconcile(next)
		if plan.Empty() {
			return sides, changes
		}
		for _, p := range plan.Own {
			own[p] = true
		}
		for _, it := range plan.Agreed {
			base.Set(it.Path, it.Entry)
		}
		for side, list := range [2][]Change{plan.Laptop, plan.Pod} {
			for i := range list {
				changes++
				if err := sides[side].apply(&list[i]); err != nil {
					t.Fatalf("%s: %v", Side(side), err)
				}
				if list[i].Agree {
					base.Set(list[i].Path, list[i].Entry)
				}
			}
		}
	}
	t.Fatal("the sides do not converge")
	return sides, changes
}

func treeOf(e tree.Entry) tree.Tree {
	t := tree.Tree{}
	t.Set("p", e)
	return t
}

// TestSpecTwoWay tries every combination against the table of SPEC.md.
func TestSpecTwoWay(t *testing.T) {
	rows := specTable(t, "B | L | P")
	for _, s := range situations(false) {
		r := decide(t, rows, s)
		w := want(t, r.outcome, s)
		got, changes := play(t, Input{First: s.first}, treeOf(s.a), treeOf(s.b), treeOf(s.base))
		for side, g := range got {
			copied := tree.Entry{}
			for p, e := range g.tree {
				if p != "p" {
					copied = e
				}
			}
			if !g.tree["p"].Same(w.a) || !copied.Same(w.copy) {
				t.Errorf("%+v is %q: the %s has %+v", s, r.outcome, Side(side), g.tree)
			}
		}
		check(t, s, r, w, got[Pod], changes)
	}
	eachRow(t, rows)
}

// TestSpecMirror does the same for mirrors.
func TestSpecMirror(t *testing.T) {
	rows := specTable(t, "B | S | M")
	for _, mode := range []Mode{Push, Pull} {
		for _, s := range situations(true) {
			r := decide(t, rows, s)
			w := want(t, r.outcome, s)
			in := Input{First: s.first, Mode: mode}
			if s.own {
				in.Own = map[string]bool{"p": true}
			}
			laptop, pod := treeOf(s.a), treeOf(s.b)
			if mode == Pull {
				laptop, pod = pod, laptop
			}
			got, changes := play(t, in, laptop, pod, treeOf(s.base))
			mirror, _ := mode.Mirror()
			source := got[1-mirror].tree
			if !source["p"].Same(s.a) || len(source) > 1 {
				t.Errorf("%s of %+v wrote the source: %+v", mode, s, source)
			}
			if m := got[mirror].tree; !m["p"].Same(w.b) || len(m) > 1 {
				t.Errorf("%s of %+v is %q: the mirror has %+v", mode, s, r.outcome, m)
			}
			check(t, s, r, w, got[mirror], changes)
		}
	}
	eachRow(t, rows)
}

// check compares what both kinds of table have in common.
func check(t *testing.T, s situation, r *row, w result, second *replica, changes int) {
	t.Helper()
	if w.quiet != (changes == 0) {
		t.Errorf("%+v is %q, and made %d changes", s, r.outcome, changes)
	}
	lost := w.trash
	if lost.Type == syncproto.EntryFile && !lost.SameContent(w.b) && !second.trash[lost.Digest] {
		t.Errorf("%+v is %q, and %s is not in the trash", s, r.outcome, fmt.Sprint(lost.Digest)[:8])
	}
}

// eachRow makes sure that the table has no row that never counts.
func eachRow(t *testing.T, rows []*row) {
	t.Helper()
	for _, r := range rows {
		if r.hits == 0 {
			t.Errorf("the row %q of SPEC.md never counts", r.cells)
		}
	}
}
