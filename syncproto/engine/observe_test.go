package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/watch"
)

// TestFolderReplacedDuringScan replaces a folder while a scan is under way: the
// scan sees a file in the folder, and then what took the folder's place.
func TestFolderReplacedDuringScan(t *testing.T) {
	p := newPair(t)
	p.boot()
	r := p.leader.r
	write(t, p.laptop, "a/b/c", "x")
	must(t, r.open(nil))
	defer r.close()
	_, err := r.scan(t.Context(), tree.Options{})
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(p.laptop, "a")))
	must(t, os.Symlink("/", filepath.Join(p.laptop, "a")))
	for _, seen := range []string{"a/b", "a"} {
		_, err := r.index.Look(r.now.Load().root, seen, r.skipped)
		must(t, err)
	}
	_, err = newObserver(r).look(t.Context(), watch.Batch{Paths: []string{"a"}})
	must(t, err)
	if got := r.index.Tree().Paths(); len(got) != 1 || got[0] != "a" {
		t.Errorf("the index holds %q", got)
	}
}
