package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/watch"
)

// How often a root is scanned of which no events tell.
const (
	pollSoon  = time.Second      // after a scan that found something
	pollLate  = 10 * time.Second // when nothing was found for a while
	pollLossy = time.Minute      // where events get lost now and then
	// pollShare keeps scans to this part of the time, however long they take.
	pollShare = 50
)

// pace spaces the scans that no event asks for: close together while somebody
// works, further apart while nobody does. It knows no clock.
type pace struct {
	wait time.Duration
	due  time.Time // zero before the first scan is planned
}

// plan returns when the next scan is due.
func (p *pace) plan(now time.Time) time.Time {
	if p.due.IsZero() {
		p.wait = pollSoon
		p.due = now.Add(p.wait)
	}
	return p.due
}

// scanned plans the scan after one that has just ended.
func (p *pace) scanned(now time.Time, took time.Duration, found bool) {
	if found {
		p.wait = pollSoon
	} else {
		p.wait = min(p.wait*5/4, pollLate)
	}
	p.due = now.Add(max(p.wait, took*pollShare))
}

// nextPoll returns when to scan without an event; false for never.
func (o *observer) nextPoll() (time.Time, bool) {
	w := o.r.now.Load().watcher
	if w != nil {
		g := w.Gaps()
		switch {
		case g.Silent == "" && g.Unwatched == 0 && g.Lossy:
			if o.lossy.IsZero() {
				o.lossy = time.Now().Add(pollLossy)
			}
			return o.lossy, true
		case g.Silent == "" && g.Unwatched == 0:
			o.pace = pace{}
			return time.Time{}, false
		}
	}
	return o.pace.plan(time.Now()), true
}

// poll scans what no events tell of.
func (o *observer) poll(ctx context.Context) error {
	start, before := time.Now(), o.found
	var err error
	w := o.r.now.Load().watcher
	switch {
	case w == nil:
		if err = o.r.watchAgain(); err == nil {
			err = o.rescan(ctx)
		}
	case w.Gaps().Silent != "" || w.Gaps().Lossy:
		err = o.rescan(ctx)
		o.lossy = time.Time{}
	default:
		err = o.rescanFolders(ctx, o.r.widen(w))
	}
	now := time.Now()
	o.pace.scanned(now, now.Sub(start), o.found != before)
	return err
}

// rescanFolders scans some folders with all that is below them.
func (o *observer) rescanFolders(ctx context.Context, folders []string) error {
	if len(folders) == 0 {
		return nil
	}
	if o.reload != nil && o.touchesRules(watch.Batch{Paths: folders}) {
		if err := o.reload(ctx); err != nil {
			return err
		}
	}
	opts := tree.Options{Filter: o.r.rules.Load().judge, Skipped: o.r.skipped}
	changed, err := o.r.index.ScanFolders(ctx, o.r.now.Load().root, folders, opts)
	o.note(changed)
	return err
}

// widen tries to watch the folders that are not watched, tells once why they
// are not, and returns those that need a scan.
func (r *replica) widen(w *watch.Watcher) []string {
	g := w.Widen()
	// A tree that is being filled needs more and more.
	if g.Limit != nil && g.Limit.Needed > 2*r.needed {
		r.needed = g.Limit.Needed
		r.warn(fmt.Sprintf("%s; until then the folders that are left (%d) and what is below them are scanned every few seconds; raise the limit: %s",
			g.Limit, len(g.Folders), g.Limit.Hint()))
	}
	return g.Folders
}

// watchAgain tries to get a watcher for a root that has none; a scan must follow.
func (r *replica) watchAgain() error {
	w, err := r.watch(true)
	if w == nil || err != nil {
		return err
	}
	next := *r.now.Load()
	next.watcher, next.later = w, true
	r.now.Store(&next)
	return nil
}
