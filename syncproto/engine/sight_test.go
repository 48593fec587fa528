package engine

import (
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// TestFolderIsGoneBeforeItsContents merges while the observer has seen the end of
// a folder, but has not told of it yet, as a landing change may cause.
func TestFolderIsGoneBeforeItsContents(t *testing.T) {
	p := newPair(t)
	for _, name := range []string{"c/b/f", "c/g", "other/1", "other/2", "other/3"} {
		write(t, p.laptop, name, name)
	}
	s := p.start()
	defer s.stop()
	p.settle()
	index := p.leader.r.index
	// seen lets the index know what is gone, and merges c. It returns how many
	// changes that set in motion.
	seen := func(paths ...string) int {
		for _, gone := range paths {
			index.Set(gone, tree.Record{})
		}
		merged := make(chan int, 1)
		p.leader.session.post(func(rc *reconciler) error {
			rc.dirty["c"] = true
			err := rc.reconcile()
			merged <- rc.flight.size()
			return err
		})
		return <-merged
	}
	if n := seen("c"); n != 0 {
		t.Errorf("%d changes while the contents were still known", n)
	}
	if n := seen("c/b/f", "c/b", "c/g"); n != 4 {
		t.Errorf("%d changes, want that of the folder and of all that was in it", n)
	}
	p.await(func() bool { return !exists(p.pod, "c") })
	if !exists(p.pod, "other/3") {
		t.Error("more went than the folder")
	}
}
