// Package probe makes single changes in a folder and sees them in another, and
// tells the moment of both. A program of it runs at each end of a sync, on the
// laptop as in the pod, so that every sync is measured in the same way: what
// is to be seen is announced first, an event of the file system wakes the
// reader, and only then does the answer travel.
package probe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Kind says how an edit changes its path.
type Kind string

// Kinds of edit.
const (
	// Write truncates the file and writes it anew, as most programs do.
	Write Kind = "write"
	// Replace writes a file beside it and renames that over it, as careful
	// editors do.
	Replace Kind = "replace"
	// Create writes a file that did not exist.
	Create Kind = "create"
	// Delete removes the file.
	Delete Kind = "delete"
	// Mkdir makes a folder.
	Mkdir Kind = "mkdir"
	// Rename renames the file within its folder.
	Rename Kind = "rename"
	// Chmod makes the file executable.
	Chmod Kind = "chmod"
)

// Edit is one change of a tree.
type Edit struct {
	Kind Kind `json:"kind"`
	// Path is relative to the root; so is To, the new name of a Rename.
	Path string `json:"path"`
	To   string `json:"to,omitempty"`
	// Token ends what Write, Replace and Create write; the rest of the content
	// is what the file had.
	Token string `json:"token,omitempty"`
}

// Modes of what an edit makes.
const (
	plainMode      fs.FileMode = 0o644
	executableMode fs.FileMode = 0o755
)

// prepare reads what the edit needs and returns the edit itself, so that the
// reading is not measured.
func (e Edit) prepare(root string) (func() error, error) {
	path, to := filepath.Join(root, e.Path), filepath.Join(root, e.To)
	switch e.Kind {
	case Write, Replace:
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		content = append(content, e.Token...)
		if e.Kind == Write {
			return func() error { return os.WriteFile(path, content, plainMode) }, nil
		}
		beside := path + ".saved"
		return func() error { return errors.Join(os.WriteFile(beside, content, plainMode), os.Rename(beside, path)) }, nil
	case Create:
		return func() error { return os.WriteFile(path, []byte(e.Token), plainMode) }, nil
	case Delete:
		return func() error { return os.Remove(path) }, nil
	case Mkdir:
		return func() error { return os.Mkdir(path, executableMode) }, nil
	case Rename:
		return func() error { return os.Rename(path, to) }, nil
	case Chmod:
		return func() error { return os.Chmod(path, executableMode) }, nil
	}
	return nil, fmt.Errorf("no edit is called %q", e.Kind)
}

// arrived reports whether a root shows the edit.
func (e Edit) arrived(root string) bool {
	path := filepath.Join(root, e.Path)
	info, err := os.Lstat(path)
	switch e.Kind {
	case Write, Replace, Create:
		return err == nil && endsWith(path, e.Token)
	case Delete:
		return errors.Is(err, fs.ErrNotExist)
	case Mkdir:
		return err == nil && info.IsDir()
	case Rename:
		_, there := os.Lstat(filepath.Join(root, e.To))
		return errors.Is(err, fs.ErrNotExist) && there == nil
	case Chmod:
		return err == nil && info.Mode().Perm() == executableMode
	}
	return false
}

// endsWith reports whether a file ends with a token.
func endsWith(path, token string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	if _, err := file.Seek(-int64(len(token)), io.SeekEnd); err != nil {
		return false
	}
	tail := make([]byte, len(token))
	_, err = io.ReadFull(file, tail)
	return err == nil && string(tail) == token
}
