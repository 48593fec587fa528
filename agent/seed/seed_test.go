//go:build linux

package seed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// describe lists a tree with what a copy must keep.
func describe(t *testing.T, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		what := fmt.Sprintf("%v %d:%d", info.Mode(), stat.Uid, stat.Gid)
		switch info.Mode().Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(file)
			if err != nil {
				return err
			}
			what += " -> " + target
		case 0:
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %v %q", info.ModTime().UTC(), content)
		default:
			what += fmt.Sprintf(" %v", info.ModTime().UTC())
		}
		tree[name] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func write(t *testing.T, file, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

// image makes an image with an application in /srv/app.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	app := filepath.Join(dir, "srv/app")
	write(t, filepath.Join(app, "main.go"), "package main", 0o644)
	write(t, filepath.Join(app, "bin/run"), "#!/bin/sh", 0o755)
	write(t, filepath.Join(app, "bin/setuid"), "x", 0o755|fs.ModeSetuid)
	write(t, filepath.Join(app, "deep/er/secret"), "s", 0o400)
	for i := range 200 {
		write(t, filepath.Join(app, "many", fmt.Sprint(i)), fmt.Sprint(i), 0o644)
	}
	for name, target := range map[string]string{"link": "bin/run", "dangling": "/nowhere", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(app, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(app, "empty"), 0o750); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Lchown(filepath.Join(app, "link"), 1000, 1001); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(app, "deep/er/secret"), 1000, 1001); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Unix(1_500_000_000, 123_000_000)
	for _, name := range []string{"main.go", "bin", "deep/er", "deep", "."} {
		if err := os.Chtimes(filepath.Join(app, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCopyKeepsEverything(t *testing.T) {
	img, to := image(t), t.TempDir()
	found, err := Tree{Image: img, From: "/srv/app", To: to}.Copy(t.Context())
	if err != nil || !found {
		t.Fatalf("found %v, %v", found, err)
	}
	if diff := cmp.Diff(describe(t, filepath.Join(img, "srv/app")), describe(t, to)); diff != "" {
		t.Errorf("-image +workspace:\n%s", diff)
	}
}

func TestCopyNeverOverwrites(t *testing.T) {
	img, to := image(t), t.TempDir()
	write(t, filepath.Join(to, "main.go"), "mine", 0o600)
	write(t, filepath.Join(to, "bin"), "a file where the image has a folder", 0o600)
	if err := os.Symlink("elsewhere", filepath.Join(to, "deep")); err != nil {
		t.Fatal(err)
	}
	before := describe(t, to)
	if _, err := (Tree{Image: img, From: "/srv/app", To: to}).Copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := describe(t, to)
	for _, name := range []string{"main.go", "bin", "deep"} {
		if before[name] != after[name] {
			t.Errorf("%s changed: %s, was %s", name, after[name], before[name])
		}
	}
	if _, ok := after["many/7"]; !ok {
		t.Error("what was missing was not copied")
	}
}

func TestCopyAfterKill(t *testing.T) {
	img, to := image(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Tree{Image: img, From: "/srv/app", To: to}).Copy(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled copy: %v", err)
	}
	write(t, filepath.Join(to, stageDir, "1"), "half", 0o600)
	if fresh, err := Fresh(to); err != nil || !fresh {
		t.Errorf("half a copy is fresh = %v, %v; want to do it again", fresh, err)
	}
	if _, err := (Tree{Image: img, From: "/srv/app", To: to}).Copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(describe(t, filepath.Join(img, "srv/app")), describe(t, to)); diff != "" {
		t.Errorf("-image +workspace:\n%s", diff)
	}
	if fresh, err := Fresh(to); err != nil || fresh {
		t.Errorf("a seeded workspace is fresh = %v, %v", fresh, err)
	}
}

func TestCopyExcludes(t *testing.T) {
	img, to := image(t), t.TempDir()
	if _, err := (Tree{Image: img, From: "/srv/app", To: to, Exclude: []string{"many", "deep/er"}}).Copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	tree := describe(t, to)
	for _, name := range []string{"many", "deep/er"} {
		if what, ok := tree[name]; ok {
			t.Errorf("%s was copied: %s", name, what)
		}
	}
	if _, ok := tree["deep"]; !ok {
		t.Error("the folder around an excluded one is missing")
	}
}

// Links on the way are followed inside the image, wherever they point.
func TestCopyResolvesInsideTheImage(t *testing.T) {
	img := image(t)
	for name, target := range map[string]string{
		"app": "/srv/app", "rel": "srv/./app", "up": "../../../../srv/app", "chain": "app", "round": "round", "file": "/srv/app/main.go",
	} {
		if err := os.Symlink(target, filepath.Join(img, name)); err != nil {
			t.Fatal(err)
		}
	}
	for from, want := range map[string]bool{
		"/app": true, "/rel": true, "/up": true, "/chain": true, "/chain/bin": true,
		"/missing": false, "/app/missing/x": false, "/file": false, "/app/main.go/x": false,
	} {
		found, err := Tree{Image: img, From: from, To: t.TempDir()}.Copy(t.Context())
		if err != nil || found != want {
			t.Errorf("%s: found %v, %v; want %v", from, found, err, want)
		}
	}
	if _, err := (Tree{Image: img, From: "/round", To: t.TempDir()}).Copy(t.Context()); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a loop: %v", err)
	}
}

func TestFresh(t *testing.T) {
	dir := t.TempDir()
	for _, step := range []struct {
		make  string
		fresh bool
	}{{"", true}, {"lost+found", true}, {"x", false}} {
		if step.make != "" {
			if err := os.Mkdir(filepath.Join(dir, step.make), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if fresh, err := Fresh(dir); err != nil || fresh != step.fresh {
			t.Errorf("after %q: %v, %v; want %v", step.make, fresh, err, step.fresh)
		}
	}
}
