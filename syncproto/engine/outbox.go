package engine

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
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
)

// outbox sends changes to the follower: as many batches ahead as the window
// allows, small lists before large ones.
type outbox struct {
	// config
	r    *replica
	l    *link
	fail func(c *merge.Change, why string) // the change was not sent
	// state
	mu      sync.Mutex
	urgent  [][]merge.Change
	patient [][]merge.Change
	more    chan struct{} // holds one token while there is something to send
	window  chan struct{} // one token for each batch without ack
	next    uint64
	sent    map[uint64][]merge.Change
	latest  uint64 // generation of what was pushed last
	whole   uint64 // generation up to which all was sent
}

func newOutbox(r *replica, l *link) *outbox {
	return &outbox{
		r: r, l: l,
		more:   make(chan struct{}, 1),
		window: make(chan struct{}, syncproto.WindowBatches),
		sent:   map[uint64][]merge.Change{},
	}
}

// push queues changes. Those of a later call may be sent first, so they must
// not depend on each other.
func (b *outbox) push(changes []merge.Change, generation uint64) {
	b.mu.Lock()
	b.latest = generation
	if len(changes) <= urgentChanges {
		b.urgent = append(b.urgent, changes)
	} else {
		b.patient = append(b.patient, changes)
	}
	b.mu.Unlock()
	b.signal()
}

func (b *outbox) signal() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (b *outbox) run(ctx context.Context) error {
	for {
		select {
		case <-b.more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for {
			select {
			case b.window <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			list, ok := b.take()
			if !ok {
				<-b.window
				break
			}
			if err := b.send(list); err != nil {
				return err
			}
		}
	}
}

// take returns a list of which to send the beginning.
func (b *outbox) take() ([]merge.Change, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, queue := range []*[][]merge.Change{&b.urgent, &b.patient} {
		if len(*queue) > 0 {
			list := (*queue)[0]
			*queue = (*queue)[1:]
			return list, true
		}
	}
	return nil, false
}

// putBack returns what did not fit a batch to the head of the line.
func (b *outbox) putBack(list []merge.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.patient = append([][]merge.Change{list}, b.patient...)
}

// send sends one batch with the first changes of list.
func (b *outbox) send(list []merge.Change) error {
	m := &syncproto.Batch{}
	var carried []merge.Change
	size := 0
	for len(list) > 0 && len(carried) < batchChanges {
		c := list[0]
		cost := len(c.Path) + len(c.From) + len(c.Entry.Target) + len(c.Expect.Target) + 192
		if c.Op == syncproto.OpPut && c.From == "" && c.Entry.Size <= syncproto.MaxInline {
			cost += int(c.Entry.Size)
		}
		if len(carried) > 0 && size+cost > batchBytes {
			break
		}
		list = list[1:]
		if err := b.load(&c); err != nil {
			b.fail(&c, err.Error())
			continue
		}
		size += cost
		carried = append(carried, c)
		m.Changes = append(m.Changes, c.Change)
	}
	if len(list) > 0 {
		b.putBack(list)
	}
	if len(carried) == 0 {
		<-b.window
		return nil
	}
	b.mu.Lock()
	b.next++
	m.ID = b.next
	for i := range carried {
		carried[i].Content = nil // sent content need not be remembered
	}
	b.sent[m.ID] = carried
	if len(b.urgent) == 0 && len(b.patient) == 0 {
		b.whole = b.latest
	}
	m.Generation = b.whole
	b.mu.Unlock()
	return b.l.conn.Write(m)
}

// load reads the content that a change carries itself. Content that is not
// the one that was merged is not sent: its own event brings it.
func (b *outbox) load(c *merge.Change) error {
	if c.Op != syncproto.OpPut || c.From != "" || c.Entry.Size > syncproto.MaxInline {
		return nil
	}
	o := b.r.now.Load()
	f, err := tree.OpenFile(o.root, c.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, c.Entry.Size)
	if _, err := io.ReadFull(f, buf); err != nil {
		return err
	}
	if tree.Sum(buf) != c.Entry.Digest {
		return fmt.Errorf("%q: %w", c.Path, tree.ErrBusy)
	}
	c.Inline, c.Content = true, buf
	return nil
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
	<-b.window
	return changes, nil
}
