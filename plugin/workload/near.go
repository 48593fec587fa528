package workload

import (
	"slices"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
)

// maxNear is how many names an error offers.
const maxNear = 3

// near returns the names that resemble the wanted one: mistyped, or a part of
// the other. When none does, or none is wanted, the first few there are.
func near(want string, names []string) []string {
	const shortest = 3 // letters that tell a part from chance
	slices.Sort(names)
	names = slices.Compact(names)
	best := manifest.Nearest(want, names)
	for _, n := range names {
		part := len(want) >= shortest && strings.Contains(n, want) || len(n) >= shortest && strings.Contains(want, n)
		if want != "" && part && !slices.Contains(best, n) {
			best = append(best, n)
		}
	}
	if len(best) == 0 {
		best = names
	}
	return best[:min(maxNear, len(best))]
}
