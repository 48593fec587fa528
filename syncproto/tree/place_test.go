package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

func TestEachFolder(t *testing.T) {
	f := newFolder(t)
	f.write("d/a", "a")
	f.write("d/e/c", "c")
	f.write("b", "b")
	var many []string
	for i := range lookTogether + 1 {
		many = append(many, fmt.Sprintf("many/%d", i))
		f.write(many[i], "m")
	}
	if err := os.Symlink("d", filepath.Join(f.dir, "link")); err != nil {
		t.Skipf("no symlinks here: %v", err)
	}
	paths := append([]string{"d/none", "link/a", "d/e/c", "b", "d/a", "link/none", "gone/a", "gone/b"}, many...)
	var looked []string
	EachFolder(slices.Clone(paths), func(dir string, paths []string) {
		if len(paths) > lookTogether {
			t.Errorf("%d paths at once", len(paths))
		}
		open := f.root.Folder(dir, len(paths))
		defer open.Close()
		for _, p := range paths {
			if Parent(p) != dir {
				t.Errorf("%q is not in %q", p, dir)
			}
			_, err := f.index.LookOn(f.index.Glance(open, p), f.skip)
			f.check(err)
			looked = append(looked, p)
		}
	})
	slices.Sort(paths)
	slices.Sort(looked)
	if !slices.Equal(looked, paths) {
		t.Errorf("looked at %q", looked)
	}
	for _, p := range append([]string{"b", "d/a", "d/e/c"}, many...) {
		if f.index.Get(p).Type != syncproto.EntryFile {
			t.Errorf("%q was not found", p)
		}
	}
	// No symlink is followed on the way, nor anything made up.
	if n := f.index.Size(); n != 3+len(many) {
		t.Errorf("%d entries: %v", n, f.index.Tree().Paths())
	}
}
