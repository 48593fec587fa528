package engine

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestPrepared changes the laptop's folder between Prepare and the session.
func TestPrepared(t *testing.T) {
	p := newPair(t)
	p.boot()
	write(t, p.laptop, "kept", "1")
	write(t, p.laptop, "changed", "1")
	write(t, p.laptop, "gone", "1")
	must(t, p.leader.Prepare(t.Context()))
	write(t, p.laptop, "changed", "22")
	write(t, p.laptop, "new/deep/f", "1")
	must(t, os.Remove(filepath.Join(p.laptop, "gone")))
	s := p.connect(net.Pipe())
	p.settle()
	s.stop()
	for name, want := range map[string]string{"kept": "1", "changed": "22", "new/deep/f": "1"} {
		if got := read(t, p.pod, name); got != want {
			t.Errorf("%s is %q in the pod, want %q", name, got, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(p.pod, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was deleted before the session reached the pod: %v", err)
	}
	// The folder is replaced between Prepare and the session.
	must(t, p.leader.Prepare(t.Context()))
	must(t, os.Rename(p.laptop, p.laptop+".old"))
	must(t, os.Mkdir(p.laptop, 0o755))
	write(t, p.laptop, "other", "1")
	write(t, p.laptop, "kept", "1")
	write(t, p.laptop, "changed", "22")
	write(t, p.laptop, "new/deep/f", "1")
	s = p.connect(net.Pipe())
	p.settle()
	s.stop()
	if got := read(t, p.pod, "other"); got != "1" {
		t.Errorf("a file of the new folder is %q in the pod", got)
	}
}

// TestPreparedForgetsWhatIsIgnored ignores a file between sessions. What was agreed
// about it is forgotten before the next one begins, which may not get far.
func TestPreparedForgetsWhatIsIgnored(t *testing.T) {
	p := newPair(t)
	p.boot()
	write(t, p.laptop, "f", "1")
	s := p.connect(net.Pipe())
	p.settle()
	s.stop()
	if !p.leader.base.Entries().Get("f").Exists() {
		t.Fatal("nothing was agreed")
	}
	write(t, p.laptop, ".stignore", "f\n")
	must(t, p.leader.Prepare(t.Context()))
	if p.leader.base.Entries().Get("f").Exists() {
		t.Error("it is not forgotten")
	}
}

// TestFollowerPrepared changes the pod's folder between sessions, before and
// after its follower has prepared for the next.
func TestFollowerPrepared(t *testing.T) {
	for name, patterns := range map[string]string{"same patterns": "", "other patterns": "new.log\n"} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			write(t, p.laptop, "changed", "1")
			write(t, p.laptop, "gone", "1")
			p.boot()
			must(t, p.follower.Prepare(t.Context())) // there was no session
			s := p.connect(net.Pipe())
			p.settle()
			s.stop()
			write(t, p.pod, "before", "1")
			must(t, p.follower.Prepare(t.Context()))
			write(t, p.pod, "changed", "22")
			write(t, p.pod, "new/f", "1")
			write(t, p.pod, "new.log", "1")
			must(t, os.Remove(filepath.Join(p.pod, "gone")))
			if patterns != "" {
				write(t, p.laptop, ".stignore", patterns)
			}
			s = p.connect(net.Pipe())
			must(t, p.leader.Settle(t.Context()))
			s.stop()
			for name, want := range map[string]string{"before": "1", "changed": "22", "new/f": "1"} {
				if got := read(t, p.laptop, name); got != want {
					t.Errorf("%s is %q on the laptop, want %q", name, got, want)
				}
			}
			if _, err := os.Lstat(filepath.Join(p.laptop, "gone")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("what was deleted before the session reached the laptop: %v", err)
			}
			if _, err := os.Lstat(filepath.Join(p.laptop, "new.log")); (err == nil) != (patterns == "") {
				t.Errorf("new.log on the laptop under the patterns %q: %v", patterns, err)
			}
		})
	}
}
