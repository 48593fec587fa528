package manifest

import (
	"slices"
	"strings"
)

// Nearest returns the known names that a mistyped name most likely means: those
// with the fewest edits (a letter added, dropped, replaced or swapped with its
// neighbour), letter case aside, as long as these are at most a third of the
// name; else those that the name begins. It is empty when nothing is near, and
// sorted.
func Nearest(name string, known []string) []string {
	limit := max(1, len(name)/3)
	var near []string
	for _, k := range known {
		// A name that long is no slip of a finger, and the table for it
		// would be large.
		if len(k) > len(name)+limit || len(name) > len(k)+limit {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if d > limit || d >= len(k) {
			continue
		}
		if d < limit {
			limit, near = d, nil
		}
		near = append(near, k)
	}
	const shortest = 3 // letters that tell a beginning from chance
	if len(near) == 0 && len(name) >= shortest {
		for _, k := range known {
			if strings.HasPrefix(k, name) {
				near = append(near, k)
			}
		}
	}
	slices.Sort(near)
	return slices.Compact(near)
}

// distance is the optimal string alignment distance of two byte strings.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := 1
			if a[i-1] == b[j-1] {
				replace = 0
			}
			best := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				best = min(best, rows[i-2][j-2]+1)
			}
			rows[i][j] = best
		}
	}
	return rows[len(a)][len(b)]
}
