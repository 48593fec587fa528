package engine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// undo brings a batch back and fails the test if anything is left out.
func (p *pair) undo(id string) Restored {
	p.t.Helper()
	got, err := p.leader.Undo(p.t.Context(), id)
	if err != nil || got.Failed > 0 {
		p.t.Fatalf("undo %q: %+v, %v", id, got, err)
	}
	return got
}

// TestUndo deletes a folder on either side, brings it back, takes the undo back,
// and once more.
func TestUndo(t *testing.T) {
	for _, side := range []string{"laptop", "pod"} {
		t.Run(side, func(t *testing.T) {
			p := newPair(t)
			here, there := p.laptop, "pod"
			if side == "pod" {
				here, there = p.pod, "laptop"
			}
			for i := range 9 {
				write(t, p.laptop, fmt.Sprintf("src/%d/f", i), fmt.Sprint("content ", i))
			}
			for i := range 120 { // more than the guards care about
				write(t, p.laptop, fmt.Sprintf("kept/%d", i), fmt.Sprint("kept ", i))
			}
			must(t, os.Chmod(filepath.Join(p.laptop, "src/1/f"), 0o755))
			must(t, os.Mkdir(filepath.Join(p.laptop, "src/empty"), 0o750))
			must(t, os.Symlink("1/f", filepath.Join(p.laptop, "src/link")))
			s := p.start()
			defer s.stop()
			p.settle()
			before := list(t, p.laptop)
			must(t, os.RemoveAll(filepath.Join(here, "src")))
			p.settle()
			after := list(t, p.laptop)
			if len(after) >= len(before) {
				t.Fatal("nothing was deleted")
			}
			batches, err := p.leader.Trash(t.Context())
			must(t, err)
			if b := batches[0]; b.Side != there || b.Entries != 21 || b.Bytes != 81 || len(b.Paths) != 3 || strings.Join(b.Why, " ") != "deleted" || !b.Destructive {
				t.Errorf("the trash lists %+v", batches)
			}
			if got := p.undo(""); got.Entries != 21 || got.Batch.ID != batches[0].ID {
				t.Errorf("undo did %+v", got)
			}
			p.settle()
			if got := list(t, p.laptop); !maps.Equal(got, before) {
				t.Errorf("after the undo there is %q", got)
			}
			p.undo("") // of the undo
			p.settle()
			if got := list(t, p.laptop); !maps.Equal(got, after) {
				t.Errorf("after the undo of the undo there is %q", got)
			}
			p.undo("")
			p.settle()
			if got := list(t, p.laptop); !maps.Equal(got, before) {
				t.Errorf("after the third undo there is %q", got)
			}
		})
	}
}

// TestUndoOverwritten brings back what a first meeting overwrote, with folders
// and files in each other's way.
func TestUndoOverwritten(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "f", "laptop's")
	write(t, p.pod, "f", "the pod's")
	s := p.start()
	defer s.stop()
	p.settle()
	must(t, os.Remove(filepath.Join(p.laptop, "f")))
	write(t, p.laptop, "f/inner", "f is a folder now")
	p.settle()
	batches, err := p.leader.Trash(t.Context())
	must(t, err)
	first := batches[len(batches)-1]
	if first.Side != "pod" || !strings.Contains(strings.Join(first.Why, " "), "first meeting") {
		t.Fatalf("the trash lists %+v", batches)
	}
	p.undo(first.ID)
	p.settle()
	if got := read(t, p.laptop, "f"); got != "the pod's" {
		t.Errorf("the laptop has %q", got)
	}
	p.undo("")
	p.settle()
	if got := read(t, p.pod, "f/inner"); got != "f is a folder now" {
		t.Errorf("the pod has %q", got)
	}
}

// TestUndoAlone restores on the laptop while nothing runs.
func TestUndoAlone(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "d/f", "precious")
	write(t, p.laptop, "other", "x")
	s := p.start()
	p.settle()
	if _, err := p.leader.Undo(t.Context(), ""); !errors.Is(err, ErrNothingToUndo) {
		t.Errorf("with nothing to undo: %v", err)
	}
	must(t, os.RemoveAll(filepath.Join(p.pod, "d")))
	p.settle()
	s.stop()
	must(t, p.leader.Close())
	p.boot()
	p.undo("")
	if got := read(t, p.laptop, "d/f"); got != "precious" {
		t.Errorf("the laptop has %q", got)
	}
	must(t, p.leader.Close())
	s = p.start()
	defer s.stop()
	p.settle()
	if got := read(t, p.pod, "d/f"); got != "precious" {
		t.Errorf("the pod has %q", got)
	}
	if _, err := p.leader.Undo(t.Context(), "pod-20200101-000000-000"); !errors.Is(err, ErrNothingToUndo) {
		t.Errorf("a batch that is not there: %v", err)
	}
}

// TestUndoLarge brings back what is too large for one message, on either side.
func TestUndoLarge(t *testing.T) {
	eachSide(t, func(t *testing.T, p *pair, root, other, _ string) {
		content := strings.Repeat("0123456789abcdef", 100_000)
		write(t, p.laptop, "large", content)
		s := p.start()
		defer s.stop()
		p.settle()
		must(t, os.Remove(filepath.Join(root, "large")))
		p.settle()
		p.undo("")
		p.settle()
		if read(t, root, "large") != content || read(t, other, "large") != content {
			t.Error("the content is not what it was")
		}
	})
}

// TestUndoFails lists what cannot come back, with the reason.
func TestUndoFails(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "a", "a")
	write(t, p.laptop, "b", "b")
	write(t, p.laptop, "c", "c")
	s := p.start()
	defer s.stop()
	p.settle()
	must(t, os.Remove(filepath.Join(p.laptop, "a")))
	must(t, os.Remove(filepath.Join(p.laptop, "b")))
	p.settle()
	write(t, p.laptop, ".stignore", "a\n")
	p.leader.settleNow(t)
	var failures []Failure
	batches, err := p.leader.Trash(t.Context())
	must(t, err)
	for _, b := range batches {
		got, err := p.leader.Undo(t.Context(), b.ID)
		must(t, err)
		failures = append(failures, got.Failures...)
	}
	p.leader.settleNow(t)
	if len(failures) != 1 || failures[0] != (Failure{Path: "a", Reason: "the path is ignored by now"}) {
		t.Errorf("failures %+v", failures)
	}
	if exists(p.pod, "a") || !exists(p.laptop, "b") {
		t.Error("the rest did not come back")
	}
}

// TestUndoEdit makes sure that an undo without a name does not take back what
// the user just saved.
func TestUndoEdit(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "f", "old")
	s := p.start()
	defer s.stop()
	p.settle()
	write(t, p.laptop, "f", "new")
	p.settle()
	if got, err := p.leader.Undo(t.Context(), ""); !errors.Is(err, ErrNothingToUndo) {
		t.Errorf("undo did %+v, %v", got, err)
	}
	batches, err := p.leader.Trash(t.Context())
	must(t, err)
	p.undo(batches[0].ID)
	p.settle()
	if got := read(t, p.laptop, "f"); got != "old" {
		t.Errorf("the laptop has %q", got)
	}
}

// TestUndoMirror brings back in a mirror what nobody else has, and leaves what
// the source has something else for.
func TestUndoMirror(t *testing.T) {
	eachMirror(t, func(t *testing.T, p *mirrorPair) {
		write(t, p.source, "f", "source's")
		s := p.start()
		defer func() { s.stop() }()
		p.settle()
		write(t, p.mirror, "made", "in the mirror")
		write(t, p.mirror, "f", "edited in the mirror")
		p.settle()
		batches, err := p.leader.Trash(t.Context())
		must(t, err)
		restored := false
		for _, b := range batches {
			got, err := p.leader.Undo(t.Context(), b.ID)
			must(t, err)
			for _, f := range got.Failures {
				if f.Path != "f" {
					t.Errorf("undo did %+v", got)
				}
			}
			restored = restored || exists(p.mirror, "made")
		}
		p.leader.settleNow(t)
		if !restored || !exists(p.mirror, "made") || read(t, p.mirror, "f") != "source's" || exists(p.source, "made") {
			t.Errorf("the mirror holds %q", list(t, p.mirror))
		}
	})
}
