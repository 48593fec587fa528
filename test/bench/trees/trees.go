// Package trees makes the trees that the benchmarks sync: always the same
// ones, kept in a cache folder between runs.
package trees

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/components"
)

// generator is the version of what this package makes: change it with every
// change of a tree.
const generator = "2"

// Cache is the folder that keeps the trees.
type Cache string

// UserCache returns the cache in the user's cache folder.
func UserCache() (Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return Cache(filepath.Join(dir, "kubectl-okteto", "bench")), nil
}

// Sources returns Go's own sources, which need not be made: 11,500 files with
// 127 MB in Go 1.26.
func Sources(ctx context.Context) (string, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("finding Go's sources: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(goroot)), "src"), nil
}

// Repository returns a tree as large as a big repository: 50,000 files in
// 20,000 folders with 500 MB, alike in Modules modules.
func (c Cache) Repository() (string, error) {
	return c.once("repository", func(dir string) error { return generate(dir, big()) })
}

// Large returns a folder with one file, LargeName, of 1 GiB of random bytes.
func (c Cache) Large() (string, error) {
	return c.once("large", func(dir string) error { return writeRandom(filepath.Join(dir, LargeName), LargeBytes) })
}

func (c Cache) once(name string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(string(c), name+"-"+generator)
	if err := components.Once(dir, fill); err != nil {
		return "", fmt.Errorf("making the tree %s: %w", name, err)
	}
	return dir, nil
}
