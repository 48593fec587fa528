//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Install copies this program to dir/agent, mode 0755, so that nobody ever
// sees half of it.
func Install(dir string) error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("opening this program: %w", err)
	}
	defer self.Close()
	f, err := os.CreateTemp(dir, ".agent-*")
	if err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	// Fails after the rename, as it should.
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = io.Copy(f, self)
	if err = errors.Join(err, f.Chmod(0o755), f.Close()); err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, "agent")); err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	return nil
}
