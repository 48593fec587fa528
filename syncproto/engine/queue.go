package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

// queue holds plans for the laptop. It has no bound, so that the loop never
// waits for the disk; its length is that of what the plans concern.
type queue struct {
	mu    sync.Mutex
	lists [][]merge.Change
	more  chan struct{} // holds one token while there are lists
}

func newQueue() *queue { return &queue{more: make(chan struct{}, 1)} }

func (q *queue) push(list []merge.Change) {
	q.mu.Lock()
	q.lists = append(q.lists, list)
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// pop waits for changes, and takes the next ones as far as they make a landing:
// those of several lists, or a part of one.
func (q *queue) pop(ctx context.Context) ([]merge.Change, error) {
	select {
	case <-q.more:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []merge.Change
	for bytes := int64(0); len(q.lists) > 0; {
		list := q.lists[0]
		n := 0
		for n < len(list) && len(taken)+n < batchChanges && bytes < landingBytes {
			if askedEarly(&list[n].Change) {
				bytes += list[n].Entry.Size
			}
			n++
		}
		taken = append(taken, list[:n]...)
		if n < len(list) {
			// What was taken must not stay reachable.
			clear(list[:n])
			q.lists[0] = list[n:]
			break
		}
		q.lists = slices.Delete(q.lists, 0, 1)
	}
	if len(q.lists) > 0 {
		q.signal()
	}
	return taken, nil
}
