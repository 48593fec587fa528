package leak

import (
	"strings"
	"sync"
	"testing"
)

func TestGoroutines(t *testing.T) {
	ours := func(stack string) bool { return Runs(stack, "test/leak") }
	Goroutines(t, ours) // the test itself is none
	end := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { <-end }) // which another package creates
	found := goroutines(ours)
	if len(found) != 1 || !strings.Contains(found[0], "TestGoroutines") {
		t.Errorf("found %q", found)
	}
	if found := goroutines(func(stack string) bool { return Runs(stack, "test/leaks", "leak") }); len(found) != 0 {
		t.Errorf("found for other packages %q", found)
	}
	close(end)
	Goroutines(t, ours)
}
