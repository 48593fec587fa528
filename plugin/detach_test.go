package plugin

import (
	"slices"
	"testing"
)

// However --detach is written, the process in the background is told that it is
// the one, and starts no other.
func TestInsideArgs(t *testing.T) {
	for _, args := range [][]string{
		{"--detach"}, {"--detach=1"}, {"--detach=T", "api"}, {"api", "--detach", "--", "sh", "--detach=false"},
	} {
		cmd := newUpCmd(&Factory{})
		inside := insideArgs(args)
		if err := cmd.ParseFlags(inside); err != nil {
			t.Fatal(err)
		}
		if set, err := cmd.Flags().GetBool(flagBackground); err != nil || !set {
			t.Errorf("%q is not the process in the background: %v", inside, err)
		}
		if without := slices.DeleteFunc(slices.Clone(inside), func(a string) bool { return a == "--"+flagBackground }); !slices.Equal(without, args) {
			t.Errorf("%q became %q", args, inside)
		}
	}
}
