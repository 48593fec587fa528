package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair is a laptop and a pod in one process, each with a root and a state
// folder of its own.
type pair struct {
	t             *testing.T
	laptop, pod   string // roots
	leaderState   string
	followerState string
	exclude       []string
	mode          Mode
	giveWay       func() bool
	git           bool // .gitignore files count
	leader        *Leader
	follower      *Follower

	mu      sync.Mutex
	events  []Event
	arrived chan struct{} // holds one token after an event
}

func newPair(t *testing.T) *pair {
	dir := t.TempDir()
	p := &pair{
		t: t, laptop: filepath.Join(dir, "laptop"), pod: filepath.Join(dir, "pod"),
		arrived:     make(chan struct{}, 1),
		leaderState: filepath.Join(dir, "leader"), followerState: filepath.Join(dir, "follower"),
	}
	for _, d := range []string{p.laptop, p.pod} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// boot makes both ends, as after a start of their processes.
func (p *pair) boot() {
	p.t.Helper()
	var err error
	p.leader, err = NewLeader(Config{Root: p.laptop, StateDir: p.leaderState, Exclude: p.exclude, GitIgnore: p.git, Mode: p.mode, OnEvent: p.record, GiveWay: p.giveWay})
	if err != nil {
		p.t.Fatal(err)
	}
	p.follower, err = NewFollower(Config{Root: p.pod, StateDir: p.followerState})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) record(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

// awaitEvent waits until an event is recorded, though not for long: what a
// test looks for may have happened between its look and this call.
func (p *pair) awaitEvent(ctx context.Context) {
	select {
	case <-p.arrived:
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
}

func (p *pair) sawEvent(kind EventKind) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

// session is a connection between both ends.
type session struct {
	cancel         context.CancelFunc
	leads, follows chan error
}

// connect starts a session over a and b, the two ends of a connection.
func (p *pair) connect(a, b io.ReadWriteCloser) *session {
	ctx, cancel := context.WithCancel(p.t.Context())
	s := &session{cancel: cancel, leads: make(chan error, 1), follows: make(chan error, 1)}
	leader, follower := p.leader, p.follower
	go func() {
		s.follows <- Accept(ctx, b, func(root string) (*Follower, error) {
			if root != "/src" {
				return nil, fmt.Errorf("%q is not synced", root)
			}
			return follower, nil
		})
	}()
	go func() { s.leads <- leader.Run(ctx, a, "/src") }()
	return s
}

// start boots both ends and connects them over a pipe.
func (p *pair) start() *session {
	p.boot()
	a, b := net.Pipe()
	return p.connect(a, b)
}

// stop ends the session and waits until both ends are gone.
func (s *session) stop() {
	s.cancel()
	<-s.leads
	<-s.follows
}

// settle waits until both sides have the same tree.
func (p *pair) settle() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for range 10 {
		if err := p.leader.Settle(ctx); err != nil {
			p.t.Fatalf("settle: %v, status %+v", err, p.leader.Status())
		}
		if p.diff() == "" {
			return
		}
	}
	p.t.Fatalf("the sides differ: %s\nstatus %+v", p.diff(), p.leader.Status())
}

// diff describes how the two roots differ, "" for not at all.
func (p *pair) diff() string {
	a, b := list(p.t, p.laptop), list(p.t, p.pod)
	var out strings.Builder
	for k, v := range a {
		if b[k] != v {
			fmt.Fprintf(&out, "%q: laptop %.80q, pod %.80q\n", k, v, b[k])
		}
	}
	for k, v := range b {
		if _, ok := a[k]; !ok {
			fmt.Fprintf(&out, "%q: only in the pod, %.80q\n", k, v)
		}
	}
	return out.String()
}

// list describes every entry of a root.
func list(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the other end is at work
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == "." || d.Name() == ".stignore" {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		switch {
		case d.IsDir():
			found[rel] = "dir " + info.Mode().Perm().String()
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			found[rel] = "link " + target
		case info.Mode().IsRegular():
			b, _ := os.ReadFile(path)
			found[rel] = info.Mode().Perm().String() + " " + string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func write(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exists(root, name string) bool {
	_, err := os.Lstat(filepath.Join(root, name))
	return err == nil
}

func TestInitialSync(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "main.go", "package main")
	write(t, p.laptop, "pkg/a.go", "package pkg")
	write(t, p.laptop, "both.txt", "same")
	write(t, p.pod, "both.txt", "same")
	write(t, p.laptop, "differs.txt", "from the laptop")
	write(t, p.pod, "differs.txt", "from the image")
	write(t, p.pod, "image/only.txt", "from the image")
	must(t, os.Symlink("main.go", filepath.Join(p.laptop, "link")))
	must(t, os.Mkdir(filepath.Join(p.laptop, "empty"), 0o755))
	s := p.start()
	defer s.stop()
	p.settle()
	if got := read(t, p.pod, "differs.txt"); got != "from the laptop" {
		t.Errorf("differs.txt in the pod = %q", got)
	}
	if got := read(t, p.laptop, "image/only.txt"); got != "from the image" {
		t.Errorf("image/only.txt on the laptop = %q", got)
	}
	if !inTrash(t, p.followerState, "from the image") {
		t.Error("what the laptop overwrote is not in the trash")
	}
	if p.sawEvent(Conflict) {
		t.Error("a first meeting is no conflict")
	}
	if st := p.leader.Status(); st.State != Converged || st.PendingFiles != 0 {
		t.Errorf("status %+v", st)
	}
}

// inTrash reports whether the trash of a state folder holds a content.
func inTrash(t *testing.T, state, content string) bool {
	t.Helper()
	for _, v := range list(t, filepath.Join(state, "trash")) {
		if strings.HasSuffix(v, " "+content) {
			return true
		}
	}
	return false
}

func TestLiveEdits(t *testing.T) {
	p := newPair(t)
	for i := range 100 {
		write(t, p.laptop, fmt.Sprintf("keep/%d", i), "kept")
	}
	write(t, p.laptop, "a.txt", "one")
	write(t, p.laptop, "dir/b.txt", "b")
	s := p.start()
	defer s.stop()
	p.settle()
	steps := []struct {
		name string
		do   func(root string)
	}{
		{"edit", func(r string) { write(t, r, "a.txt", "two "+r) }},
		{"create", func(r string) { write(t, r, "new/deep/file", "new "+r) }},
		{"replace by rename", func(r string) {
			write(t, r, "a.tmp", "three "+r)
			must(t, os.Rename(filepath.Join(r, "a.tmp"), filepath.Join(r, "a.txt")))
		}},
		{"chmod", func(r string) { must(t, os.Chmod(filepath.Join(r, "a.txt"), 0o755)) }},
		{"chmod folder", func(r string) { must(t, os.Chmod(filepath.Join(r, "dir"), 0o700)) }},
		{"rename", func(r string) { must(t, os.Rename(filepath.Join(r, "a.txt"), filepath.Join(r, "c.txt"))) }},
		{"rename folder", func(r string) { must(t, os.Rename(filepath.Join(r, "dir"), filepath.Join(r, "moved"))) }},
		{"symlink", func(r string) { must(t, os.Symlink("c.txt", filepath.Join(r, "link"))) }},
		{"symlink replaced", func(r string) {
			must(t, os.Remove(filepath.Join(r, "link")))
			must(t, os.Symlink("elsewhere", filepath.Join(r, "link")))
		}},
		{"file to folder", func(r string) {
			must(t, os.Remove(filepath.Join(r, "c.txt")))
			write(t, r, "c.txt/inner", "inner "+r)
		}},
		{"folder to file", func(r string) {
			must(t, os.RemoveAll(filepath.Join(r, "c.txt")))
			write(t, r, "c.txt", "file again "+r)
		}},
		{"odd names", func(r string) {
			write(t, r, "new\nline", "x")
			write(t, r, "bad\xffutf8", "y")
			write(t, r, strings.Repeat("n", 255), "z")
		}},
		{"large", func(r string) { write(t, r, "large", strings.Repeat("0123456789abcdef", 100_000)) }},
		{"empty file", func(r string) { write(t, r, "large", "") }},
		{"delete", func(r string) {
			must(t, os.RemoveAll(filepath.Join(r, "new")))
			must(t, os.RemoveAll(filepath.Join(r, "moved")))
			must(t, os.Remove(filepath.Join(r, "c.txt")))
			must(t, os.Remove(filepath.Join(r, "link")))
			must(t, os.Remove(filepath.Join(r, "large")))
		}},
	}
	for _, root := range []string{p.laptop, p.pod} {
		write(t, root, "a.txt", "start "+root)
		write(t, root, "dir/b.txt", "b")
		p.settle()
		for _, step := range steps {
			step.do(root)
			p.settle()
			if t.Failed() {
				t.Fatalf("after %s in %s", step.name, root)
			}
		}
		must(t, os.Chmod(root, 0o755))
	}
	if p.sawEvent(Conflict) {
		t.Error("edits on one side at a time are no conflicts")
	}
}
