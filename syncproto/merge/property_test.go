package merge

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"pgregory.net/rapid"
)

// replica is a side of the model: a tree, and what was taken from it.
type replica struct {
	tree  tree.Tree
	trash map[syncproto.Digest]bool
}

// remove deletes p and all below it, as a user does.
func (r *replica) remove(p string) {
	for q := range r.tree {
		if tree.Under(q, p) {
			delete(r.tree, q)
		}
	}
}

// place makes e the entry of p, as a user does: whatever is in the way goes.
func (r *replica) place(p string, e tree.Entry) {
	for i := range p {
		if a := p[:i]; p[i] == '/' && r.tree[a].Type != syncproto.EntryDir {
			r.remove(a)
			r.tree[a] = dir(0o755)
		}
	}
	if e.Type != syncproto.EntryDir || r.tree[p].Type != syncproto.EntryDir {
		r.remove(p)
	}
	r.tree[p] = e
}

// apply carries out one change as strictly as a file system does.
func (r *replica) apply(c *Change) error {
	have := r.tree[c.Path]
	if have.Same(c.Entry) {
		return nil
	}
	if !have.Same(c.Expect) {
		return fmt.Errorf("%q is %+v, not as expected %+v", c.Path, have, c.Expect)
	}
	if a := tree.Parent(c.Path); a != "" && c.Op != syncproto.OpDelete && r.tree[a].Type != syncproto.EntryDir {
		return fmt.Errorf("%q has no folder", c.Path)
	}
	if have.Type == syncproto.EntryDir && c.Op != syncproto.OpChmod {
		for q := range r.tree {
			if q != c.Path && tree.Under(q, c.Path) {
				return fmt.Errorf("%q is not empty: %q", c.Path, q)
			}
		}
		if c.Op != syncproto.OpDelete {
			return fmt.Errorf("%q is a folder", c.Path)
		}
	}
	if c.Op == syncproto.OpMkdir && have.Exists() {
		return fmt.Errorf("%q is in the way of a folder", c.Path)
	}
	if c.From != "" && r.tree[c.From].Digest != c.Entry.Digest {
		return fmt.Errorf("%q is not what %q needs", c.From, c.Path)
	}
	if have.Type == syncproto.EntryFile && c.Op != syncproto.OpChmod {
		r.trash[have.Digest] = true
	}
	r.tree.Set(c.Path, c.Entry)
	return nil
}

// names are few, so that both sides meet often, and some sort between a folder
// and what is in it.
func names() *rapid.Generator[string] {
	part := rapid.SampledFrom([]string{"a", "b", "a.x", "a-x"})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "parts"), "/")
	})
}

func (r *replica) edit(t *rapid.T, next *int) {
	p := names().Draw(t, "path")
	mode := rapid.SampledFrom([]uint32{0o644, 0o755, 0o500}).Draw(t, "mode")
	switch rapid.IntRange(0, 5).Draw(t, "op") {
	case 0, 1:
		*next++
		r.place(p, file(fmt.Sprint("content ", *next), mode))
	case 2:
		r.remove(p)
	case 3:
		r.place(p, dir(mode))
	case 4:
		r.place(p, link(fmt.Sprint("target ", mode)))
	case 5:
		if e := r.tree[p]; e.Exists() && e.Type != syncproto.EntrySymlink {
			e.Mode = mode
			r.tree[p] = e
		}
	}
}

// TestConverges lets both sides change at random between merges and checks
// that they become equal and that no content is lost.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := tree.Tree{}
		sides := [2]*replica{}
		for i := range sides {
			sides[i] = &replica{tree: tree.Tree{}, trash: map[syncproto.Digest]bool{}}
		}
		next, met := 0, false
		for range rapid.IntRange(1, 4).Draw(t, "meetings") {
			for _, side := range sides {
				for range rapid.IntRange(0, 6).Draw(t, "edits") {
					side.edit(t, &next)
				}
			}
			precious := contents(sides[0].tree)
			maps.Copy(precious, contents(sides[1].tree))
			if n := meet(t, base, sides, !met); n == 0 {
				met = true
			}
			kept := contents(sides[0].tree)
			for _, side := range sides {
				maps.Copy(kept, side.trash)
			}
			for d := range precious {
				if !kept[d] {
					t.Fatalf("content %s is lost", d)
				}
			}
		}
	})
}

// meet merges until nothing is left to do, and returns 0 then.
func meet(t *rapid.T, base tree.Tree, sides [2]*replica, first bool) int {
	for round := range 6 {
		plan := Reconcile(input(base, sides[Laptop].tree, sides[Pod].tree, first))
		if plan.Empty() {
			if sides[Laptop].tree.Digest() != sides[Pod].tree.Digest() || base.Digest() != sides[Pod].tree.Digest() {
				t.Fatalf("nothing to do, but laptop %v, pod %v, base %v", sides[Laptop].tree, sides[Pod].tree, base)
			}
			return 0
		}
		for _, it := range plan.Agreed {
			base.Set(it.Path, it.Entry)
		}
		for side, changes := range [2][]Change{plan.Laptop, plan.Pod} {
			for i := range changes {
				if err := sides[side].apply(&changes[i]); err != nil {
					t.Fatalf("round %d, %s: %v\n%v", round, Side(side), err, describe(changes))
				}
				if changes[i].Agree {
					base.Set(changes[i].Path, changes[i].Entry)
				}
			}
		}
	}
	t.Fatal("the sides do not converge")
	return 1
}

func contents(t tree.Tree) map[syncproto.Digest]bool {
	found := map[syncproto.Digest]bool{}
	for _, e := range t {
		if e.Type == syncproto.EntryFile {
			found[e.Digest] = true
		}
	}
	return found
}
