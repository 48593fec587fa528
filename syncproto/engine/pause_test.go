package engine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// until waits for a status.
func (p *pair) until(what string, is func(Status) bool) Status {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		st := p.leader.Status()
		if is(st) {
			return st
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("waiting for %s: %+v", what, st)
		}
		p.awaitEvent(p.t.Context())
	}
}

func TestPause(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "f", "1")
	s := p.start()
	p.settle()
	p.leader.Pause()
	p.until("the pause", func(st Status) bool { return st.State == Paused })
	write(t, p.laptop, "f", "2")
	write(t, p.pod, "g", "from the pod")
	p.until("what is pending", func(st Status) bool { return st.State == Paused && st.PendingFiles == 2 })
	for _, wait := range []func() error{
		func() error { return p.leader.Flush(t.Context()) },
		func() error { return p.leader.Settle(t.Context()) },
	} {
		if err := wait(); !errors.Is(err, ErrPaused) {
			t.Errorf("while sync is paused: %v", err)
		}
	}
	s.stop()
	if st := p.leader.Status(); st.State != Paused {
		t.Errorf("without a session: %+v", st)
	}
	a, b := net.Pipe()
	s = p.connect(a, b)
	defer s.stop()
	p.until("what is pending", func(st Status) bool { return st.State == Paused && st.PendingFiles == 2 })
	if read(t, p.pod, "f") != "1" || exists(p.laptop, "g") {
		t.Error("sync went on while it was paused")
	}
	p.leader.Resume()
	p.settle()
	if read(t, p.pod, "f") != "2" || !exists(p.laptop, "g") {
		t.Error("sync did not go on")
	}
}

// TestPauseEndsFlush pauses while somebody waits.
func TestPauseEndsFlush(t *testing.T) {
	p := newPair(t)
	p.boot()
	flushed := make(chan error, 1)
	go func() { flushed <- p.leader.Flush(t.Context()) }()
	p.leader.Pause()
	a, b := net.Pipe()
	s := p.connect(a, b)
	defer s.stop()
	if err := <-flushed; !errors.Is(err, ErrPaused) {
		t.Errorf("flush: %v", err)
	}
}

// TestResumeIsNoLicence makes sure that a resume without a reason lets no later
// batch pass.
func TestResumeIsNoLicence(t *testing.T) {
	p := newPair(t)
	for i := range 30 {
		write(t, p.laptop, fmt.Sprint("f", i), fmt.Sprint("content ", i))
	}
	s := p.start()
	defer s.stop()
	p.settle()
	p.leader.Pause()
	p.leader.Resume()
	for i := range 20 {
		must(t, os.Remove(filepath.Join(p.laptop, fmt.Sprint("f", i))))
	}
	if err := p.leader.Flush(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("flush after a large delete: %v", err)
	}
	// Paused on top of it, the reason stays visible.
	p.leader.Pause()
	p.until("the reason", func(st Status) bool { return st.State == Paused && st.Reason != "" })
	p.leader.Resume()
	p.settle()
}
