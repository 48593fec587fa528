//go:build linux

package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// Install is the install role: it makes folders, and copies this program.
func Install(c config.Install) error {
	for _, folder := range c.Folders {
		// Where this fails the kubelet makes it, or mounts what is there.
		_ = os.MkdirAll(folder, 0o755)
	}
	return installIn(c.Dir)
}

// installIn copies this program to dir/agent, mode 0755, so that nobody ever
// sees half of it.
func installIn(dir string) error {
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
