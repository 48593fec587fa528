package watch

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel's settings that limit a user.
const (
	watchesKey   = "fs.inotify.max_user_watches"
	instancesKey = "fs.inotify.max_user_instances"
)

// limitError gives the kernel's error a name when it is that of a limit, and
// returns it unchanged when it is not.
func limitError(err error, needed int) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return &LimitError{Sysctl: watchesKey, Limit: sysctl(watchesKey), Needed: needed}
	case errors.Is(err, unix.EMFILE):
		return &LimitError{Sysctl: instancesKey, Limit: sysctl(instancesKey), Needed: needed}
	default:
		return err
	}
}

// sysctl reads a number, 0 when it cannot.
func sysctl(key string) int {
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
	if err != nil {
		return 0
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return value
}
