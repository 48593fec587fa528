package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a file with its folders below a folder.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDiscoverOrder(t *testing.T) {
	dir := t.TempDir()
	// From the last to the first: each new one wins.
	candidates := Candidates()
	for i := len(candidates) - 1; i >= 0; i-- {
		want := write(t, dir, candidates[i], "x")
		got, err := Discover(dir)
		if err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestDiscoverNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "okteto.yml"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, ".okteto", "a file, not a folder")
	_, err := Discover(dir)
	var missing *NotFoundError
	if !errors.As(err, &missing) || missing.Dir != dir || !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	for _, part := range append(Candidates(), dir) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %s: %v", part, err)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "app/main.go", "package main")
	write(t, dir, "dev.env", "A=${HERE}\nB=2\n")
	text := "dev: {api: {sync: [app:/app], envFiles: dev.env, environment: [B=3]}}"
	lookup := func(name string) (string, bool) { return "here", name == "HERE" }
	for _, name := range []string{"okteto.yaml", ".okteto/okteto.yaml"} {
		path := write(t, dir, name, text)
		m, err := Load(path, lookup)
		if err != nil {
			t.Fatal(err)
		}
		dev, err := m.Select("")
		if err != nil {
			t.Fatal(err)
		}
		if m.Path != path || m.Dir != dir || dev.Sync[0].Local != filepath.Join(dir, "app") {
			t.Errorf("%s: got %s, %s, %v", name, m.Path, m.Dir, dev.Sync)
		}
		if want := (EnvVar{"A", "here"}); dev.Environment[0] != want {
			t.Errorf("%s: got %v", name, dev.Environment)
		}
		if want := (EnvVar{"B", "3"}); dev.Environment[1] != want {
			t.Errorf("%s: got %v", name, dev.Environment)
		}
	}
}

func TestLoadRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", "okteto.yaml", "dev: {api: {sync: [gone:/app]}}")
	_, err := Load("okteto.yaml", nil)
	if err == nil || !strings.HasPrefix(err.Error(), `okteto.yaml:1:20: "dev.api.sync[0]": the folder "`) {
		t.Errorf("got %v", err)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir, nil)
	if !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), "name a file") {
		t.Errorf("a folder: %v", err)
	}
	gone := filepath.Join(dir, "gone.yaml")
	_, err = Load(gone, nil)
	var missing *NotFoundError
	if !errors.As(err, &missing) || missing.Dir != "" || !strings.Contains(err.Error(), gone) {
		t.Errorf("no file: %v", err)
	}
	_, err = Load(filepath.Join(write(t, dir, "file", ""), "x.yaml"), nil)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("below a file: %v", err)
	}
	_, err = Load(write(t, dir, "large.yaml", "# "+strings.Repeat("x", maxSize)), nil)
	if err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("a large file: %v", err)
	}
	_, err = Load(write(t, dir, "empty.yaml", ""), nil)
	if !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty file: %v", err)
	}
}
