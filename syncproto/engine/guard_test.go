package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

// eachSide runs a test in which the root of either side gets into trouble.
func eachSide(t *testing.T, test func(t *testing.T, p *pair, root, other, where string)) {
	for _, side := range []string{"laptop", "pod"} {
		t.Run(side, func(t *testing.T) {
			p := newPair(t)
			for i := range 12 {
				write(t, p.laptop, fmt.Sprint("d/f", i), fmt.Sprint("content ", i))
			}
			if side == "pod" {
				test(t, p, p.pod, p.laptop, "in the pod")
			} else {
				test(t, p, p.laptop, p.pod, "on the laptop")
			}
		})
	}
}

// stopped waits until sync has stopped for a reason.
func (p *pair) stopped(reason string) Status {
	p.t.Helper()
	return p.until("the stop", func(st Status) bool { return st.State == Stopped && strings.Contains(st.Reason, reason) })
}

// TestRootEmptied empties a root as `rm -rf root/*` does: nothing goes on the
// other side before somebody says so, and then it can be brought back.
func TestRootEmptied(t *testing.T) {
	eachSide(t, func(t *testing.T, p *pair, root, other, _ string) {
		s := p.start()
		defer s.stop()
		p.settle()
		before := list(t, other)
		must(t, os.RemoveAll(filepath.Join(root, "d")))
		st := p.stopped("would be deleted")
		for _, command := range []string{"sync resume", "sync undo"} {
			if !strings.Contains(st.Reason, command) {
				t.Errorf("the reason %q does not name %q", st.Reason, command)
			}
		}
		if err := p.leader.Flush(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("flush: %v", err)
		}
		// What the system told first may have gone before the rest was known.
		if got := list(t, other); len(got) <= len(before)-guardFloor {
			t.Fatalf("the guard did not hold: %q", got)
		}
		p.leader.Resume()
		p.settle()
		if len(list(t, other)) != 0 {
			t.Fatal("resume did not release the batch")
		}
		batches, err := p.leader.Trash(t.Context())
		must(t, err)
		for _, b := range batches {
			p.undo(b.ID)
		}
		p.settle()
		if got := list(t, root); len(got) != len(before) {
			t.Errorf("after the undo there is %q", got)
		}
	})
}

// TestRootEmptiedHeals puts back what was deleted: sync goes on by itself.
func TestRootEmptiedHeals(t *testing.T) {
	eachSide(t, func(t *testing.T, p *pair, root, _, _ string) {
		s := p.start()
		defer s.stop()
		p.settle()
		must(t, os.Rename(filepath.Join(root, "d"), root+"-kept"))
		p.stopped("would be deleted")
		must(t, os.Rename(root+"-kept", filepath.Join(root, "d")))
		p.until("the end of the stop", func(st Status) bool { return st.State == Converged })
		p.settle()
	})
}

// TestRootIsAFile replaces a root by a file, and puts it back.
func TestRootIsAFile(t *testing.T) {
	eachSide(t, func(t *testing.T, p *pair, root, other, _ string) {
		s := p.start()
		defer s.stop()
		p.settle()
		must(t, os.Rename(root, root+".away"))
		must(t, os.WriteFile(root, []byte("a file"), 0o644))
		p.stopped("is gone")
		if !exists(other, "d/f1") {
			t.Fatal("a root that became a file deletes nothing")
		}
		must(t, os.Remove(root))
		must(t, os.Rename(root+".away", root))
		p.until("the end of the stop", func(st Status) bool { return st.State == Converged })
		write(t, root, "after", "x")
		p.settle()
	})
}

// TestThousandEntries deletes more than sync lets go without asking, though it
// is far from half of the tree.
func TestThousandEntries(t *testing.T) {
	g := guard{}
	plan := deletes(guardEntries)
	if why := g.admit(plan, 100_000, now(), never); why != "" {
		t.Errorf("%d deletes: %s", len(plan), why)
	}
	if why := g.admit(deletes(1), 100_000, now(), never); why == "" {
		t.Error("one more within the window passes")
	}
	if why := g.admit(deletes(1), 100_000, now().Add(2*guardWindow), never); why != "" {
		t.Errorf("later: %s", why)
	}
}

// TestDeletesOnTheirWay deletes the larger half of a tree in two batches, the
// second before the first has landed.
func TestDeletesOnTheirWay(t *testing.T) {
	for name, landed := range map[string]int{"nothing has landed": 0, "some have landed": 7, "all have landed": 14} {
		t.Run(name, func(t *testing.T) {
			g := guard{}
			if why := g.admit(deletes(14), 30, now(), never); why != "" {
				t.Fatalf("fewer than half: %s", why)
			}
			if why := g.admit(deletes(1), 30-landed, now(), never); why != "" {
				t.Errorf("just half: %s", why)
			}
			if why := g.admit(deletes(1), 30-landed, now(), never); why == "" {
				t.Error("one more than half passes")
			}
		})
	}
}

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func never(syncproto.Digest) bool { return false }

func deletes(n int) []merge.Change {
	list := make([]merge.Change, n)
	for i := range list {
		list[i].Op, list[i].Expect.Type = syncproto.OpDelete, syncproto.EntryFile
	}
	return list
}
