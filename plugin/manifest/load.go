package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSize bounds the files that are read, in bytes.
const maxSize = 1 << 20

// Candidates are the paths, relative to a folder, where a manifest is looked
// for, in this order.
func Candidates() []string {
	return []string{
		"okteto.yml",
		"okteto.yaml",
		filepath.Join(".okteto", "okteto.yml"),
		filepath.Join(".okteto", "okteto.yaml"),
	}
}

// Discover returns the path of the manifest of a folder: the first candidate
// that is a file. Without one the error is a *NotFoundError.
func Discover(dir string) (string, error) {
	for _, c := range Candidates() {
		path := filepath.Join(dir, c)
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.IsDir():
			return path, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !notFolder(dir, c):
			return "", fmt.Errorf("looking for a manifest: %w", err)
		}
	}
	return "", &NotFoundError{Dir: dir, Looked: Candidates()}
}

// notFolder tells a candidate whose folder is a file, where there can be no
// manifest.
func notFolder(dir, candidate string) bool {
	info, err := os.Stat(filepath.Dir(filepath.Join(dir, candidate)))
	return err == nil && !info.IsDir()
}

// Load reads and checks the manifest at a path. Variables come from lookup, as
// os.LookupEnv; what the manifest names is found relative to its folder, or to
// the parent of a folder .okteto. The error is a *NotFoundError, an
// *InvalidError, or one of the file system.
func Load(path string, lookup func(string) (string, bool)) (*Manifest, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{Looked: []string{path}}
	}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return nil, &InvalidError{Path: path, Reason: ErrDirectory, Problems: []Problem{{
			Message: "the manifest given is a folder; name a file, such as " + filepath.Join(path, "okteto.yaml")}}}
	}
	if err != nil {
		return nil, fmt.Errorf("reading manifest %q: %w", path, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("finding the folder of manifest %q: %w", path, err)
	}
	if filepath.Base(dir) == ".okteto" {
		dir = filepath.Dir(dir)
	}
	return Parse(data, Options{Path: path, Dir: dir, Lookup: lookup, Stat: os.Stat, ReadFile: readFile})
}

// readFile reads a file that is not too large.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxSize)
	}
	return data, nil
}
