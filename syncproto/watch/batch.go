package watch

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A change is one event, free of the operating system's details.
type change struct {
	path string
	kind kind
	done chan struct{} // for marked only
}

type kind uint8

const (
	changed kind = iota // something happened, and it is complete
	writing             // the content is being written, a changed should follow
	touched             // mode, owner or times changed
	lost                // events were lost
	marked              // the mark of Watcher.Sync
)

const (
	// A source of events may send freeEvents at once, and one more in each
	// millisecond, before its events are gathered. Saving a file by hand
	// stays far below, so that it never waits.
	freeEvents = 8
	// maxLevel bounds how long a storm is remembered, in milliseconds.
	maxLevel = 300
	// maxWindow is the longest that an event waits while others keep coming.
	maxWindow = 250 * time.Millisecond
	// maxQuiet is the longest that a gathered batch waits for nothing.
	maxQuiet = 50 * time.Millisecond
	// settleMax is how often a file is reported that is written all the time.
	settleMax = time.Second
	// maxPaths bounds the memory of a batch. A larger one is folded into the
	// folders above.
	maxPaths = 16384
)

// A gatherer collects changes until they make a batch. It knows no clock: all
// its methods are told the time.
//
// How long it waits follows from how much is going on. A bucket fills by one
// with each event and leaks one in each millisecond; what is in it beyond
// freeEvents, in milliseconds, is how long an event may wait for others.
type gatherer struct {
	ready    map[string]struct{}
	unclosed map[string]writer
	rescan   bool
	marks    []chan struct{}

	first, last time.Time // of what is ready
	level       float64
	levelAt     time.Time
}

// A writer is a file that is being written.
type writer struct{ first, last time.Time }

func newGatherer() *gatherer {
	return &gatherer{ready: map[string]struct{}{}, unclosed: map[string]writer{}}
}

// add takes one change.
func (g *gatherer) add(c change, now time.Time) {
	switch c.kind {
	case marked:
		g.marks = append(g.marks, c.done)
	case lost:
		g.rescan = true
		g.event(now)
	case writing:
		g.hold(c.path, now)
	case touched:
		if _, ok := g.unclosed[c.path]; ok {
			// Its writer sets the mode before it closes the file.
			g.hold(c.path, now)
			return
		}
		g.put(c.path, now)
	case changed:
		g.put(c.path, now)
	}
}

// hold notes that a file is being written.
func (g *gatherer) hold(path string, now time.Time) {
	w, ok := g.unclosed[path]
	if !ok {
		if len(g.unclosed) >= maxPaths {
			g.put(path, now)
			return
		}
		w.first = now
	}
	w.last = now
	g.unclosed[path] = w
}

// put makes a path ready.
func (g *gatherer) put(path string, now time.Time) {
	delete(g.unclosed, path)
	g.event(now)
	if g.rescan {
		return
	}
	g.ready[path] = struct{}{}
	if len(g.ready) > maxPaths {
		g.rescan = !fold(g.ready, maxPaths/2)
	}
}

// event counts one event towards the level.
func (g *gatherer) event(now time.Time) {
	if g.empty() {
		g.first = now
	}
	g.last = now
	g.level = min(g.levelNow(now)+1, maxLevel)
	g.levelAt = now
}

func (g *gatherer) levelNow(now time.Time) float64 {
	leaked := float64(now.Sub(g.levelAt)) / float64(time.Millisecond)
	return max(0, g.level-leaked)
}

// empty reports whether nothing is ready.
func (g *gatherer) empty() bool { return len(g.ready) == 0 && !g.rescan }

// due returns when the batch should go out; ok is false when there is nothing
// to wait for.
func (g *gatherer) due() (at time.Time, ok bool) {
	if len(g.marks) > 0 {
		return time.Time{}, true
	}
	if !g.empty() {
		window := max(0, time.Duration((g.level-freeEvents)*float64(time.Millisecond)))
		at, ok = g.first.Add(min(window, maxWindow)), true
		if quiet := g.last.Add(min(window, maxQuiet)); quiet.Before(at) {
			at = quiet
		}
	}
	for _, w := range g.unclosed {
		if settled := w.settled(); !ok || settled.Before(at) {
			at, ok = settled, true
		}
	}
	return at, ok
}

// settled returns when the file is to be reported although it is not closed.
func (w writer) settled() time.Time {
	quiet, end := w.last.Add(settleQuiet), w.first.Add(settleMax)
	if end.Before(quiet) {
		return end
	}
	return quiet
}

// take returns the batch, which may be empty, and the marks that it passes.
func (g *gatherer) take(now time.Time) (Batch, []chan struct{}) {
	for p, w := range g.unclosed {
		if len(g.marks) > 0 || !w.settled().After(now) {
			g.put(p, now)
		}
	}
	b := Batch{Rescan: g.rescan}
	if !b.Rescan && len(g.ready) > 0 {
		b.Paths = absorb(slices.Sorted(maps.Keys(g.ready)))
	}
	marks := g.marks
	clear(g.ready)
	g.rescan, g.marks = false, nil
	return b, marks
}

// absorb drops the paths that lie below another one. It changes sorted, which
// it may because the caller made it.
func absorb(sorted []string) []string {
	kept := make(map[string]struct{}, len(sorted))
	return slices.DeleteFunc(sorted, func(p string) bool {
		for up := parent(p); up != ""; up = parent(up) {
			if _, ok := kept[up]; ok {
				return true
			}
		}
		kept[p] = struct{}{}
		return false
	})
}

// parent returns the folder of a path, empty for the root.
func parent(path string) string {
	return path[:max(0, strings.LastIndexByte(path, '/'))]
}

// fold replaces the deepest paths by the folders that hold them until at most
// limit are left. It reports false when only the root would do.
func fold(paths map[string]struct{}, limit int) bool {
	for len(paths) > limit {
		deepest := 0
		for p := range paths {
			deepest = max(deepest, strings.Count(p, "/"))
		}
		if deepest == 0 {
			clear(paths)
			return false
		}
		for p := range paths {
			if strings.Count(p, "/") == deepest {
				delete(paths, p)
				paths[parent(p)] = struct{}{}
			}
		}
	}
	return true
}

// deliver gathers changes into batches until changes is closed, and then hands
// out what is left, or until stop is closed.
func deliver(changes <-chan []change, batches chan<- Batch, stop <-chan struct{}) {
	g := newGatherer()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var (
		offer   Batch
		marks   []chan struct{} // passed when offer is taken
		offered chan<- Batch    // nil when there is no offer
	)
	for {
		var wake <-chan time.Time
		if at, ok := g.due(); ok && offered == nil {
			now := time.Now()
			if wait := at.Sub(now); wait > 0 && changes != nil {
				timer.Reset(wait)
				wake = timer.C
			} else {
				// At the end the future comes early.
				offer, marks = g.take(now.Add(max(0, wait)))
				if len(offer.Paths) > 0 || offer.Rescan {
					offered = batches
				} else {
					pass(marks)
				}
				continue
			}
		}
		if changes == nil && offered == nil {
			return
		}
		select {
		case cs, ok := <-changes:
			if !ok {
				changes = nil
				continue
			}
			now := time.Now()
			for _, c := range cs {
				g.add(c, now)
			}
		case <-wake:
		case offered <- offer:
			pass(marks)
			offer, marks, offered = Batch{}, nil, nil
		case <-stop:
			return
		}
	}
}

func pass(marks []chan struct{}) {
	for _, m := range marks {
		close(m)
	}
}
