package engine

import (
	"fmt"
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

// guard counts what was deleted on one side of late.
type guard struct {
	since time.Time
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
		g.since, g.count = now, 0
	}
	total := g.count + n
	switch {
	case lost+dirs+moved >= size && size > 1 && made == 0:
		return fmt.Sprintf("all %d entries would be deleted", size)
	case total > guardEntries, total >= guardFloor && total > (size+g.count)/2:
		return fmt.Sprintf("%d of %d entries would be deleted", total, size+g.count)
	}
	g.count = total
	return ""
}
