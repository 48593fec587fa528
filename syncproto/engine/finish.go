package engine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// Waits before a change that failed is tried again; they double each time.
const (
	retryContent = 20 * time.Millisecond // the file was being written
	retryFailure = time.Second
	retryMost    = 30 * time.Second
)

// hold keeps a path from being tried again too soon.
type hold struct {
	code     syncproto.Code
	side     merge.Side
	text     string
	attempts int
	until    time.Time
}

// acked takes the follower's answer to a batch.
func (rc *reconciler) acked(changes []merge.Change, results []syncproto.Result) error {
	for i := range changes {
		c, res := &changes[i], results[i]
		res.Text = plain(res.Text)
		if !rc.remote.Get(c.Path).Same(res.Entry) || !res.Entry.Exists() {
			if err := rc.remote.set(c.Path, res.Entry); err != nil {
				return err
			}
		}
		if err := rc.finish(merge.Pod, *c, res); err != nil {
			return err
		}
	}
	return rc.s.r.unlessFull(rc.s.leader.base.Flush())
}

// finish takes the fate of one change. The caller flushes the base.
func (rc *reconciler) finish(side merge.Side, c merge.Change, res syncproto.Result) error {
	rc.flight.land(side, &c)
	rc.s.leader.traffic.landed(c.Path)
	if res.Code == syncproto.CodeOK {
		delete(rc.held, c.Path)
		rc.s.leader.count(&c)
		rc.s.r.cfg.emit(Event{Kind: Applied, Path: c.Path, Detail: side.String()})
		if c.Agree {
			rc.s.leader.base.Note(c.Path, c.Entry)
		}
		switch {
		case !rc.settled(c.Path):
			rc.dirty[c.Path] = true
		case !rc.dirty[c.Path] && rc.flight.paths[c.Path] == 0:
			rc.flight.lag.drop(c.Path)
		}
		if dir := tree.Parent(c.Path); rc.left[dir] {
			delete(rc.left, dir) // it may be empty by now
			rc.dirty[dir] = true
		}
		rc.noteCopy(c.Path)
		if c.Agree { // else it is half done: the other side is to follow
			rc.landed(c.Path)
		}
		return nil
	}
	switch res.Code {
	case syncproto.CodeNotEmpty:
		// The folder stays, for what sync does not see in it, and so it comes
		// back on the side that deleted it. In a mirror it is left alone.
		if mirror, ok := rc.s.r.cfg.Mode.Mirror(); ok && mirror == side {
			if c.Entry.Exists() || rc.otherSide(side, c.Path).Exists() {
				break // something else shall be there
			}
			rc.left[c.Path] = true
		}
		rc.dirty[c.Path] = true
		return rc.s.r.unlessFull(rc.s.leader.base.Agree([]syncproto.Item{{Path: c.Path}}))
	case syncproto.CodeChanged:
		if side == merge.Pod && !res.Entry.Same(c.Expect) || side == merge.Laptop && !rc.s.r.entry(c.Path).Same(c.Expect) {
			rc.dirty[c.Path] = true // we know better now
			return nil
		}
	}
	rc.hold(side, &c, res)
	return nil
}

// settled reports whether both sides and the base have the same entry at p.
func (rc *reconciler) settled(p string) bool {
	agreed := rc.s.base(p)
	return rc.remote.Get(p).Same(agreed) && rc.s.r.entry(p).Same(agreed)
}

// entry returns what a side has at p, as far as is known.
func (rc *reconciler) entry(side merge.Side, p string) syncproto.Entry {
	if side == merge.Laptop {
		return rc.s.r.entry(p)
	}
	return rc.remote.Get(p)
}

// otherSide returns what the side across from side has at p.
func (rc *reconciler) otherSide(side merge.Side, p string) syncproto.Entry {
	return rc.entry(merge.Pod-side, p)
}

// hold puts a path aside for a while.
func (rc *reconciler) hold(side merge.Side, c *merge.Change, res syncproto.Result) {
	h := rc.held[c.Path]
	if h.code != res.Code {
		h = hold{code: res.Code}
	}
	h.side, h.text = side, res.Text
	wait := retryFailure
	if res.Code == syncproto.CodeContent || res.Code == syncproto.CodeChanged {
		wait = retryContent
	}
	wait = min(wait<<min(h.attempts, 12), retryMost)
	h.attempts++
	h.until = time.Now().Add(wait)
	rc.held[c.Path] = h
	stops := res.Code == syncproto.CodeDiskFull || res.Code == syncproto.CodeReadOnly
	if h.attempts == 1 && wait >= retryFailure && !stops {
		rc.s.r.tell(note{Warning, c.Path, where(side) + ": " + res.Text})
	}
}

// where names a side in a text for people.
func where(side merge.Side) string {
	if side == merge.Pod {
		return "in the pod"
	}
	return "on the laptop"
}

// retry returns a channel that delivers when the first held path is due.
func (rc *reconciler) retry() <-chan time.Time {
	var first time.Time
	for p, h := range rc.held {
		if !rc.dirty[p] && rc.flight.paths[p] == 0 && (first.IsZero() || h.until.Before(first)) {
			first = h.until
		}
	}
	if first.IsZero() {
		return nil
	}
	return time.After(time.Until(first))
}

// unhold makes the paths dirty whose time has come. They stay held, so that
// the next wait is longer should they fail again.
func (rc *reconciler) unhold() {
	now := time.Now()
	for p, h := range rc.held {
		if rc.flight.paths[p] == 0 && !h.until.After(now) {
			rc.dirty[p] = true
		}
	}
}

// diskStop returns why nothing can be written on a side, if that is so.
func (rc *reconciler) diskStop() string {
	for _, h := range rc.held {
		switch h.code {
		case syncproto.CodeDiskFull:
			return fmt.Sprintf("the disk is full %s: sync goes on when there is room", where(h.side))
		case syncproto.CodeReadOnly:
			return fmt.Sprintf("the folder is read-only %s: sync goes on when it can be written", where(h.side))
		}
	}
	return ""
}

// heldTexts describes the held paths for a status. Those that only wait for a
// writer to finish are not worth a word.
func (rc *reconciler) heldTexts() []string {
	var list []string
	for _, p := range slices.Sorted(maps.Keys(rc.held)) {
		if h := rc.held[p]; h.code != syncproto.CodeContent && h.code != syncproto.CodeChanged {
			list = append(list, fmt.Sprintf("%s: %s: %s", p, where(h.side), h.text))
		}
	}
	return append(list, rc.names.texts()...)
}
