//go:build linux

package runner

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOutOfMemoryIsExplained(t *testing.T) {
	killed := Exit{Status: 137, Signal: "KILL"}
	for name, test := range map[string]struct {
		files         map[string]string
		events, after string
		exit          Exit
		want          string
	}{
		"version 1": {
			map[string]string{"memory/memory.limit_in_bytes": "67108864\n"},
			"memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
			killed, "killed by the kernel: out of memory (limit 64 MiB)",
		},
		"version 1, no limit": {
			map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"},
			"memory/memory.oom_control", "oom_kill 1\n",
			killed, "killed by the kernel: out of memory",
		},
		"version 2": {
			map[string]string{"cgroup.controllers": "memory\n", "memory.max": "1000000000\n"},
			"memory.events", "low 0\noom 1\noom_kill 1\noom_group_kill 0\n",
			killed, "killed by the kernel: out of memory (limit 953.7 MiB)",
		},
		"version 2, no limit, killed child": {
			map[string]string{"cgroup.controllers": "memory\n", "memory.max": "max\n"},
			"memory.events", "oom_kill 1\n",
			Exit{Status: 137}, "killed by the kernel: out of memory",
		},
		"killed by somebody else": {
			map[string]string{"cgroup.controllers": "memory\n", "memory.max": "1000\n"},
			"memory.events", "oom_kill 0\n", killed, "",
		},
		"another end": {
			map[string]string{"cgroup.controllers": "memory\n", "memory.max": "1000\n"},
			"memory.events", "oom_kill 1\n", Exit{Status: 1}, "",
		},
		"a kernel that does not tell": {nil, "unread", "", killed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write := func(file, content string) {
				t.Helper()
				file = filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for file, content := range test.files {
				write(file, content)
			}
			write(test.events, "oom_kill 0\n")
			m := watchMemory(root)
			write(test.events, test.after)
			want := test.exit
			want.Message = test.want
			if got := m.explain(test.exit); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
