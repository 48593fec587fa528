package tree

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"pgregory.net/rapid"
)

// TestHasBelow compares the counts of an index with a look at all its paths.
func TestHasBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewIndex()
		path := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 4).Draw(t, "names"), "/")
		})
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			p := path.Draw(t, "path")
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				x.Drop(func(q string, _ Entry) bool { return Under(q, p) })
			case 1, 2:
				x.Set(p, Record{})
			default:
				x.Set(p, Record{Entry: Entry{Type: syncproto.EntryType(rapid.IntRange(1, 2).Draw(t, "type"))}})
			}
			for _, dir := range []string{"a", "b", "a/a", "a/b", "b/a", "a/a/a", p} {
				want := slices.ContainsFunc(x.Tree().Paths(), func(q string) bool { return q != dir && Under(q, dir) })
				if got := x.HasBelow(dir); got != want {
					t.Fatalf("HasBelow(%q) = %v with %q", dir, got, x.Tree().Paths())
				}
			}
		}
	})
}
