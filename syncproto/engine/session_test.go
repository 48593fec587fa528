package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

func TestConflict(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "f.txt", "base")
	write(t, p.laptop, "gone-here.txt", "base")
	write(t, p.laptop, "gone-there.txt", "base")
	s := p.start()
	p.settle()
	s.stop()
	write(t, p.laptop, "f.txt", "laptop's")
	write(t, p.pod, "f.txt", "the pod's")
	must(t, os.Remove(filepath.Join(p.laptop, "gone-here.txt")))
	write(t, p.pod, "gone-here.txt", "edited in the pod")
	must(t, os.Remove(filepath.Join(p.pod, "gone-there.txt")))
	write(t, p.laptop, "gone-there.txt", "edited on the laptop")
	s = p.start()
	defer func() { s.stop() }()
	p.settle()
	if got := read(t, p.laptop, "f.txt"); got != "laptop's" {
		t.Errorf("f.txt = %q", got)
	}
	conflicts := p.leader.Status().Conflicts
	if len(conflicts) != 1 || !strings.HasPrefix(conflicts[0], "f.conflict-pod-") || !strings.HasSuffix(conflicts[0], ".txt") {
		t.Fatalf("conflicts = %q", conflicts)
	}
	for _, root := range []string{p.laptop, p.pod} {
		if got := read(t, root, conflicts[0]); got != "the pod's" {
			t.Errorf("conflict copy = %q", got)
		}
	}
	if !p.sawEvent(Conflict) {
		t.Error("no conflict event")
	}
	if read(t, p.laptop, "gone-here.txt") != "edited in the pod" || read(t, p.pod, "gone-there.txt") != "edited on the laptop" {
		t.Error("an edit must win over a delete")
	}
	s.stop()
	must(t, p.leader.Close())
	p.boot()
	if got := p.leader.Status().Conflicts; len(got) != 1 {
		t.Errorf("after a restart, conflicts = %q", got)
	}
	must(t, p.leader.Close())
	s = p.start()
	p.settle()
	if got := p.leader.Status().Conflicts; len(got) != 1 {
		t.Errorf("in the session after it, conflicts = %q", got)
	}
	must(t, os.Remove(filepath.Join(p.laptop, conflicts[0])))
	p.settle()
	if got := p.leader.Status().Conflicts; len(got) != 0 {
		t.Errorf("conflicts after removing the copy = %q", got)
	}
}

func TestReconnect(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "a", "1")
	write(t, p.laptop, "b", "1")
	s := p.start()
	p.settle()
	s.stop()
	write(t, p.laptop, "a", "2")
	write(t, p.pod, "b", "2")
	must(t, os.Mkdir(filepath.Join(p.pod, "d"), 0o755))
	a, b := net.Pipe()
	s = p.connect(a, b) // the same ends, as after a connection loss
	p.settle()
	s.stop()
	must(t, os.Remove(filepath.Join(p.laptop, "a")))
	s = p.start() // new ends, as after a restart
	defer s.stop()
	p.settle()
	if exists(p.pod, "a") || read(t, p.laptop, "b") != "2" {
		t.Error("what happened while apart is lost")
	}
	if p.sawEvent(Conflict) {
		t.Error("no conflict happened")
	}
}

func TestNewPodTree(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "a", "1")
	write(t, p.laptop, "b", "1")
	s := p.start()
	p.settle()
	s.stop()
	// The pod was replaced: its workspace and its state are new.
	p.pod += "2"
	p.followerState += "2"
	must(t, os.Mkdir(p.pod, 0o755))
	s = p.start()
	p.settle()
	s.stop()
	if read(t, p.laptop, "a") != "1" {
		t.Error("an empty new tree deletes nothing")
	}
	// The root was emptied while nobody watched, with its state intact.
	must(t, os.Remove(filepath.Join(p.pod, "a")))
	must(t, os.Remove(filepath.Join(p.pod, "b")))
	s = p.start()
	defer s.stop()
	p.settle()
	if read(t, p.pod, "a") != "1" {
		t.Error("an emptied root is filled again")
	}
}

// cutter is a connection that breaks after a number of bytes written.
type cutter struct {
	net.Conn
	left atomic.Int64
}

func (c *cutter) Write(b []byte) (int, error) {
	if c.left.Add(-int64(len(b))) < 0 {
		_ = c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

func TestCutAnywhere(t *testing.T) {
	p := newPair(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		write(t, p.laptop, fmt.Sprintf("l/%d/f", i), strings.Repeat("x", rng.IntN(3000)))
		write(t, p.pod, fmt.Sprintf("p/%d/f", i), strings.Repeat("y", rng.IntN(3000)))
	}
	write(t, p.laptop, "large", strings.Repeat("laptop", 200_000))
	write(t, p.pod, "large2", strings.Repeat("pod", 400_000))
	first := p.start()
	p.settle()
	first.stop()
	for round := range 25 {
		p.boot()
		a, b := net.Pipe()
		ca, cb := &cutter{Conn: a}, &cutter{Conn: b}
		ca.left.Store(int64(1000 + rng.IntN(20_000)*(round+1)/5))
		cb.left.Store(int64(1000 + rng.IntN(20_000)*(round+1)/5))
		s := p.connect(ca, cb)
		write(t, p.laptop, fmt.Sprintf("l/%d/f", round), fmt.Sprint("new ", round))
		write(t, p.pod, fmt.Sprintf("p/%d/f", round), fmt.Sprint("new ", round))
		select {
		case <-s.leads:
			s.leads <- nil
		case <-time.After(100 * time.Millisecond): // it got through
		}
		s.stop()
		must(t, p.leader.Close())
	}
	s := p.start()
	defer s.stop()
	p.settle()
	for i := range 25 {
		want := fmt.Sprint("new ", i)
		if read(t, p.pod, fmt.Sprintf("l/%d/f", i)) != want || read(t, p.laptop, fmt.Sprintf("p/%d/f", i)) != want {
			t.Errorf("round %d is lost", i)
		}
	}
	if c := p.leader.Status().Conflicts; len(c) != 0 {
		t.Errorf("cuts made conflicts: %q", c)
	}
	for _, root := range []string{p.laptop, p.pod} {
		for name := range list(t, root) {
			if strings.Contains(name, syncproto.TempPrefix) {
				t.Errorf("%s was left behind", name)
			}
		}
	}
}

func TestIgnoreReload(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, ".stignore", "*.log\nbuild\n")
	write(t, p.laptop, "a.log", "laptop log")
	write(t, p.pod, "b.log", "pod log")
	write(t, p.laptop, "build/out", "o")
	write(t, p.laptop, "src", "s")
	s := p.start()
	defer s.stop()
	p.leader.settleNow(t)
	if exists(p.pod, "a.log") || exists(p.laptop, "b.log") || exists(p.pod, "build") || exists(p.pod, ".stignore") {
		t.Fatal("ignored paths were synced")
	}
	write(t, p.laptop, ".stignore", "build\n*.tmp\n")
	p.leader.settleNow(t)
	if !exists(p.pod, "a.log") || !exists(p.laptop, "b.log") {
		t.Error("paths that are ignored no more were not synced")
	}
	write(t, p.laptop, ".stignore", "*.log\n")
	p.leader.settleNow(t)
	if !exists(p.pod, "build/out") {
		t.Error("a folder that is ignored no more was not synced")
	}
	must(t, os.Remove(filepath.Join(p.laptop, "a.log")))
	p.leader.settleNow(t)
	if !exists(p.pod, "a.log") {
		t.Error("an ignored path was deleted")
	}
	// A folder with something ignored in it is not deleted, and comes back.
	write(t, p.laptop, "d/x", "x")
	p.leader.settleNow(t)
	write(t, p.pod, "d/y.log", "y")
	must(t, os.RemoveAll(filepath.Join(p.laptop, "d")))
	p.leader.settleNow(t)
	p.leader.settleNow(t)
	if !exists(p.pod, "d/y.log") || exists(p.pod, "d/x") || !exists(p.laptop, "d") {
		t.Error("a folder that holds ignored entries stays on both sides")
	}
}

func (l *Leader) settleNow(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 3 {
		if err := l.Settle(ctx); err != nil {
			t.Fatalf("settle: %v, status %+v", err, l.Status())
		}
	}
}

func TestManyFiles(t *testing.T) {
	p := newPair(t)
	for i := range 2000 {
		write(t, p.laptop, fmt.Sprintf("d%d/e%d/f%d", i%17, i%41, i), strings.Repeat("content ", i%500))
	}
	s := p.start()
	p.settle()
	must(t, os.Rename(filepath.Join(p.laptop, "d3"), filepath.Join(p.laptop, "moved")))
	for i := range 100 {
		write(t, p.pod, fmt.Sprintf("d%d/back%d", i%2, i), "from the pod")
	}
	p.settle()
	s.stop()
	s = p.start()
	defer s.stop()
	p.settle()
}

func TestFlush(t *testing.T) {
	p := newPair(t)
	s := p.start()
	defer s.stop()
	for i := range 50 {
		write(t, p.laptop, "f", fmt.Sprint(i))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		must(t, p.leader.Flush(ctx))
		cancel()
		if got := read(t, p.pod, "f"); got != fmt.Sprint(i) {
			t.Fatalf("after flush %d the pod has %q", i, got)
		}
	}
}

func TestGuards(t *testing.T) {
	p := newPair(t)
	for i := range 30 {
		write(t, p.laptop, fmt.Sprint("f", i), fmt.Sprint("content ", i))
	}
	s := p.start()
	defer s.stop()
	p.settle()
	for i := range 20 {
		must(t, os.Remove(filepath.Join(p.laptop, fmt.Sprint("f", i))))
	}
	if err := p.leader.Flush(t.Context()); !errors.Is(err, ErrStopped) {
		t.Fatalf("flush after a large delete: %v", err)
	}
	if st := p.leader.Status(); st.State != Stopped || !strings.Contains(st.Reason, "would be deleted in the pod") {
		t.Errorf("status %+v", st)
	}
	if !exists(p.pod, "f19") {
		t.Error("the guard did not hold")
	}
	p.leader.Resume()
	p.settle()
	if exists(p.pod, "f19") {
		t.Error("resume did not release the batch")
	}
	if !inTrash(t, p.followerState, "content 19") {
		t.Error("deleted content is not in the trash")
	}
}

func TestRootGone(t *testing.T) {
	for _, side := range []string{"laptop", "pod"} {
		t.Run(side, func(t *testing.T) {
			p := newPair(t)
			for i := range 5 {
				write(t, p.laptop, fmt.Sprint("f", i), "x")
			}
			s := p.start()
			defer s.stop()
			p.settle()
			root, other := p.laptop, p.pod
			if side == "pod" {
				root, other = other, root
			}
			must(t, os.Rename(root, root+".away"))
			if err := p.leader.Flush(t.Context()); side == "laptop" && !errors.Is(err, ErrStopped) {
				t.Fatalf("flush without a root: %v", err)
			}
			if !exists(other, "f1") {
				t.Fatal("a root that is gone deletes nothing")
			}
			must(t, os.Rename(root+".away", root))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for p.leader.Settle(ctx) != nil && ctx.Err() == nil {
				p.awaitEvent(ctx)
			}
			write(t, p.laptop, "after", "x")
			p.settle()
		})
	}
}

func TestTakeOver(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "a", "1")
	old := p.start()
	p.settle()
	must(t, p.leader.Close())
	var err error
	p.leader, err = NewLeader(Config{Root: p.laptop, StateDir: p.leaderState + "2"})
	must(t, err)
	a, b := net.Pipe()
	s := p.connect(a, b)
	defer s.stop()
	if err := <-old.follows; !errors.Is(err, errReplaced) {
		t.Errorf("the old session ended with %v", err)
	}
	write(t, p.laptop, "b", "2")
	p.settle()
	var stop *StopError
	if err := <-old.leads; !errors.As(err, &stop) || stop.Code != syncproto.StopReplaced {
		t.Errorf("the old leader ended with %v", err)
	}
}

func TestRefusals(t *testing.T) {
	p := newPair(t)
	p.boot()
	a, b := net.Pipe()
	go func() {
		_ = Accept(t.Context(), b, func(string) (*Follower, error) { return nil, errors.New("no such root") })
	}()
	var stop *StopError
	if err := p.leader.Run(t.Context(), a, "/other"); !errors.As(err, &stop) || stop.Text != "no such root" {
		t.Errorf("unknown root: %v", err)
	}
	a, b = net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	go func() { _, _ = b.Write([]byte("Welcome to Debian\n")) }()
	if err := p.leader.Run(t.Context(), a, "/src"); !errors.Is(err, syncproto.ErrNotSync) || !strings.Contains(err.Error(), "Welcome to Debian") {
		t.Errorf("banner: %v", err)
	}
}

// TestHostileFollower lets a pod that lies meet an honest laptop: a symlink out
// of the root with a file below it, data that nobody asked for, and content
// that is not what was announced.
func TestHostileFollower(t *testing.T) {
	p := newPair(t)
	p.boot()
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.Mkdir(outside, 0o755))
	a, b := net.Pipe()
	conn, err := syncproto.NewConn(b)
	must(t, err)
	run := make(chan error, 1)
	go func() { run <- p.leader.Run(t.Context(), a, "/src") }()
	_, err = conn.Hello(syncproto.SidePod, "evil")
	must(t, err)
	_, err = conn.Read()
	must(t, err)
	content := []byte("evil")
	file := syncproto.Entry{Type: syncproto.EntryFile, Mode: 0o644, Size: int64(len(content)), Digest: tree.Sum(content)}
	lie := file
	lie.Digest[0]++
	must(t, conn.Write(&syncproto.Opened{Tree: [16]byte{6}}))
	must(t, conn.Write(&syncproto.Report{Full: true, Items: []syncproto.Item{
		{Path: "link", Entry: syncproto.Entry{Type: syncproto.EntrySymlink, Target: outside}},
		{Path: "link/f", Entry: file},
		{Path: "lie", Entry: lie},
		{Path: "honest", Entry: file},
	}}))
	for !exists(p.laptop, "honest") {
		m, err := conn.Read()
		must(t, err)
		if req, ok := m.(*syncproto.Request); ok {
			must(t, conn.Write(&syncproto.Data{ID: req.ID, Content: content}))
		}
		if req, ok := m.(*syncproto.Request); ok && req.Path == "honest" {
			p.awaitEvent(t.Context())
		}
	}
	list, err := os.ReadDir(outside)
	if err != nil || len(list) != 0 || exists(p.laptop, "lie") {
		t.Errorf("outside holds %v, %v; lie exists: %v", list, err, exists(p.laptop, "lie"))
	}
	go func() { _, _ = io.Copy(io.Discard, b) }()
	_ = conn.Write(&syncproto.Data{ID: 1 << 40})
	if err := <-run; !errors.Is(err, ErrProtocol) {
		t.Errorf("the session ended with %v", err)
	}
}
