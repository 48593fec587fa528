package engine

import (
	"context"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/watch"
)

// Files that are being written are looked at again soon, and those that are
// written for ever are caught at one moment now and then: less and less often,
// so that a large one can be carried over before the next time.
const (
	busyRetry  = 50 * time.Millisecond
	busyMost   = 20 // looks in vain before a file is caught
	caughtSoon = 2 * time.Second
	caughtLate = time.Minute
)

// writer is a file that is written whenever it is looked at.
type writer struct {
	looks int           // in vain
	wait  time.Duration // between the last two times that it was caught
	at    time.Time     // of the next look
}

// writers are such files by path. They know no clock.
type writers map[string]*writer

// met takes the outcome of a look at p.
func (ws writers) met(p string, busy bool, now time.Time) {
	w := ws[p]
	switch {
	case !busy:
		delete(ws, p)
	case w == nil:
		ws[p] = &writer{looks: 1, at: now.Add(busyRetry)}
	case w.looks < busyMost:
		w.looks++
		w.at = now.Add(busyRetry)
	}
}

// due returns the paths to look at: those to be caught if they are still busy
// apart from the others.
func (ws writers) due(now time.Time) (look, catch []string) {
	for p, w := range ws {
		switch {
		case w.looks < busyMost:
			look = append(look, p)
		case !now.Before(w.at):
			catch = append(catch, p)
		}
	}
	return look, catch
}

// caught plans the next time for a file that was to be caught.
func (ws writers) caught(p string, now time.Time) {
	if w := ws[p]; w != nil {
		w.wait = min(max(2*w.wait, caughtSoon), caughtLate)
		w.at = now.Add(w.wait)
	}
}

// next returns when something is due; false for never.
func (ws writers) next() (at time.Time, ok bool) {
	for _, w := range ws {
		if !ok || w.at.Before(at) {
			at, ok = w.at, true
		}
	}
	return at, ok
}

// again looks once more at files that were being written.
func (o *observer) again(ctx context.Context) error {
	look, catch := o.busy.due(time.Now())
	if len(look)+len(catch) == 0 {
		return nil
	}
	if err := o.batch(ctx, watch.Batch{Paths: append(look, catch...)}); err != nil {
		return err
	}
	opened := o.r.now.Load()
	for _, p := range catch {
		if o.busy[p] == nil {
			continue // it has come to rest
		}
		if changed, err := o.r.index.LookGrowing(opened.root, p); err == nil && changed {
			o.note([]string{p})
		}
		o.busy.caught(p, time.Now())
	}
	return nil
}
