//go:build linux

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// cgroupTrees returns where control groups are mounted: one tree per controller
// with version 1, one tree with version 2. Some machines have both.
func cgroupTrees() (one, two []string, err error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, nil, err
	}
	one, two = parseTrees(string(mounts))
	return one, two, nil
}

// parseTrees reads a /proc/PID/mounts file.
func parseTrees(mounts string) (one, two []string) {
	trees := map[string][]string{}
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 2 {
			trees[fields[2]] = append(trees[fields[2]], fields[1])
		}
	}
	return trees["cgroup"], trees["cgroup2"]
}

// raiseCgroups makes the control group that all pods are below.
func raiseCgroups() error {
	one, two, err := cgroupTrees()
	if err != nil {
		return err
	}
	for _, tree := range append(one, two...) {
		if err := os.MkdirAll(filepath.Join(tree, Context), 0o755); err != nil {
			return err
		}
	}
	if len(one) > 0 {
		return nil // the controllers are all there
	}
	for _, tree := range two {
		if err := delegate(tree, filepath.Join(tree, Context)); err != nil {
			return fmt.Errorf("delegating control groups: %w", err)
		}
	}
	return nil
}

// delegate switches all controllers on for what is below the control groups
// from a version 2 tree's root to dir.
func delegate(root, dir string) error {
	for _, group := range []string{root, dir} {
		controllers, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
		if err != nil {
			return err
		}
		for _, controller := range strings.Fields(string(controllers)) {
			if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropCgroups removes the control groups of a node that has ended.
func dropCgroups() error {
	one, two, err := cgroupTrees()
	if err != nil {
		return err
	}
	for _, tree := range append(one, two...) {
		err = errors.Join(err, removeGroup(filepath.Join(tree, Context)))
	}
	return err
}

// removeGroup removes a control group with those below it. The files in it go
// with it.
func removeGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroup(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}
