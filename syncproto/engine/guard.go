package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

// Limits of what may be deleted without asking. Deletes are counted over a
// window, because one command may reach sync in many batches.
const (
	guardEntries = 1000 // never more than this
	guardFloor   = 10   // a smaller number passes, however small the tree is
	guardWindow  = 10 * time.Second
)

// guardHint says what may be done about a guard.
const guardHint = ": put them back where they are missing, or let it pass with 'kubectl okteto sync resume'; " +
	"'kubectl okteto sync undo' brings them back after that"

// guard counts what was deleted on one side of late.
type guard struct {
	since time.Time
	size  int // entries that there were then
	count int
}

// admit judges the changes for one side, whose tree holds size entries, and
// returns why they must not go ahead, or "" after counting them. elsewhere
// reports whether a content still exists on the side that lost it: then it was
// moved, not deleted.
func (g *guard) admit(changes []merge.Change, size int, now time.Time, elsewhere func(syncproto.Digest) bool) string {
	var lost, dirs, moved, made int
	for i := range changes {
		c := &changes[i]
		switch {
		case c.Op != syncproto.OpDelete:
			made++
		case c.Expect.Type == syncproto.EntryDir:
			dirs++
		case elsewhere(c.Expect.Digest):
			moved++
		default:
			lost++
		}
	}
	n := lost
	if moved == 0 {
		n += dirs // else they moved with what was in them
	}
	if n == 0 && lost+dirs+moved < size {
		return ""
	}
	if now.Sub(g.since) > guardWindow {
		g.since, g.size, g.count = now, size, 0
	}
	total := g.count + n
	// What was let pass may not have landed yet, so that it is counted in size
	// still; what came since then is not in the former one.
	whole := max(size, g.size)
	switch {
	case lost+dirs+moved >= size && size > 1 && made == 0:
		return fmt.Sprintf("all %d entries would be deleted", size)
	case total > guardEntries, total >= guardFloor && total > whole/2:
		return fmt.Sprintf("%d of %d entries would be deleted", total, whole)
	}
	g.count = total
	return ""
}

// admit applies the guards to a plan.
func (rc *reconciler) admit(plan *merge.Plan, now time.Time) bool {
	deletes := func(list []merge.Change) bool {
		return slices.ContainsFunc(list, func(c merge.Change) bool { return c.Op == syncproto.OpDelete })
	}
	if !deletes(plan.Pod) && !deletes(plan.Laptop) {
		rc.guardStop = ""
		return true
	}
	if !rc.s.r.attached() {
		rc.guardStop = "the folder " + rc.s.r.cfg.Root + " is gone"
		return false
	}
	if rc.released {
		rc.guardStop, rc.released = "", false
		// What was let pass does not count against its stragglers.
		rc.guards = [2]guard{{since: now}, {since: now}}
		return true
	}
	before := rc.guards
	size := rc.s.r.index.Size()
	why := rc.guards[merge.Pod].admit(plan.Pod, rc.remote.Len(), now, rc.moved(plan.Pod, rc.s.r.index.FindContent))
	if why != "" {
		rc.guards, rc.guardStop = before, why+" in the pod"+guardHint
		return false
	}
	why = rc.guards[merge.Laptop].admit(plan.Laptop, size, now, rc.moved(plan.Laptop, rc.findRemote))
	if why != "" {
		rc.guards, rc.guardStop = before, why+" on the laptop"+guardHint
		return false
	}
	rc.guardStop = ""
	return true
}

// moved returns a function that tells whether a content that changes delete
// still exists on the side that deleted it.
func (rc *reconciler) moved(changes []merge.Change, find func(map[syncproto.Digest]bool) map[syncproto.Digest]string) func(syncproto.Digest) bool {
	want := map[syncproto.Digest]bool{}
	deletes := 0
	for i := range changes {
		if changes[i].Op == syncproto.OpDelete {
			want[changes[i].Expect.Digest] = true
			deletes++
		}
	}
	if deletes < guardFloor {
		return func(syncproto.Digest) bool { return false }
	}
	found := find(want)
	return func(d syncproto.Digest) bool { return found[d] != "" }
}

// findRemote is Index.FindContent for the follower's tree.
func (rc *reconciler) findRemote(want map[syncproto.Digest]bool) map[syncproto.Digest]string {
	found := map[syncproto.Digest]string{}
	for p, e := range rc.remote.All() {
		if e.Type == syncproto.EntryFile && want[e.Digest] {
			found[e.Digest] = p
		}
	}
	return found
}
