package components

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Once makes the folder dir with fill, unless it is there already. fill gets
// a folder beside it that becomes dir only when fill succeeds, so a cached
// folder is always whole. Siblings that differ only in the key at the end of
// their name and were not used for two weeks are removed.
func Once(dir string, fill func(tmp string) error) error {
	now := time.Now()
	err := os.Chtimes(dir, now, now)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, stat := os.Stat(dir); stat == nil {
			return nil // another process was faster
		}
		return fmt.Errorf("keeping what was made: %w", err)
	}
	return prune(dir, now.Add(-keepUnused))
}

// prune removes the predecessors of dir that were last used before a time.
func prune(dir string, before time.Time) error {
	name := filepath.Base(dir)
	stem := name[:strings.LastIndex(name, "-")+1]
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || entry.Name() == name || stem == "" || !strings.HasPrefix(entry.Name(), stem) || info.ModTime().After(before) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(filepath.Dir(dir), entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
