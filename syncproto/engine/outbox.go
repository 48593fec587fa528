package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"golang.org/x/sync/errgroup"
)

const (
	// batchBytes is when a batch is large enough to go.
	batchBytes = syncproto.MaxPayload / 2
	// batchChanges bounds the changes of a batch, so that their results fit
	// one ack.
	batchChanges = 200
	// urgentChanges is the size up to which a list overtakes the longer ones
	// that wait: a save during the first sync does not stand in line.
	urgentChanges = 64
	// gentleBytes and gentleChanges are what batchBytes and batchChanges are while
	// sync gives way.
	gentleBytes   = batchBytes / 8
	gentleChanges = 30
	// packers is how many batches are loaded and compressed ahead of the one
	// that is being sent.
	packers = 3
)

// outbox sends changes to the follower: as many batches ahead as the window
// allows, small lists before large ones. Batches are loaded and compressed by a
// few goroutines at once and leave in their order.
type outbox struct {
	// config
	r    *replica
	l    *link
	fail func(c *merge.Change, why string) // the change was not sent
	// state
	waiting backlog
	more    chan struct{} // holds one token while something waits
	window  chan struct{} // one token for each batch without ack
	eased   chan struct{} // holds one token when the window has become emptier
	parcels sync.Pool     // of *parcel
	ahead   ahead         // batches that are packed already

	mu   sync.Mutex
	next uint64
	sent map[uint64][]merge.Change
}

func newOutbox(r *replica, l *link, packed ahead) *outbox {
	return &outbox{
		r: r, l: l, ahead: packed,
		more:    make(chan struct{}, 1),
		window:  make(chan struct{}, syncproto.WindowBatches),
		eased:   make(chan struct{}, 1),
		parcels: sync.Pool{New: func() any { return &parcel{} }},
		sent:    map[uint64][]merge.Change{},
	}
}

// push queues changes. Those of a later call may be sent first, so they must
// not depend on each other.
func (b *outbox) push(changes []merge.Change, generation uint64) {
	b.waiting.push(changes, generation)
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (b *outbox) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	packing := make(chan chan *parcel, packers) // in the order of sending
	g.Go(func() error { return b.cutAll(ctx, packing) })
	g.Go(func() error { return b.sendAll(ctx, packing) })
	return g.Wait()
}

// cutAll cuts what is queued into batches and has them packed.
func (b *outbox) cutAll(ctx context.Context, packing chan<- chan *parcel) error {
	for {
		select {
		case <-b.more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for {
			if err := b.enter(ctx); err != nil {
				return err
			}
			p, ok := b.cut()
			if !ok {
				b.leave()
				break
			}
			packed := make(chan *parcel, 1)
			select {
			case packing <- packed:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			go func() {
				p.pack(b.r, b.l.conn.Encoder)
				packed <- p
			}()
		}
	}
}

// enter waits for room in the window: while sync gives way, for an empty one.
func (b *outbox) enter(ctx context.Context) error {
	for len(b.window) > 0 && b.r.cfg.givesWay() {
		select {
		case <-b.eased:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case b.window <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave makes room in the window.
func (b *outbox) leave() {
	<-b.window
	select {
	case b.eased <- struct{}{}:
	default:
	}
}

// sendAll sends batches in the order in which they were cut.
func (b *outbox) sendAll(ctx context.Context, packing <-chan chan *parcel) error {
	for {
		var p *parcel
		select {
		case packed := <-packing:
			p = <-packed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := b.send(p); err != nil {
			return err
		}
		p.changes = nil
		b.parcels.Put(p)
	}
}

// cut takes the beginning of a list as a batch; false when there is none.
func (b *outbox) cut() (*parcel, bool) {
	list, ok := b.waiting.take()
	if !ok {
		return nil, false
	}
	gentle := b.r.cfg.givesWay()
	n := batchOf(list, gentle)
	generation := b.waiting.rest(list[n:])
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	if gentle {
		b.ahead = nil // they are too large
	}
	if p := b.ahead.take(b.next, generation, list[:n]); p != nil {
		return p, true
	}
	p := b.parcels.Get().(*parcel)
	p.batch = syncproto.Batch{ID: b.next, Generation: generation, Changes: p.batch.Changes[:0]}
	p.changes, p.ready = list[:n:n], false
	return p, true
}

// met drops what was packed for a pod that has nothing: the first meeting is
// over, and took it or did not.
func (b *outbox) met() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead = nil
}

// fetchedLast moves the contents that the follower fetches piece by piece behind
// those that travel with their batch: a batch waits for its slowest change, and
// the others would wait behind it.
func fetchedLast(changes []merge.Change) {
	for i := 0; i < len(changes); {
		end := i
		for end < len(changes) && changes[end].Op == syncproto.OpPut {
			end++
		}
		slices.SortStableFunc(changes[i:end], func(a, b merge.Change) int {
			return cmp.Compare(fetched(&a), fetched(&b))
		})
		i = end + 1
	}
}

func fetched(c *merge.Change) int {
	if c.From == "" && !carriesContent(c) {
		return 1
	}
	return 0
}

// batchOf returns how many of the changes at the beginning of list make a
// batch, or a gentle one.
func batchOf(list []merge.Change, gentle bool) int {
	most, mostBytes := batchChanges, batchBytes
	if gentle {
		most, mostBytes = gentleChanges, gentleBytes
	}
	n, size := 0, 0
	for n < min(len(list), most) {
		c := &list[n]
		cost := len(c.Path) + len(c.From) + len(c.Entry.Target) + len(c.Expect.Target) + 192
		if carriesContent(c) {
			cost += int(c.Entry.Size)
		}
		if n > 0 && size+cost > mostBytes {
			break
		}
		size += cost
		n++
	}
	return n
}

// send sends a packed batch.
func (b *outbox) send(p *parcel) error {
	for i, why := range p.missing {
		b.fail(&p.changes[i], why.Error())
	}
	if p.err != nil {
		return p.err
	}
	if len(p.missing) == len(p.changes) {
		b.leave()
		return nil
	}
	carried := p.changes
	if len(p.missing) > 0 {
		carried = nil
		for i := range p.changes {
			if p.missing[i] == nil {
				carried = append(carried, p.changes[i])
			}
		}
	}
	b.mu.Lock()
	b.sent[p.batch.ID] = carried
	b.mu.Unlock()
	return b.l.conn.WriteFrame(&p.frame)
}

// acked returns the changes of a batch that was acked, and makes room for the
// next one.
func (b *outbox) acked(id uint64, results int) ([]merge.Change, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changes, ok := b.sent[id]
	if !ok || len(changes) != results {
		return nil, fmt.Errorf("%w: an ack that fits no batch", ErrProtocol)
	}
	delete(b.sent, id)
	b.leave()
	return changes, nil
}
