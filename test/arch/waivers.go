package arch

import (
	"fmt"
	"strings"
)

// waiver lets one file break one rule.
type waiver struct {
	path, rule string
	reason     string
	line       int
}

// parseWaivers reads lines of the form `path:rule: reason`. Empty lines and
// lines that begin with # say nothing.
func parseWaivers(text string) ([]waiver, error) {
	var waivers []waiver
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 || parts[0] == "" || parts[1] == "" || strings.TrimSpace(parts[2]) == "" {
			return nil, fmt.Errorf("line %d: %q is not of the form path:rule: reason", i+1, line)
		}
		waivers = append(waivers, waiver{parts[0], parts[1], strings.TrimSpace(parts[2]), i + 1})
	}
	return waivers, nil
}

// waive returns the findings that no waiver covers, and the waivers that
// covered nothing.
func waive(found []finding, waivers []waiver) (left []finding, unused []waiver) {
	used := map[int]bool{}
	for _, f := range found {
		waived := false
		for _, w := range waivers {
			if w.path == f.path && w.rule == f.rule {
				used[w.line] = true
				waived = true
			}
		}
		if !waived {
			left = append(left, f)
		}
	}
	for _, w := range waivers {
		if !used[w.line] {
			unused = append(unused, w)
		}
	}
	return left, unused
}
