//go:build linux

package seed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// Give makes a user the owner of a folder and of all in it that belongs to
// root, except for programs that run as root, which would no longer do so, and
// for the folders that are excluded. What vanishes meanwhile is no error:
// others may work there already.
func Give(ctx context.Context, dir string, uid, gid int, exclude []string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening the workspace: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && slices.Contains(exclude, name) {
			return fs.SkipDir
		}
		if err == nil {
			err = giveOne(root, name, d, uid, gid)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("giving %s to its user: %w", dir, err)
	}
	return nil
}

func giveOne(root *os.Root, name string, d fs.DirEntry, uid, gid int) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid != 0 || info.Mode()&fs.ModeSetuid != 0 {
		return nil
	}
	return root.Lchown(name, uid, gid)
}
