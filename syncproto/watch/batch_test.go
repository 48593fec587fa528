package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A feed runs deliver and notes when each batch arrives.
type feed struct {
	t       *testing.T
	start   time.Time
	changes chan []change
	batches chan Batch
	stop    chan struct{}
}

// pause lets time pass on the clock of the bubble.
func pause(d time.Duration) { <-time.After(d) }

func startFeed(t *testing.T) *feed {
	f := &feed{
		t: t, start: time.Now(),
		changes: make(chan []change), batches: make(chan Batch), stop: make(chan struct{}),
	}
	go func() {
		defer close(f.batches)
		deliver(f.changes, f.batches, f.stop)
	}()
	return f
}

func (f *feed) send(k kind, paths ...string) {
	var cs []change
	for _, p := range paths {
		cs = append(cs, change{path: p, kind: k})
	}
	f.changes <- cs
}

// want receives the next batch and checks it and the time since the start.
func (f *feed) want(at time.Duration, paths ...string) {
	f.t.Helper()
	b := <-f.batches
	if diff := cmp.Diff(Batch{Paths: paths}, b); diff != "" {
		f.t.Errorf("batch (-want +got):\n%s", diff)
	}
	if got := time.Since(f.start); got != at {
		f.t.Errorf("batch %v after %v, want %v", b.Paths, got, at)
	}
}

// end lets deliver end by itself; nothing may be left.
func (f *feed) end() {
	f.t.Helper()
	close(f.changes)
	for b := range f.batches {
		f.t.Errorf("left over: %+v", b)
	}
}

func TestLoneEventsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		for i := range 100 {
			f.send(changed, "a")
			f.want(time.Duration(i)*10*time.Millisecond, "a")
			pause(10 * time.Millisecond)
		}
		f.end()
	})
}

func TestStormBecomesFewBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		var last time.Time
		go func() {
			for i := range 10_000 {
				f.send(changed, fmt.Sprintf("d%d/f%d", i%100, i))
				pause(100 * time.Microsecond)
			}
			last = time.Now()
			// A pause shows that the end is not what sends the rest.
			pause(time.Second)
			close(f.changes)
		}()
		batches, paths := 0, 0
		var end time.Time
		for b := range f.batches {
			batches++
			paths += len(b.Paths)
			end = time.Now()
			if b.Rescan {
				t.Error("the storm became a rescan")
			}
		}
		if paths != 10_000 || batches > 25 {
			t.Errorf("%d paths in %d batches", paths, batches)
		}
		if wait := end.Sub(last); wait > maxQuiet {
			t.Errorf("the last batch came %v after the storm", wait)
		}
	})
}

func TestEventsMergeWhileTheReceiverIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		f.send(changed, "z")
		synctest.Wait()
		for i := range 5 {
			f.send(changed, fmt.Sprintf("d/%d", i), "d/0")
		}
		f.send(changed, "b/x/y", "b")
		pause(time.Second)
		f.want(time.Second, "z")
		f.want(time.Second, "b", "d/0", "d/1", "d/2", "d/3", "d/4")
		f.end()
	})
}

func TestWriterIsReportedWhenItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		f.send(writing, "a", "b")
		pause(time.Millisecond)
		f.send(touched, "a") // sets the mode before it closes
		pause(time.Millisecond)
		f.send(changed, "a")
		f.want(2*time.Millisecond, "a")
		f.send(touched, "a")
		f.want(2*time.Millisecond, "a")
		f.want(settleQuiet, "b")
		f.end()
	})
}

func TestWriterThatNeverPausesIsReportedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		go func() {
			for range 350 {
				f.send(writing, "log")
				pause(7 * time.Millisecond)
			}
			pause(settleMax)
			close(f.changes)
		}()
		// Once a second, and when it pauses.
		f.want(settleMax, "log")
		f.want(settleMax+time.Millisecond+settleMax, "log")
		f.want(349*7*time.Millisecond+settleQuiet, "log")
		for b := range f.batches {
			t.Errorf("left over: %+v", b)
		}
	})
}

func TestMarkSendsEverythingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		f.send(writing, "open")
		f.send(changed, slices.Repeat([]string{"storm"}, 200)...)
		done := make(chan struct{})
		f.changes <- []change{{kind: marked, done: done}}
		synctest.Wait()
		select {
		case <-done:
			t.Error("the mark has passed before the batch was taken")
		default:
		}
		f.want(0, "open", "storm")
		<-done

		// With nothing to report it passes by itself.
		done = make(chan struct{})
		f.changes <- []change{{kind: marked, done: done}}
		<-done
		f.end()
	})
}

func TestMarkWaitsForTheBatchOnOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		f.send(changed, "a")
		synctest.Wait()
		done := make(chan struct{})
		f.changes <- []change{{kind: marked, done: done}}
		synctest.Wait()
		select {
		case <-done:
			t.Error("the mark has passed before the batch was taken")
		default:
		}
		f.want(0, "a")
		<-done
		f.end()
	})
}

func TestLostEventsAreARescan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		f.changes <- []change{{path: "a"}, {kind: lost}, {path: "b"}}
		if diff := cmp.Diff(Batch{Rescan: true}, <-f.batches); diff != "" {
			t.Error(diff)
		}
		f.send(changed, "c")
		f.want(0, "c")
		f.end()
	})
}

func TestStopEndsAnOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		f.send(changed, "a")
		synctest.Wait()
		close(f.stop)
		synctest.Wait()
		if b, ok := <-f.batches; ok {
			t.Errorf("got %+v", b)
		}
	})
}

func TestWhatIsLeftComesOutAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFeed(t)
		f.send(changed, slices.Repeat([]string{"storm"}, 200)...)
		f.send(writing, "open")
		close(f.changes)
		f.want(0, "storm")
		f.want(0, "open")
	})
}

// The memory of a batch is bounded; what is too much is named by its folder.
func TestTooManyPathsFold(t *testing.T) {
	now := time.Unix(0, 0)
	g := newGatherer()
	g.add(change{path: "top"}, now)
	g.add(change{path: "few/a/b"}, now)
	for i := range 3 * maxPaths {
		g.add(change{path: fmt.Sprintf("many/files/d%d/f%d", i%10, i)}, now)
		if len(g.ready) > maxPaths {
			t.Fatalf("%d paths are kept", len(g.ready))
		}
	}
	b, _ := g.take(now)
	if b.Rescan || len(b.Paths) > maxPaths || !slices.Contains(b.Paths, "top") {
		t.Errorf("rescan %v, %d paths", b.Rescan, len(b.Paths))
	}
	for _, p := range []string{"few/a/b", "many/files/d0/f0", fmt.Sprintf("many/files/d1/f%d", 3*maxPaths-9)} {
		if !covers(b.Paths, p) {
			t.Errorf("%s is not covered", p)
		}
	}

	for i := range maxPaths + 1 {
		g.add(change{path: fmt.Sprint(i)}, now)
	}
	if b, _ := g.take(now); !b.Rescan || b.Paths != nil {
		t.Errorf("a crowded root: %+v", b)
	}

	for i := range maxPaths + 1 {
		g.add(change{path: fmt.Sprint(i), kind: writing}, now)
	}
	if len(g.unclosed) > maxPaths || len(g.ready) != 1 {
		t.Errorf("%d writers are kept", len(g.unclosed))
	}
}

// covers reports whether the path or a folder above it is in the list.
func covers(paths []string, p string) bool {
	for ; p != ""; p = parent(p) {
		if slices.Contains(paths, p) {
			return true
		}
	}
	return false
}

// Whatever happens, everything comes out, and what comes out is sorted and
// names nothing twice.
func TestBatchesCoverAllChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, now := newGatherer(), time.Unix(0, 0)
		open := map[string]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			elements := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "a-", "a.b", "c"}), 1, 4).Draw(t, "path")
			c := change{
				path: strings.Join(elements, "/"),
				kind: rapid.SampledFrom([]kind{changed, writing, touched}).Draw(t, "kind"),
			}
			g.add(c, now)
			open[c.path] = true
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "ms")) * time.Millisecond)
			if at, ok := g.due(); !ok {
				t.Fatalf("nothing is due with %v open", open)
			} else if !at.After(now) {
				check(t, g, now, open)
			}
		}
		check(t, g, now.Add(settleMax), open)
		if len(open) > 0 {
			t.Fatalf("never came out: %v", open)
		}
	})
}

// check takes a batch and strikes out what it covers.
func check(t *rapid.T, g *gatherer, now time.Time, open map[string]bool) {
	b, _ := g.take(now)
	if b.Rescan || len(b.Paths) == 0 && len(open) > 0 {
		t.Fatalf("batch %+v with %v open", b, open)
	}
	if !slices.IsSorted(b.Paths) {
		t.Fatalf("not sorted: %q", b.Paths)
	}
	for i, p := range b.Paths {
		if rest := slices.Delete(slices.Clone(b.Paths), i, i+1); covers(rest, p) {
			t.Fatalf("%q lies below another of %q", p, b.Paths)
		}
	}
	for p := range open {
		if _, held := g.unclosed[p]; !held && covers(b.Paths, p) {
			delete(open, p)
		}
	}
}
