package engine

import (
	"context"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"golang.org/x/sync/errgroup"
)

// aheadBytes bounds the frames that are kept for a connection to come.
const aheadBytes = 64 << 20

// ahead are the first batches of a session, packed before there was a
// connection. They are a guess: that the pod has nothing, as a fresh one does.
// Where it is wrong the batches are packed again.
type ahead []*parcel

// take returns the batch of these changes if it is the next one.
func (a *ahead) take(id, generation uint64, changes []merge.Change) *parcel {
	if len(*a) == 0 {
		return nil
	}
	p := (*a)[0]
	(*a)[0] = nil // it and its frame must not stay reachable
	*a = (*a)[1:]
	if p.batch.ID != id || p.batch.Generation != generation || !sameChanges(p.changes, changes) {
		*a = nil
		return nil
	}
	return p
}

// sameChanges compares changes that bring no content yet.
func sameChanges(a, b []merge.Change) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := &a[i], &b[i]
		if x.Op != y.Op || x.Path != y.Path || x.Entry != y.Entry || x.Expect != y.Expect ||
			x.From != y.From || x.Keep != y.Keep || x.First != y.First || x.Agree != y.Agree {
			return false
		}
	}
	return true
}

// idle is what a leader does while no connection wants it.
type idle struct {
	packed ahead // for the next session; who has the turn uses it

	mu      sync.Mutex
	waiting int                // connections that want their turn
	stop    context.CancelFunc // ends what is done meanwhile; nil for nothing
}

// wanted counts a connection that wants its turn, or does no more.
func (i *idle) wanted(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting += n
	if i.waiting > 0 && i.stop != nil {
		i.stop()
	}
}

// begin returns a context that ends when a connection wants its turn.
func (i *idle) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stop = stop
	if i.waiting > 0 {
		stop()
	}
	return ctx, stop
}

// packAhead packs what a first meeting with an empty pod will send, until the
// session begins or there is enough. The caller has the turn.
func (l *Leader) packAhead(ctx context.Context) {
	l.idle.packed = nil
	if l.r.cfg.Mode == merge.Pull || l.isPaused() {
		return
	}
	ctx, stop := l.idle.begin(ctx)
	defer stop()
	enc, err := syncproto.NewEncoder()
	if err != nil || ctx.Err() != nil {
		return // the session will say why
	}
	l.idle.packed = l.r.packAll(ctx, enc, l.firstPlan())
}

// firstPlan returns what a pod that has nothing would be sent.
func (l *Leader) firstPlan() []merge.Change {
	paths := make([]string, 0, l.r.index.Size())
	l.r.index.Each(func(p string, _ tree.Entry) bool {
		paths = append(paths, p)
		return true
	})
	nothing := func(string) tree.Entry { return tree.Entry{} }
	plan := merge.Reconcile(merge.Input{
		Base: nothing, Laptop: l.r.entry, Pod: nothing, Paths: paths, First: true, Now: l.r.cfg.now(),
		NoLaptopModes: !tree.TracksModes, Mode: l.r.cfg.Mode,
	})
	fetchedLast(plan.Pod)
	return plan.Pod
}

// packAll packs the batches of a session's first plan, in parallel and in their
// order, as long as ctx and aheadBytes allow.
func (r *replica) packAll(ctx context.Context, enc *syncproto.Encoder, list []merge.Change) ahead {
	var packed ahead
	kept := 0
	for id := uint64(1); len(list) > 0 && kept < aheadBytes; {
		some := make([]*parcel, 0, tree.Workers())
		for len(list) > 0 && len(some) < cap(some) {
			n := batchOf(list, false)
			p := &parcel{changes: list[:n:n], batch: syncproto.Batch{ID: id}}
			if list = list[n:]; len(list) == 0 {
				p.batch.Generation = 1
			}
			some = append(some, p)
			id++
		}
		var g errgroup.Group
		for _, p := range some {
			g.Go(func() error { p.pack(r, enc); return nil })
		}
		_ = g.Wait() // its functions return nil
		for _, p := range some {
			if ctx.Err() != nil || p.err != nil || len(p.missing) > 0 {
				return packed
			}
			kept += p.keep()
			packed = append(packed, p)
		}
	}
	return packed
}

// keep makes a packed parcel ready to be sent later, and returns the bytes that
// this takes.
func (p *parcel) keep() int {
	p.ready, p.content, p.batch.Changes = true, nil, nil
	return p.frame.Keep()
}
