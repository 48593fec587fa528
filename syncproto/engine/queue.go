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

// pop waits for a list.
func (q *queue) pop(ctx context.Context) ([]merge.Change, error) {
	select {
	case <-q.more:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.lists[0]
	q.lists = slices.Delete(q.lists, 0, 1) // what was taken must not stay reachable
	if len(q.lists) > 0 {
		q.signal()
	}
	return list, nil
}
