package convergence

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// runsInPassing is how many runs a plain go test makes.
const runsInPassing = 200

// runLimit is when a run counts as hung. It is far above what the slowest takes
// on a busy machine.
const runLimit = 60 * time.Second

// failuresMost is how many failures end a test.
const failuresMost = 5

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// scratch returns a folder in memory where there is one.
func scratch(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	dir, err := os.MkdirTemp(memory, "convergence")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestConvergence makes RUNS runs from SEED on. Without a SEED it is drawn from the
// clock and printed.
func TestConvergence(t *testing.T) {
	first := number(t, "SEED", uint64(time.Now().UnixNano())>>10)
	runs := uint64(runsInPassing)
	if os.Getenv("SEED") != "" {
		runs = 1
	}
	runs = number(t, "RUNS", runs)
	dir := scratch(t)
	t.Logf("%d runs from SEED=%d in %s", runs, first, dir)
	var next, failed atomic.Uint64
	var wg sync.WaitGroup
	for range min(runs, uint64(8*runtime.GOMAXPROCS(0))) {
		wg.Go(func() {
			for n := next.Add(1); n <= runs && failed.Load() < failuresMost; n = next.Add(1) {
				p := newPlan(first + n - 1)
				if err := perform(p, dir, runLimit); err != nil {
					failed.Add(1)
					t.Errorf("SEED=%d: %v\n%s", p.seed, err, shrink(p, dir))
				}
			}
		})
	}
	wg.Wait()
}
