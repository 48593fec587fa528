package engine

import (
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// waiter is a Flush or Settle in progress.
type waiter struct {
	both    bool   // the pod's changes too
	flush   uint64 // the flush message that the follower must answer; 0 for none
	started bool   // remaining is known
	// remaining counts, for each path that was on its way when the waiter
	// started, how often it must still land.
	remaining map[string]int
	done      chan error // holds one
}

// wait takes a new waiter.
func (rc *reconciler) wait(w *waiter) error {
	rc.waiters = append(rc.waiters, w)
	if !w.both {
		return nil
	}
	rc.flushes++
	w.flush = rc.flushes
	return rc.s.l.conn.Write(&syncproto.Flush{ID: w.flush})
}

// flushed takes the follower's answer to a flush message.
func (rc *reconciler) flushed(id uint64) {
	for _, w := range rc.waiters {
		if w.flush == id {
			w.flush = 0
		}
	}
}

// answer lets go of the waiters whose time has come. It runs after each merge.
func (rc *reconciler) answer() {
	if len(rc.waiters) == 0 {
		return
	}
	ready := rc.informed()
	kept := rc.waiters[:0]
	for _, w := range rc.waiters {
		if over, err := rc.verdict(w, ready); over {
			w.done <- err
			continue
		}
		kept = append(kept, w)
	}
	clear(rc.waiters[len(kept):])
	rc.waiters = kept
}

func (rc *reconciler) verdict(w *waiter, ready bool) (over bool, err error) {
	if rc.s.leader.isPaused() {
		return true, ErrPaused
	}
	if s := rc.reason(); s != "" {
		return true, fmt.Errorf("%w: %s", ErrStopped, s)
	}
	if !ready || w.flush != 0 {
		return false, nil
	}
	if !w.started {
		w.started = true
		w.remaining = map[string]int{}
		for p := range rc.flight.paths {
			w.remaining[p] = 1
		}
		for p := range rc.dirty {
			w.remaining[p]++
		}
		for p := range rc.held {
			w.remaining[p]++
		}
	}
	for p, h := range rc.held {
		if w.remaining[p] > 0 && rc.flight.paths[p] == 0 && hopeless(h.code) {
			return true, fmt.Errorf("%w: %q %s: %s", ErrStopped, p, where(h.side), h.text)
		}
	}
	// The first path that is pending answers the question; those before it are
	// not asked about again.
	for p := range w.remaining {
		if rc.pending(p, w.both) {
			return false, nil
		}
		delete(w.remaining, p)
	}
	return true, nil
}

// pending reports whether a path is not yet what it shall be. Without both,
// what is on its way to the laptop does not count.
func (rc *reconciler) pending(p string, both bool) bool {
	if _, held := rc.held[p]; held || rc.dirty[p] {
		return true
	}
	if rc.flight.paths[p] == 0 {
		return false
	}
	return both || rc.flight.toPod[p] > 0
}

// hopeless reports whether a failure of this kind will not pass by itself.
func hopeless(c syncproto.Code) bool {
	return c != syncproto.CodeContent && c != syncproto.CodeChanged
}

// conflicted has those who wait for a path wait for its conflict copy too: it
// holds what was written there.
func (rc *reconciler) conflicted(p, beside string) {
	for _, w := range rc.waiters {
		if w.remaining[p] > 0 {
			w.remaining[beside] = 1
		}
	}
}

// landed counts a landing for the waiters: a path that lands as often as it
// was on its way when they started is done, even if it changes all the time.
func (rc *reconciler) landed(p string) {
	for _, w := range rc.waiters {
		if n, ok := w.remaining[p]; ok && n <= 1 {
			delete(w.remaining, p)
		} else if ok {
			w.remaining[p] = n - 1
		}
	}
}
