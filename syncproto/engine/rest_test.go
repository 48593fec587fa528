package engine

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

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
	defer unhush(t)
	runtime.KeepAlive(make([]byte, 64<<20))
	must(t, o.rest())
	if spare := readHeap().spare(); spare > 32<<20 {
		t.Errorf("%d bytes are not given back", spare)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, o.rest())
	if runtime.ReadMemStats(&after); after.NumGC != before.NumGC {
		t.Errorf("a rest after nothing collects garbage %d times", after.NumGC-before.NumGC)
	}
}

// TestHush has the heap grow until that ends the hush: then the settings are
// what they were.
func TestHush(t *testing.T) {
	unhush(t)
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	limit := debug.SetMemoryLimit(-1)
	ended := make(chan struct{}, 2)
	hush(func() { ended <- struct{}{} })
	hush(func() { t.Error("it was hushed twice") })
	if percent := debug.SetGCPercent(-1); percent != -1 {
		t.Errorf("collections go on at %d %%", percent)
	}
	for i := 0; i < 1024 && len(ended) == 0; i++ {
		runtime.KeepAlive(make([]byte, 1<<20))
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the heap may grow without bound")
	}
	if percent := debug.SetGCPercent(70); percent != 70 {
		t.Errorf("afterwards garbage is collected at %d %%", percent)
	}
	if now := debug.SetMemoryLimit(-1); now != limit {
		t.Errorf("afterwards the limit is %d, not %d", now, limit)
	}
}

// unhush ends a hush, which would outlast the test.
func unhush(t *testing.T) {
	ended := make(chan struct{})
	runtime.AddCleanup(new([64]byte), func(int) { close(ended) }, 0)
	runtime.GC()
	select {
	case <-ended:
	case <-t.Context().Done():
	}
}
