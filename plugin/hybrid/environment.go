// Package hybrid is what hybrid mode runs on the laptop: the environment of the
// local process, which is the pod's but for what belongs to the laptop, and the
// process itself, which no end of the plugin leaves behind.
package hybrid

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// kept are the variables that say how programs find their way on a machine: the
// laptop's own. Those of the second line are Windows'.
func kept() []string {
	return []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLORTERM", "TMPDIR", "SSH_AUTH_SOCK", "LANG",
		"APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES",
		"SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR",
		"LC_ADDRESS", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT", "LC_MESSAGES",
		"LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
	}
}

// Environment returns the environment of the local process, as NAME=value, sorted:
// the pod's, but for what belongs to the laptop, which a lookup finds. What set
// names is the pod's in any case: the manifest's variables come with it.
func Environment(pod []string, laptop func(string) (string, bool), set []string) []string {
	values := map[string]string{}
	for _, e := range pod {
		if name, value, ok := strings.Cut(e, "="); ok && (!isKept(name) || contains(set, name)) {
			values[name] = value
		}
	}
	for _, name := range kept() {
		if value, ok := laptop(name); ok && !contains(set, name) {
			values[name] = value
		}
	}
	env := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, name+"="+values[name])
	}
	return env
}

func isKept(name string) bool {
	return contains(kept(), name) || strings.HasPrefix(name, "LC_")
}

// contains compares names as the system does.
func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return n == name || runtime.GOOS == "windows" && strings.EqualFold(n, name)
	})
}

// hostname is the variable that differs from pod to pod, whatever they are for.
const hostname = "HOSTNAME"

// Changed returns the names of the variables that differ between two
// environments, sorted. The name of the pod does not count.
func Changed(before, after []string) []string {
	names := map[string]bool{}
	for _, pair := range [][2][]string{{before, after}, {after, before}} {
		for _, e := range pair[0] {
			if name, _, _ := strings.Cut(e, "="); name != hostname && !slices.Contains(pair[1], e) {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// ParseEnvironment reads what the agent's subsystem writes: each NAME=value ended
// by a zero byte, and an empty one at the end of all.
func ParseEnvironment(data []byte) ([]string, error) {
	text, whole := strings.CutSuffix(string(data), "\x00")
	if !whole || text != "" && !strings.HasSuffix(text, "\x00") {
		return nil, errors.New("the environment of the pod came in part only")
	}
	if text == "" {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00"), nil
}
