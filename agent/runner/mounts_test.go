//go:build linux

package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
)

// volume is a volume as the kubelet writes it.
type volume struct {
	t    *testing.T
	path string
	// version counts the contents.
	version int
}

// write replaces all that is in the volume, as the kubelet does.
func (v *volume) write(files map[string]string) {
	v.t.Helper()
	v.version++
	name := fmt.Sprintf("..2026_11_26_21_00_00.%d", v.version)
	for file, content := range files {
		path := filepath.Join(v.path, name, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			v.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			v.t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(v.path, name), 0o755); err != nil {
		v.t.Fatal(err)
	}
	link := filepath.Join(v.path, dataLink)
	old, _ := os.Readlink(link)
	if err := errors.Join(os.Symlink(name, link+"_tmp"), os.Rename(link+"_tmp", link)); err != nil {
		v.t.Fatal(err)
	}
	for file := range files {
		first, _, _ := strings.Cut(file, "/")
		_ = os.Symlink(filepath.Join(dataLink, first), filepath.Join(v.path, first))
	}
	if old != "" {
		if err := os.RemoveAll(filepath.Join(v.path, old)); err != nil {
			v.t.Fatal(err)
		}
	}
}

// follow asks for mounts until the test ends, and returns what is told.
func follow(t *testing.T, c *Client, paths ...string) io.Reader {
	t.Helper()
	ctx, cancel := context.WithCancel(bounded(t))
	told, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = out.CloseWithError(errors.Join(c.Mounts(ctx, mounts.Request{Paths: paths}, out), io.EOF))
	}()
	t.Cleanup(func() {
		cancel()
		_ = told.Close()
		<-done
	})
	return told
}

func next(t *testing.T, told io.Reader) mounts.Mount {
	t.Helper()
	m, err := mounts.ReadMount(told)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMounts(t *testing.T) {
	c, dir := start(t)
	v := &volume{t: t, path: filepath.Join(dir, "volume")}
	v.write(map[string]string{"a": "1", "sub/b": "\x00\xff"})
	empty := &volume{t: t, path: filepath.Join(dir, "empty")}
	empty.write(nil)
	// A part of a volume is mounted without the link that leads to it.
	single := filepath.Join(v.path, v.data(), "a")
	folder := filepath.Join(v.path, v.data(), "sub")
	none := filepath.Join(dir, "none")
	// The image may have a link on the way, as from /var/run to /run.
	if err := os.Symlink(v.path, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")

	told := follow(t, c, v.path, empty.path, single, folder, none, link)
	whole := []mounts.File{{Name: "a", Mode: 0o640, Content: []byte("1")}, {Name: "sub/b", Mode: 0o640, Content: []byte("\x00\xff")}}
	for _, want := range []mounts.Mount{
		{Path: v.path, Files: whole},
		{Path: empty.path},
		{Path: single, Single: true, Files: []mounts.File{{Mode: 0o640, Content: []byte("1")}}},
		{Path: folder, Files: []mounts.File{{Name: "b", Mode: 0o640, Content: []byte("\x00\xff")}}},
		{Path: none, Problem: "stat " + none + ": no such file or directory"},
		{Path: link, Files: whole},
	} {
		if diff := cmp.Diff(want, next(t, told)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}

	v.write(map[string]string{"c": "2"})
	changed := []mounts.File{{Name: "c", Mode: 0o640, Content: []byte("2")}}
	// In either order: the change may come between a look at one and at the other.
	got := map[string][]mounts.File{}
	for range 2 {
		m := next(t, told)
		got[m.Path] = m.Files
	}
	if diff := cmp.Diff(map[string][]mounts.File{v.path: changed, link: changed}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	empty.write(map[string]string{"came": "late"})
	if got := next(t, told); got.Path != empty.path || len(got.Files) != 1 {
		t.Errorf("told of %+v", got)
	}
}

func (v *volume) data() string {
	name, err := os.Readlink(filepath.Join(v.path, dataLink))
	if err != nil {
		v.t.Fatal(err)
	}
	return name
}

// What is beyond the limits, or no file, is not read.
func TestMountsThatAreNotRead(t *testing.T) {
	c, dir := start(t)
	large := &volume{t: t, path: filepath.Join(dir, "large")}
	large.write(map[string]string{"a": strings.Repeat("x", mounts.MaxContent/2), "b": strings.Repeat("x", mounts.MaxContent/2)})
	odd := &volume{t: t, path: filepath.Join(dir, "odd")}
	odd.write(map[string]string{"file": "x"})
	if err := syscall.Mkfifo(filepath.Join(odd.path, odd.data(), "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(odd.path, odd.data(), "link")); err != nil {
		t.Fatal(err)
	}
	told := follow(t, c, large.path, odd.path)
	if got := next(t, told); !strings.Contains(got.Problem, "too large") || got.Files != nil {
		t.Errorf("told of %+v", got)
	}
	if got := next(t, told); len(got.Files) != 1 || got.Files[0].Name != "file" {
		t.Errorf("told of %+v", got)
	}
}
