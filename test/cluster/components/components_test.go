package components

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestKey(t *testing.T) {
	t.Parallel()
	tree := func(files map[string]string) string {
		t.Helper()
		fsys := fstest.MapFS{}
		for name, text := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		key, err := Key(fsys, "more")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	base := tree(map[string]string{"go.mod": "module x", "main.go": "package main"})
	if len(base) != 12 {
		t.Errorf("key %q: want 12 digits", base)
	}
	if same := tree(map[string]string{"go.mod": "module x", "main.go": "package main", "main_test.go": "anything"}); same != base {
		t.Error("a test changes the key")
	}
	for name, files := range map[string]map[string]string{
		"content":  {"go.mod": "module y", "main.go": "package main"},
		"name":     {"go.mod": "module x", "mein.go": "package main"},
		"boundary": {"go.mod": "module xp", "main.go": "ackage main"},
		"more":     {"go.mod": "module x", "main.go": "package main", "go.sum": ""},
	} {
		if tree(files) == base {
			t.Errorf("another %s gives the same key", name)
		}
	}
	one, err1 := Key(nil, "ab", "c")
	two, err2 := Key(nil, "a", "bc")
	if one == two || err1 != nil || err2 != nil {
		t.Errorf("different strings give the keys %q and %q (%v, %v)", one, two, err1, err2)
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	cache := filepath.Join(t.TempDir(), "cache")
	dir := filepath.Join(cache, "thing-1")
	broken := errors.New("broken")
	fails := func(tmp string) error {
		return errors.Join(os.WriteFile(filepath.Join(tmp, "half"), nil, 0o644), broken)
	}
	if err := Once(dir, fails); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of fill", err)
	}
	if entries, err := os.ReadDir(cache); err != nil || len(entries) > 0 {
		t.Errorf("a failure leaves %v (%v)", entries, err)
	}
	works := func(tmp string) error { return os.WriteFile(filepath.Join(tmp, "whole"), nil, 0o644) }
	if err := Once(dir, works); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "whole")); err != nil {
		t.Error(err)
	}
	if err := Once(dir, fails); err != nil {
		t.Errorf("what is cached is made again: %v", err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	old := time.Now().Add(-2 * keepUnused)
	for _, name := range []string{"thing-old", "thing-new", "other-old"} {
		if err := os.Mkdir(filepath.Join(cache, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if name != "thing-new" {
			if err := os.Chtimes(filepath.Join(cache, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := Once(filepath.Join(cache, "thing-3"), func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"thing-old": false, "thing-new": true, "other-old": true, "thing-3": true} {
		if _, err := os.Stat(filepath.Join(cache, name)); errors.Is(err, fs.ErrNotExist) == want {
			t.Errorf("%s: %v, want it kept: %v", name, err, want)
		}
	}
}

func TestLinkFlags(t *testing.T) {
	t.Parallel()
	m := module{stamps: map[string]string{"b.major": "${major}", "a.version": "v${version}", "b.minor": "${minor}"}}
	if got, want := m.ldflags("v1.36.3"), "-s -w -X a.version=v1.36.3 -X b.major=1 -X b.minor=36"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestModules checks that each nested module is there and that what it is
// stamped with is among what it requires.
func TestModules(t *testing.T) {
	t.Parallel()
	for _, m := range modules() {
		if _, err := os.Stat(filepath.Join(m.dir, "go.sum")); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(filepath.Join(m.dir, "go.mod"))
		if err != nil || !strings.Contains(string(text), m.module+" v") {
			t.Errorf("%s/go.mod does not require %s (%v)", m.dir, m.module, err)
		}
	}
}

func TestGoToolError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := goTool(ctx, ".", "version"); err == nil {
		t.Error("a command that was cancelled succeeds")
	}
}
