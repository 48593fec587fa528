//go:build linux

package runner

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// A ring is a stream of which the end is kept, for any writes and reads; what
// is kept is all but a block of what it may keep, and the budget is respected.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		extra := rapid.Int64Range(0, 6).Draw(t, "budget")
		b := &budget{}
		b.left.Store(extra)
		rings := []*ring{{budget: b, most: 8}, {budget: b, most: 8}}
		var wrote [2][]byte
		next := byte(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "ring")
			r := rings[i]
			if rapid.IntRange(0, 20).Draw(t, "step") == 0 {
				r.release()
			}
			p := make([]byte, rapid.IntRange(0, 100_000).Draw(t, "size"))
			for j := range p {
				p[j] = next
				next = next*5 + 3
			}
			before := r.begin
			r.write(p)
			wrote[i] = append(wrote[i], p...)
			if r.end != int64(len(wrote[i])) {
				t.Fatalf("the end is %d after %d bytes", r.end, len(wrote[i]))
			}
			if kept := r.end - r.begin; r.begin > before && kept < (ownBlocks-1)*blockSize {
				t.Fatalf("only %d bytes are kept", kept)
			}
			from := r.begin + rapid.Int64Range(0, r.end-r.begin).Draw(t, "from")
			got := make([]byte, rapid.IntRange(0, 200_000).Draw(t, "read"))
			n := r.read(from, got)
			if want := min(int64(len(got)), r.end-from); int64(n) != want || !bytes.Equal(got[:n], wrote[i][from:from+want]) {
				t.Fatalf("read %d bytes at %d, want %d, or others", n, from, want)
			}
			var used int64
			for _, r := range rings {
				used += int64(max(0, len(r.blocks)-ownBlocks))
			}
			if len(r.blocks) > 8 || b.left.Load() != extra-used || b.left.Load() < 0 {
				t.Fatalf("%d blocks, %d of the budget of %d are left", len(r.blocks), b.left.Load(), extra)
			}
		}
	})
}
