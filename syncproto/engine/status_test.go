package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

func TestStatusCountsWhatIsDoneAndWhatTravels(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "small", "1234")
	write(t, p.laptop, "dir/large", strings.Repeat("large", 1<<18))
	s := p.start()
	defer s.stop()
	p.settle()
	st := p.leader.Status()
	if want := int64(4 + 5<<18); st.DoneFiles != 3 || st.DoneBytes != want {
		t.Errorf("done %d entries and %d bytes, want 3 and %d", st.DoneFiles, st.DoneBytes, want)
	}
	if st.PendingFiles != 0 || st.PendingBytes != 0 || st.Current != "" || !st.Oldest.IsZero() {
		t.Errorf("what is done is pending: %+v", st)
	}
	if st.Traffic.Sent == 0 || st.Traffic.Received == 0 || st.Traffic.SendRate <= 0 {
		t.Errorf("traffic %+v", st.Traffic)
	}
	write(t, p.pod, "back", "123")
	p.settle()
	// A write may be seen by halves, the first of which is empty.
	if now := p.leader.Status(); now.DoneFiles < 4 || now.DoneBytes != st.DoneBytes+3 {
		t.Errorf("after a change in the pod: %+v", now)
	}
}

func TestStatusTellsSinceWhenWhatIsStoppedWaits(t *testing.T) {
	p := newPair(t)
	for i := range 40 {
		write(t, p.laptop, fmt.Sprintf("f%d", i), fmt.Sprint(i))
	}
	s := p.start()
	p.settle()
	before := time.Now()
	for i := range 40 {
		must(t, os.Remove(filepath.Join(p.laptop, fmt.Sprintf("f%d", i))))
	}
	for p.leader.Status().State != Stopped {
		p.awaitEvent(t.Context())
	}
	if st := p.leader.Status(); st.Oldest.Before(before) || st.Oldest.After(time.Now()) || st.PendingFiles == 0 {
		t.Errorf("status %+v", st)
	}
	s.stop()
	if st := p.leader.Status(); !st.Oldest.IsZero() || st.PendingFiles != 0 || st.State != Waiting {
		t.Errorf("without a session: %+v", st)
	}
}

// A flush that waits behind a batch must not leave the pod's end syncing.
func TestPodConvergesBehindAFlush(t *testing.T) {
	h := handLaptop(t)
	h.follower.r.applying.Lock()
	must(t, h.conn.Write(&syncproto.Batch{ID: 1, Changes: []syncproto.Change{{
		Op: syncproto.OpPut, Path: "new", Entry: fileOf("new"), Inline: true, Content: []byte("new"),
	}}}))
	must(t, h.conn.Write(&syncproto.Flush{ID: 1}))
	// What is written to a pipe has been read, and what was before it received.
	must(t, h.conn.Write(&syncproto.Flush{ID: 2}))
	for h.follower.Status().State != Syncing {
		h.awaitEvent(t.Context())
	}
	h.follower.r.applying.Unlock()
	for h.follower.Status().State != Converged {
		h.awaitEvent(t.Context())
	}
	if got := read(t, h.pod, "new"); got != "new" {
		t.Errorf("content %q", got)
	}
}

func TestEventCarriesTheState(t *testing.T) {
	e := stateEvent(Stopped, "the disk is full")
	if e.State != Stopped || e.Detail != "stopped: the disk is full" {
		t.Errorf("event %+v", e)
	}
}

// TestLagKeepsTheOldest compares with the obvious: look at all of them.
func TestLagKeepsTheOldest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, model, now := newLag(), map[string]time.Time{}, time.Unix(0, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "path")
			if rapid.Bool().Draw(t, "add") {
				now = now.Add(time.Second)
				b.add(now, p)
				if _, ok := model[p]; !ok {
					model[p] = now
				}
			} else {
				b.drop(p)
				delete(model, p)
			}
			var want time.Time
			for _, at := range model {
				if want.IsZero() || at.Before(want) {
					want = at
				}
			}
			if got := b.oldest(); !got.Equal(want) {
				t.Fatalf("oldest %v, want %v", got, want)
			}
		}
	})
}

func TestMeterFades(t *testing.T) {
	var m meter
	now := time.Unix(1000, 0)
	if m.at(now) != 0 {
		t.Errorf("rate of nothing: %v", m.at(now))
	}
	for range 100 {
		now = now.Add(100 * time.Millisecond)
		m.add(1000, now)
	}
	if rate := m.at(now); rate < 9000 || rate > 11000 {
		t.Errorf("rate %v of a steady 10000", rate)
	}
	if rate := m.at(now.Add(time.Minute)); rate > 1 || m.total != 100_000 {
		t.Errorf("rate %v a minute later, total %d", rate, m.total)
	}
}

func TestTrafficFollowsPieces(t *testing.T) {
	tr := newTraffic()
	tr.piece("a", 10)
	tr.piece("b", 5)
	tr.piece("a", 10)
	if _, partial, current := tr.status(time.Now()); partial != 25 || current != "a" {
		t.Errorf("%d bytes, at %q", partial, current)
	}
	tr.landed("a")
	if _, partial, current := tr.status(time.Now()); partial != 5 || current != "" {
		t.Errorf("%d bytes, at %q", partial, current)
	}
	for i := range 2 * maxMoving {
		tr.piece(fmt.Sprint(i), 1)
	}
	if len(tr.moving) != maxMoving {
		t.Errorf("%d files", len(tr.moving))
	}
	tr.ended()
	if _, partial, _ := tr.status(time.Now()); partial != 0 {
		t.Errorf("%d bytes after the session", partial)
	}
}

// TestActivityIsBoundedAndAddsUp checks that whatever happens the memory is
// bounded, a folder counts at least what is in it, and the root counts all.
func TestActivityIsBoundedAndAddsUp(t *testing.T) {
	a := newActivity()
	now := time.Now()
	const changes = 5 * maxPrefixes
	for i := range changes {
		a.add(fmt.Sprintf("d%d/e%d/f%d", i%7, i%1000, i), 1, now)
		if i%3 == 0 {
			a.add("busy/file", 100, now)
		}
		if len(a.paths) > maxPrefixes {
			t.Fatalf("%d paths", len(a.paths))
		}
	}
	paths := a.copy()
	busy := int64((changes + 2) / 3)
	if root := paths[""]; root.Changes != changes+busy || root.Bytes != changes+100*busy {
		t.Errorf("the root counts %+v", root)
	}
	if u := paths["busy/file"]; u == nil || u.Changes != busy || u.Dir {
		t.Errorf("the busy file counts %+v", u)
	}
	for p, u := range paths {
		if p != "" && (paths[tree.Parent(p)] == nil || paths[tree.Parent(p)].Changes < u.Changes) {
			t.Fatalf("%q counts %+v, above it %+v", p, u, paths[tree.Parent(p)])
		}
	}
}

func TestCostliestNamesTheDeepestThatCostsMost(t *testing.T) {
	a := newActivity()
	now := time.Now()
	for i := range 1000 {
		a.add(fmt.Sprintf("web/node_modules/.cache/%d", i%400), 1<<10, now)
	}
	for i := range 20 {
		a.add(fmt.Sprintf("src/%d.go", i), 100, now)
	}
	paths := a.copy()
	addSize(paths, "data", tree.Entry{Type: syncproto.EntryDir})
	addSize(paths, "data/dump.sql", tree.Entry{Type: syncproto.EntryFile, Size: 1 << 30})
	addSize(paths, "data/notes", tree.Entry{Type: syncproto.EntryFile, Size: 1})
	addSize(paths, "src/0.go", tree.Entry{Type: syncproto.EntryFile, Size: 100})
	top, whole := costliest(paths, 3)
	var names []string
	for _, u := range top {
		names = append(names, u.Path)
	}
	if want := "[data/dump.sql web/node_modules/.cache src]"; fmt.Sprint(names) != want {
		t.Errorf("costliest are %v, want %v", names, want)
	}
	if whole.Files != 3 || whole.Changes != 1020 || whole.Size != 1<<30+101 || !whole.Dir {
		t.Errorf("the whole is %+v", whole)
	}
	if top[0].Dir || !top[1].Dir || top[1].Changes != 1000 || top[2].Files != 1 {
		t.Errorf("costliest are %+v", top)
	}
	if none, whole := costliest(map[string]*Usage{}, 3); len(none) != 0 || whole.Changes != 0 {
		t.Errorf("of nothing: %v, %+v", none, whole)
	}
}

func TestTopKnowsBothTheSessionAndTheTree(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, "dir/a", "12345")
	s := p.start()
	defer s.stop()
	p.settle()
	write(t, p.laptop, "dir/a", "123456")
	p.settle()
	top, whole := p.leader.Top(5)
	if len(top) != 1 || top[0].Path != "dir/a" && top[0].Path != "dir" || top[0].Files != 1 || top[0].Size != 6 || top[0].Last.IsZero() {
		t.Errorf("top %+v", top)
	}
	// A write may be seen by halves, the first of which is empty.
	if whole.Changes < 3 || whole.Bytes != 11 || whole.Size != 6 {
		t.Errorf("the whole is %+v", whole)
	}
}
