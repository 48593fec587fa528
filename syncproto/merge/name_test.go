package merge

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestOriginalOfACopy takes apart what copyName put together.
func TestOriginalOfACopy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir := rapid.SampledFrom([]string{"", "a/", "a.b/.c/"}).Draw(t, "dir")
		name := rapid.StringMatching(`[a-z.]{0,3}[a-z]((\.conflict-pod-20240101-000000)?\.[a-z]{1,4})?`).Draw(t, "name")
		side := rapid.SampledFrom([]Side{Laptop, Pod}).Draw(t, "side")
		n := 0
		taken := func(string) bool { n++; return n < rapid.IntRange(1, 3).Draw(t, "taken") }
		c := copyName(dir+name, side, time.Unix(1e9, 0), taken)
		if original, of := Original(c); original != dir+name || of != side.String() {
			t.Fatalf("the original of %q is %q of %q, want %q of %q", c, original, of, dir+name, side)
		}
	})
	for _, p := range []string{"a", "a.conflict-pod-now", "a.conflict-me-20240101-000000", strings.Repeat("x", 300)} {
		if original, side := Original(p); original != "" || side != "" {
			t.Errorf("%q is a copy of %q, %q", p, original, side)
		}
	}
}
