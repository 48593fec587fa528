package engine

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/watch"
)

// TestRestSaves waits until what an observer saw is on disk, and then for the
// next of it: a rest is followed by others.
func TestRestSaves(t *testing.T) {
	p := newPair(t)
	p.boot()
	r := p.leader.r
	must(t, r.prepare(t.Context(), nil))
	defer r.close()
	state, err := watch.New(p.leaderState, watch.Options{})
	must(t, err)
	defer state.Close()
	o := newObserver(r)
	o.awake = 0
	o.changed = func([]string) {}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- o.run(ctx) }()
	for _, name := range []string{"first", "second"} {
		write(t, p.laptop, name, "x")
		for {
			if x, _ := tree.LoadIndex(p.leaderState); x.Get(name).Exists() {
				break
			}
			select {
			case <-state.Batches():
			case <-t.Context().Done():
				t.Fatalf("%s is not saved", name)
			}
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRestGivesMemoryBack has much memory used and let go.
func TestRestGivesMemoryBack(t *testing.T) {
	p := newPair(t)
	p.boot()
	o := newObserver(p.leader.r)
	runtime.KeepAlive(make([]byte, 64<<20))
	runtime.GC()
	held := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	must(t, o.rest())
	if metrics.Read(held); held[0].Value.Uint64() > 32<<20 {
		t.Errorf("%d bytes are free and not given back", held[0].Value.Uint64())
	}
	before := collections()
	must(t, o.rest())
	if after := collections(); after != before {
		t.Errorf("a rest after nothing collects garbage %d times", after-before)
	}
}
