// Package leak finds what a test leaves behind.
package leak

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Goroutines fails the test if goroutines are left whose stack is one of ours.
// It waits up to a minute for them: some end a moment after what they worked for.
func Goroutines(t testing.TB, ours func(stack string) bool) {
	t.Helper()
	// The runtime tells no event when a goroutine ends.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(time.Minute); ; {
		left := goroutines(ours)
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Errorf("left behind:\n%s", strings.Join(left, "\n\n"))
			return
		}
	}
}

// goroutines returns the stacks that are ours.
func goroutines(ours func(stack string) bool) (stacks []string) {
	const size = 8 << 20
	text := make([]byte, size)
	text = text[:runtime.Stack(text, true)]
	for stack := range strings.SplitSeq(string(text), "\n\n") {
		if ours(stack) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// Runs tells whether a goroutine runs code of one of the packages, which are
// given by their path in the module, and is not the test itself.
func Runs(stack string, packages ...string) bool {
	return !strings.Contains(stack, "\ntesting.tRunner(") && slices.ContainsFunc(packages, func(p string) bool {
		return strings.Contains(stack, "kubectl-okteto/"+p+".")
	})
}
