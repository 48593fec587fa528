//go:build linux

package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupDir is where a container sees the files of its own control groups.
const cgroupDir = "/sys/fs/cgroup"

// memory watches for processes that the kernel kills for their memory. Of that
// the process itself says no more than SIGKILL.
type memory struct {
	// events is the file that counts the kills, limit the one that says how
	// much memory the container may use: cgroups(7), of either version.
	events, limit string
	// before is the count at the beginning.
	before int
}

// watchMemory begins to watch the control group below root. Where the kernel
// does not tell, nothing will ever be found.
func watchMemory(root string) memory {
	m := memory{events: filepath.Join(root, "memory.events"), limit: filepath.Join(root, "memory.max")}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		v1 := filepath.Join(root, "memory")
		m = memory{events: filepath.Join(v1, "memory.oom_control"), limit: filepath.Join(v1, "memory.limit_in_bytes")}
	}
	m.before = m.kills()
	return m
}

// kills returns how many processes of the container the kernel has killed for
// their memory.
func (m memory) kills() int {
	events, err := os.ReadFile(m.events)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(events)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(count))
			return n
		}
	}
	return 0
}

// explain says of a command that SIGKILL ended, or a child of which it passes
// the status on, that it was the kernel and why.
func (m memory) explain(e Exit) Exit {
	if e.Status != 128+int(unix.SIGKILL) || m.kills() == m.before {
		return e
	}
	e.Message = "killed by the kernel: out of memory"
	// Without a limit, version 2 says "max" and version 1 nearly 2^63.
	limit, err := os.ReadFile(m.limit)
	if err != nil {
		return e
	}
	const unlimited = 1 << 62
	if n, err := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil && n < unlimited {
		e.Message += fmt.Sprintf(" (limit %s)", mebibytes(n))
	}
	return e
}

// mebibytes renders a limit as manifests have it, to a tenth of a mebibyte.
func mebibytes(n int64) string {
	return strings.TrimSuffix(strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64), ".0") + " MiB"
}
