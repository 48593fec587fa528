//go:build linux

package sshd

import "strings"

// Bounds on the environment that a client may send for one session.
const (
	maxEnvVariables = 256
	maxEnvBytes     = 64 << 10
)

// acceptEnv says whether a client may set a variable. What belongs to the
// user's terminal and language passes, and what names itself for git or for
// this product; the rest of the environment is the container's own.
func acceptEnv(name string) bool {
	switch name {
	case "LANG", "TERM", "COLORTERM", "NO_COLOR", "TZ", "EDITOR":
		return true
	}
	for _, prefix := range []string{"LC_", "GIT_", "OKTETO_"} {
		if strings.HasPrefix(name, prefix) && !strings.ContainsAny(name, "=\x00") {
			return true
		}
	}
	return false
}
