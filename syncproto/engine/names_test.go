package engine

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// namesBench is a laptop with the names of some file system.
type namesBench struct {
	names
	laptop map[string]bool
}

func newNamesBench(rules tree.Names, laptop ...string) *namesBench {
	b := &namesBench{laptop: map[string]bool{}}
	b.refused = map[string]refusal{}
	b.sides[merge.Laptop].rules = rules
	for _, p := range laptop {
		b.laptop[p] = true
	}
	return b
}

func (b *namesBench) exists(side merge.Side, p string) bool {
	return side == merge.Laptop && b.laptop[p]
}

// create filters a plan that creates paths on the laptop, and returns what is
// left of it.
func (b *namesBench) create(paths ...string) []string {
	var plan []merge.Change
	for _, p := range paths {
		plan = append(plan, merge.Change{Change: syncproto.Change{Op: syncproto.OpPut, Path: p, Entry: tree.Entry{Type: syncproto.EntryFile}}})
	}
	var left []string
	for _, c := range b.filter(merge.Laptop, plan, func(yield func(string)) {
		for p := range b.laptop {
			yield(p)
		}
	}, func(p string, _ tree.Entry) bool { return tree.Under(p, ".git") || p == syncproto.IgnoreFile }) {
		left = append(left, c.Path)
	}
	return left
}

func TestNamesThatASideCannotHold(t *testing.T) {
	fold := tree.Names{FoldCase: true, FoldForm: true}
	for name, tt := range map[string]struct {
		rules         tree.Names
		laptop        []string
		create        []string
		want, refused []string
	}{
		"Linux":            {tree.Names{}, []string{"a"}, []string{"A", "CON", "\xff"}, []string{"A", "CON", "\xff"}, nil},
		"case":             {fold, []string{"readme"}, []string{"README", "other"}, []string{"other"}, []string{"README"}},
		"both are new":     {fold, nil, []string{"A", "a"}, []string{"A"}, []string{"a"}},
		"form":             {fold, []string{"caf\u00e9"}, []string{"cafe\u0301"}, nil, []string{"cafe\u0301"}},
		"folder":           {fold, []string{"src", "src/a"}, []string{"Src", "Src/b", "src/b"}, []string{"src/b"}, []string{"Src", "Src/b"}},
		"folder, both new": {fold, nil, []string{"Src/b", "src/c"}, []string{"Src/b"}, []string{"src/c"}},
		"ignored":          {fold, nil, []string{".Git/hooks/post-checkout", ".STIGNORE"}, nil, []string{".Git/hooks/post-checkout", ".STIGNORE"}},
		"Windows":          {tree.Names{FoldCase: true, Reserved: true}, nil, []string{"aux/x", "b"}, []string{"b"}, []string{"aux/x"}},
		"UTF-8":            {tree.Names{UTF8: true}, nil, []string{"b\xff", "b"}, []string{"b"}, []string{"b\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newNamesBench(tt.rules, tt.laptop...)
			if diff := cmp.Diff(tt.want, b.create(tt.create...)); diff != "" {
				t.Errorf("created (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.refused, slices.Sorted(maps.Keys(b.refused))); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

// A file whose case is changed in the pod waits until the old name is gone.
func TestNameWaitsForTheOneInItsWay(t *testing.T) {
	b := newNamesBench(tree.Names{FoldCase: true}, "readme", "other")
	if got := b.create("README"); got != nil {
		t.Fatalf("created %q", got)
	}
	if free := b.moved([]string{"other"}, b.exists); free != nil {
		t.Errorf("%q is free already", free)
	}
	delete(b.laptop, "readme")
	if free := b.moved([]string{"readme"}, b.exists); !slices.Equal(free, []string{"README"}) {
		t.Errorf("free is %q", free)
	}
	if got := b.create("README"); !slices.Equal(got, []string{"README"}) {
		t.Errorf("created %q", got)
	}
	// And a path that is gone from the pod is refused no more.
	b.laptop["README"] = true
	b.moved([]string{"README"}, b.exists)
	b.create("Readme")
	if b.moved([]string{"Readme"}, b.exists); len(b.refused) > 0 {
		t.Errorf("refused %v", b.refused)
	}
}
