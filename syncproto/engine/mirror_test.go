package engine

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// mirrorPair is a pair in Push or Pull; source and mirror are its roots by role.
type mirrorPair struct {
	*pair
	source, mirror string
	trash          string // state folder of the mirror
}

func eachMirror(t *testing.T, test func(t *testing.T, p *mirrorPair)) {
	for _, mode := range []Mode{Push, Pull} {
		t.Run(mode.String(), func(t *testing.T) {
			p := &mirrorPair{pair: newPair(t)}
			p.mode = mode
			p.source, p.mirror, p.trash = p.laptop, p.pod, p.followerState
			if mode == Pull {
				p.source, p.mirror, p.trash = p.pod, p.laptop, p.leaderState
			}
			test(t, p)
		})
	}
}

// settled waits until the mirror holds exactly want.
func (p *mirrorPair) settled(want map[string]string) {
	p.t.Helper()
	p.leader.settleNow(p.t)
	if got := list(p.t, p.mirror); !maps.Equal(got, want) {
		p.t.Errorf("the mirror holds %q, want %q", got, want)
	}
}

// TestMirror goes through what may happen to a mirror, and makes sure that the
// source is never written.
func TestMirror(t *testing.T) {
	eachMirror(t, func(t *testing.T, p *mirrorPair) {
		write(t, p.source, "both", "source's")
		write(t, p.mirror, "both", "mirror's")
		write(t, p.source, "src/a", "a")
		write(t, p.mirror, "image/only", "brought along")
		write(t, p.mirror, "src/extra", "brought along too")
		s := p.start()
		p.leader.settleNow(t)
		start := list(t, p.source)
		if len(start) != 3 {
			t.Fatalf("the source holds %q", start)
		}
		want := maps.Clone(start)
		for _, own := range []string{"image", "image/only", "src/extra"} {
			want[own] = list(t, p.mirror)[own]
		}
		p.settled(want)
		if !inTrash(t, p.trash, "mirror's") {
			t.Error("what the source overwrote is not in the trash")
		}

		// What happens to the mirror is put back.
		write(t, p.mirror, "both", "edited in the mirror")
		write(t, p.mirror, "made", "made in the mirror")
		must(t, os.Remove(filepath.Join(p.mirror, "src/a")))
		p.settled(want)
		for _, content := range []string{"edited in the mirror", "made in the mirror"} {
			if !inTrash(t, p.trash, content) {
				t.Errorf("%q is not in the trash", content)
			}
		}
		// What is the mirror's own stays so, also after a restart.
		s.stop()
		must(t, p.leader.Close())
		s = p.start()
		defer func() { s.stop() }()
		p.settled(want)

		// A folder goes, but not what the mirror has for itself in it.
		must(t, os.RemoveAll(filepath.Join(p.source, "src")))
		delete(want, "src/a")
		p.settled(want)
		// A file takes the place of a folder.
		write(t, p.source, "image", "a file now")
		delete(want, "image/only")
		want["image"] = list(t, p.source)["image"]
		p.settled(want)
		if !inTrash(t, p.trash, "brought along") {
			t.Error("what was in the folder is not in the trash")
		}
		must(t, os.Remove(filepath.Join(p.source, "image")))
		delete(want, "image")
		p.settled(want)
		if got := list(t, p.source); len(got) != 1 {
			t.Errorf("the source was written: %q", got)
		}
		if p.sawEvent(Conflict) {
			t.Error("a mirror has no conflicts")
		}
	})
}

// TestMirrorIgnored lets a folder go that holds something ignored.
func TestMirrorIgnored(t *testing.T) {
	p := newPair(t)
	p.mode = Push
	write(t, p.laptop, ".stignore", "*.log\n")
	write(t, p.laptop, "d/f", "x")
	write(t, p.laptop, "e/f", "x")
	s := p.start()
	defer s.stop()
	p.leader.settleNow(t)
	write(t, p.pod, "d/y.log", "y")
	write(t, p.pod, "e/y.log", "y")
	must(t, os.RemoveAll(filepath.Join(p.laptop, "d")))
	p.leader.settleNow(t)
	if exists(p.laptop, "d") || !exists(p.pod, "d/y.log") || exists(p.pod, "d/f") {
		t.Error("the folder must stay for what is ignored in it, in the mirror alone")
	}
	must(t, os.RemoveAll(filepath.Join(p.laptop, "e")))
	write(t, p.laptop, "e", "a file now")
	if err := p.leader.Settle(t.Context()); err == nil {
		t.Error("a folder with something ignored cannot become a file")
	}
	if !exists(p.pod, "e/y.log") || len(p.leader.Status().Held) == 0 {
		t.Errorf("status %+v", p.leader.Status())
	}
}

// TestMirrorGuard lets the pod make much that a push would take away again.
func TestMirrorGuard(t *testing.T) {
	p := newPair(t)
	p.mode = Push
	write(t, p.laptop, "f", "x")
	s := p.start()
	defer s.stop()
	p.leader.settleNow(t)
	p.leader.Pause()
	for _, name := range []string{"a", "b", "c", "d", "e", "g", "h", "i", "j", "k", "l", "m"} {
		write(t, p.pod, "out/"+name, name)
	}
	p.leader.Resume()
	for deadline := time.Now().Add(patience); p.leader.Status().State != Stopped; {
		if time.Now().After(deadline) {
			t.Fatalf("status %+v", p.leader.Status())
		}
		p.awaitEvent(t.Context())
	}
	if !exists(p.pod, "out/m") {
		t.Error("the guard did not hold")
	}
	p.leader.Resume()
	p.settle()
}
