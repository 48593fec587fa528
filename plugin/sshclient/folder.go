package sshclient

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	privateFolder = 0o700
	privateFile   = 0o600
	publicFile    = 0o644
	// othersMask are the permission bits of everybody but the owner.
	othersMask = 0o077
)

// lockFolder creates a private folder where it is missing, and waits until no
// other process uses it. The lock ends with unlock or with this process.
func lockFolder(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, privateFolder); err != nil {
		return nil, fmt.Errorf("creating the folder for SSH: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, privateFile)
	if err != nil {
		return nil, fmt.Errorf("locking the folder for SSH: %w", err)
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %q: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil
}

// writeFile replaces a file in one step: whoever reads it sees the old content
// or the new one, also after a crash.
func writeFile(path string, content []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
