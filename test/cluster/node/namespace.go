//go:build linux

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// enterMounts makes this process's mount namespace the node's own: nothing
// mounted here shows outside, and the folders of privateDirs are overlaid, so
// that what is written to them lands in the state folder.
func enterMounts(c Config) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for _, dir := range privateDirs() {
		if err := overlay(c, dir); err != nil {
			return fmt.Errorf("overlaying %s: %w", dir, err)
		}
	}
	// Volumes with bidirectional mount propagation need shared mounts. These
	// are shared within this namespace only.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("making mounts shared: %w", err)
	}
	return nil
}

// overlay mounts an overlay over a folder, if there is one.
func overlay(c Config, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	name := strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-")
	upper, work := c.path("overlay", name, "upper"), c.path("overlay", name, "work")
	for _, path := range []string{upper, work} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	return unix.Mount("overlay", dir, "overlay", 0, "lowerdir="+dir+",upperdir="+upper+",workdir="+work)
}
