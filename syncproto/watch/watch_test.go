package watch

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// newWatcher watches a folder until the test ends.
func newWatcher(t *testing.T, root string, opts Options) *Watcher {
	t.Helper()
	w, err := New(root, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// testingT is a *testing.T or a *rapid.T.
type testingT interface {
	Helper()
	Fatal(args ...any)
	Context() context.Context
}

// settle receives batches until all that has happened is in them.
func settle(t testingT, w *Watcher) (paths []string, rescan bool) {
	t.Helper()
	synced := make(chan error, 1)
	go func() { synced <- w.Sync(t.Context()) }()
	for {
		select {
		case b := <-w.Batches():
			paths, rescan = append(paths, b.Paths...), rescan || b.Rescan
		case err := <-synced:
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(paths)
			return absorb(slices.Compact(paths)), rescan
		}
	}
}

// TestScripts runs the files of testdata. Each line is a command: the names
// are relative to the watched folder, ../ is a folder beside it, and what is
// written in Go's way of escapes (\n, \xff) means the same here.
//
//	watch        start to watch; names that begin with skip are skipped
//	want PATH…   what has happened since the last want is in batches that,
//	             taken together, name exactly these
//
// The other commands change the tree and are found in script.run.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s := script{root: filepath.Join(t.TempDir(), "root"), open: map[string]*os.File{}}
			if err := os.Mkdir(s.root, 0o755); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(f)
			for n := 1; lines.Scan(); n++ {
				if line := lines.Text(); line != "" && line[0] != '#' {
					s.line(t, n, line)
				}
			}
		})
	}
}

type script struct {
	root string
	w    *Watcher
	open map[string]*os.File
}

func (s *script) line(t *testing.T, n int, line string) {
	t.Helper()
	words := strings.Fields(line)
	for i, word := range words {
		var err error
		if words[i], err = strconv.Unquote(`"` + word + `"`); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
	}
	switch words[0] {
	case "watch":
		s.w = newWatcher(t, s.root, Options{Skip: func(path string, _ bool) bool {
			return strings.HasPrefix(filepath.Base(path), "skip")
		}})
	case "want":
		got, rescan := settle(t, s.w)
		if rescan && s.w.Gaps().Lossy {
			return
		}
		if rescan || !slices.Equal(got, words[1:]) {
			t.Errorf("line %d: got %q, rescan %v, want %q", n, got, rescan, words[1:])
		}
	default:
		if err := s.run(words[0], words[1], append(words[2:], "")[0]); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
	}
}

func (s *script) run(command, name, arg string) error {
	path := filepath.Join(s.root, name)
	switch command {
	case "mkdir":
		return os.MkdirAll(path, 0o755)
	case "write":
		return os.WriteFile(path, []byte(arg), 0o644)
	case "rm":
		return os.RemoveAll(path)
	case "rename":
		return os.Rename(path, filepath.Join(s.root, arg))
	case "chmod":
		return os.Chmod(path, 0o700)
	case "symlink":
		return os.Symlink(name, filepath.Join(s.root, arg))
	case "link":
		return os.Link(path, filepath.Join(s.root, arg))
	case "open":
		f, err := os.Create(path)
		s.open[name] = f
		return err
	case "put":
		_, err := s.open[name].WriteString("x")
		return err
	case "close":
		return s.open[name].Close()
	}
	return errors.New("no such command: " + command)
}

// A lone save comes through without anything that pushes it.
func TestSaveIsDelivered(t *testing.T) {
	root := t.TempDir()
	w := newWatcher(t, root, Options{})
	if err := os.WriteFile(filepath.Join(root, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	b, ok := <-w.Batches()
	if !ok || !slices.Equal(b.Paths, []string{"f"}) {
		t.Errorf("got %+v", b)
	}
}

func TestRootMayBeALink(t *testing.T) {
	dir := t.TempDir()
	root, link := filepath.Join(dir, "root"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(root, 0o755), os.Symlink("root", link)); err != nil {
		t.Fatal(err)
	}
	w := newWatcher(t, link, Options{})
	if err := os.Mkdir(filepath.Join(root, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, rescan := settle(t, w); !covers(got, "d") && !rescan {
		t.Errorf("got %q", got)
	}
}

func TestNewNeedsAFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{file, file + "x"} {
		if w, err := New(root, Options{}); err == nil {
			w.Close()
			t.Errorf("watching %q", root)
		}
	}
}

func TestClose(t *testing.T) {
	root := t.TempDir()
	w := newWatcher(t, root, Options{})
	// An offer that nobody takes does not stand in the way.
	if err := os.WriteFile(filepath.Join(root, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	if b, ok := <-w.Batches(); ok {
		t.Errorf("got %+v", b)
	}
	if w.Err() != nil {
		t.Error(w.Err())
	}
	if err := w.Sync(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Sync after Close: %v", err)
	}
}

func TestSyncGivesUpWithItsContext(t *testing.T) {
	root := t.TempDir()
	w := newWatcher(t, root, Options{})
	if err := os.WriteFile(filepath.Join(root, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	// Nobody receives.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sync without a receiver: %v", err)
	}
}

// Whatever a program does to a tree, each path that is different afterwards is
// covered by a batch, however fast it was and whatever came before.
func TestEveryDifferenceIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "watch")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		for range rapid.IntRange(0, 6).Draw(t, "before") {
			change := drawChange(t, root)
			change()
		}
		// In some runs the watcher is so slow that it hears of the first
		// change when the last is done.
		var gate sync.Mutex
		slow := rapid.Bool().Draw(t, "slow")
		later := rapid.Bool().Draw(t, "later")
		w, err := New(root, Options{Later: later, Skip: func(string, bool) bool {
			gate.Lock()
			defer gate.Unlock()
			return false
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if later {
			enterAll(t, w, root)
		}
		before := look(t, root)
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			var changes []func()
			for range rapid.IntRange(1, 12).Draw(t, "changes") {
				changes = append(changes, drawChange(t, root))
			}
			if slow {
				gate.Lock()
			}
			for _, change := range changes {
				change()
			}
			if slow {
				gate.Unlock()
			}
			got, rescan := settle(t, w)
			after := look(t, root)
			for p := range after {
				before[p] += "" // so that before has every path
			}
			for p, was := range before {
				if was != after[p] && !rescan && !covers(got, p) {
					t.Fatalf("%q went from %q to %q, but the batch was %q", p, was, after[p], got)
				}
			}
			before = after
		}
	})
}

// enterAll enters every folder of a tree, those above before those below.
func enterAll(t testingT, w *Watcher, root string) {
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root {
			rel, _ := filepath.Rel(root, path)
			w.Enter(filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEnter enters folders that are not there any more, or were never, and
// those of a Watcher that has ended.
func TestEnter(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWatcher(t, root, Options{Later: true})
	for _, folder := range []string{"", "none", "none/below", "a/b"} { // a is not entered yet
		w.Enter(folder)
	}
	enterAll(t, w, root)
	if err := os.WriteFile(filepath.Join(root, "a", "b", "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, _ := settle(t, w); !covers(got, "a/b/f") {
		t.Errorf("got %q after a file appeared in a folder that was entered", got)
	}
	w.Close()
	w.Enter("a")
}

// drawChange draws something to do to the tree. It may be impossible, and then
// does nothing.
func drawChange(t *rapid.T, root string) func() {
	path := func(label string) string {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3).Draw(t, label)
		return filepath.Join(append([]string{root}, names...)...)
	}
	p := path("path")
	switch rapid.SampledFrom([]string{"mkdir", "mkdir", "write", "write", "rm", "rename", "rename", "chmod", "link"}).Draw(t, "change") {
	case "mkdir":
		return func() { _ = os.MkdirAll(p, 0o755) }
	case "write":
		text := rapid.StringN(0, 3, -1).Draw(t, "text")
		return func() { _ = os.WriteFile(p, []byte(text), 0o644) }
	case "rm":
		return func() { _ = os.RemoveAll(p) }
	case "rename":
		to := path("to")
		return func() { _ = os.Rename(p, to) }
	case "chmod":
		return func() { _ = os.Chmod(p, 0o700) }
	default:
		to := path("to")
		return func() { _ = os.Symlink(p, to) }
	}
}

// look describes every path of a tree.
func look(t *rapid.T, root string) map[string]string {
	tree := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(content)
		}
		rel, err := filepath.Rel(root, path)
		tree[filepath.ToSlash(rel)] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
