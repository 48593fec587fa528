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
