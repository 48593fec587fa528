package watch

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limitError gives the kernel's error a name when it is that of a limit, and
// returns it unchanged when it is not.
func limitError(err error, root string, skip func(string, bool) bool) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		const key = "fs.inotify.max_user_watches"
		return &LimitError{Sysctl: key, Limit: sysctl(key), Needed: countFolders(root, skip)}
	case errors.Is(err, unix.EMFILE):
		const key = "fs.inotify.max_user_instances"
		return &LimitError{Sysctl: key, Limit: sysctl(key), Needed: 1}
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

// countFolders returns the number of watches for the tree: one for each folder
// and one for the folder that holds the root.
func countFolders(root string, skip func(string, bool) bool) int {
	count := 1
	var walk func(path string)
	walk = func(path string) {
		count++
		entries, err := os.ReadDir(filepath.Join(root, path))
		if err != nil {
			return
		}
		for _, e := range entries {
			if sub := join(path, e.Name()); e.IsDir() && !skip(sub, true) {
				walk(sub)
			}
		}
	}
	walk("")
	return count
}
