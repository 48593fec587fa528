package engine

import (
	"slices"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

// backlog holds lists of changes that wait to be sent, small ones before large
// ones.
type backlog struct {
	mu      sync.Mutex
	urgent  [][]merge.Change
	patient [][]merge.Change
	latest  uint64 // generation of what was pushed last
	whole   uint64 // generation up to which nothing waits
}

func (b *backlog) push(list []merge.Change, generation uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest = generation
	if len(list) <= urgentChanges {
		b.urgent = append(b.urgent, list)
	} else {
		b.patient = append(b.patient, list)
	}
}

// take returns the list whose turn it is; false when there is none.
func (b *backlog) take() ([]merge.Change, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, queue := range []*[][]merge.Change{&b.urgent, &b.patient} {
		if len(*queue) > 0 {
			list := (*queue)[0]
			*queue = slices.Delete(*queue, 0, 1) // what was taken must not stay reachable
			return list, true
		}
	}
	return nil, false
}

// rest takes back what is left of a list, and returns the generation up to
// which everything has been taken.
func (b *backlog) rest(list []merge.Change) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(list) > 0 {
		b.patient = append([][]merge.Change{list}, b.patient...)
	}
	if len(b.urgent) == 0 && len(b.patient) == 0 {
		b.whole = b.latest
	}
	return b.whole
}
