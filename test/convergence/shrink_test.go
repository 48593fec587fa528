package convergence

import (
	"fmt"
	"slices"
	"time"
)

const (
	shrinkTime  = 30 * time.Second // spent on a failure
	shrinkLimit = 8 * time.Second  // for one run, else it hangs
	shrinkTries = 12               // runs of a shorter plan before it counts as passing
)

// shrink looks for a shorter plan that fails too, and describes it.
func shrink(p plan, dir string) string {
	deadline := time.Now().Add(shrinkTime)
	fails := func(q plan) error {
		for range shrinkTries {
			if err := perform(q, dir, shrinkLimit); err != nil {
				return err
			}
			if time.Now().After(deadline) {
				break
			}
		}
		return nil
	}
	var last error
	for size := len(p.steps) / 2; size > 0; size /= 2 {
		for at := 0; at < len(p.steps) && time.Now().Before(deadline); {
			q := p
			q.steps = slices.Delete(slices.Clone(p.steps), at, min(at+size, len(p.steps)))
			if err := fails(q); err != nil {
				p, last = q, err
				continue
			}
			at += size
		}
	}
	if last == nil {
		return fmt.Sprintf("no shorter plan failed:\n%s", p)
	}
	return fmt.Sprintf("shortened to\n%swhich fails with: %v", p, last)
}
