package engine

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

// TestFlightGivesMemoryBack lets many changes fly and land: a map does not
// shrink by itself, and up runs on for hours.
func TestFlightGivesMemoryBack(t *testing.T) {
	const many = 50_000
	changes := make([]merge.Change, many)
	for i := range changes {
		changes[i].Path = fmt.Sprintf("folder-%d/file-%d", i%1000, i)
	}
	f := newFlight(newLag())
	before := heapBytes()
	f.add(merge.Pod, changes)
	flying := heapBytes() - before
	for i := range changes {
		f.land(merge.Pod, &changes[i])
	}
	if left := heapBytes() - before; left > flying/10 {
		t.Errorf("%d bytes are held after the landing of what took %d", left, flying)
	}
	runtime.KeepAlive(changes)
	runtime.KeepAlive(f)
}

// heapBytes returns what is reachable on the heap.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
