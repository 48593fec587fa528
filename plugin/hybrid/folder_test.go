package hybrid

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
)

func openFolder(t *testing.T, paths ...string) *Folder {
	t.Helper()
	f, err := OpenFolder(filepath.Join(t.TempDir(), "mounts"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Keep(paths); err != nil {
		t.Fatal(err)
	}
	return f
}

func set(t *testing.T, f *Folder, m mounts.Mount) {
	t.Helper()
	if err := f.Set(m); err != nil {
		t.Fatal(err)
	}
}

// volume is a mount of a whole volume; files are pairs of name and content.
func volume(path string, files ...string) mounts.Mount {
	m := mounts.Mount{Path: path}
	for i := 0; i < len(files); i += 2 {
		m.Files = append(m.Files, mounts.File{Name: files[i], Mode: 0o644, Content: []byte(files[i+1])})
	}
	return m
}

// seen is what a program finds in the folder: names and contents of all files, the
// kubelet's machinery left out.
func seen(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	var walk func(rel string)
	walk = func(rel string) {
		entries, err := os.ReadDir(filepath.Join(dir, rel))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := filepath.Join(rel, e.Name())
			if strings.HasPrefix(e.Name(), "..") {
				continue
			}
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.IsDir() {
				walk(name)
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.ToSlash(name)] = string(content)
		}
	}
	walk(".")
	return all
}

func sees(t *testing.T, f *Folder, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, seen(t, f.Path())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestFolder follows mounts of all kinds over changes, with links and without.
func TestFolder(t *testing.T) {
	for name, links := range map[string]bool{"links": true, "no links": false} {
		t.Run(name, func(t *testing.T) {
			f := openFolder(t, "/etc/app", "/etc/app/inner/certs", "/etc/app/one.conf", "/var/run/secrets/token")
			f.links = links && f.links
			set(t, f, volume("/etc/app", "a", "1", "sub/b", "\x00\xff", "sub/c", "3"))
			set(t, f, volume("/etc/app/inner/certs", "tls.key", "secret"))
			set(t, f, mounts.Mount{Path: "/etc/app/one.conf", Single: true, Files: []mounts.File{{Mode: 0o644, Content: []byte("one")}}})
			set(t, f, volume("/var/run/secrets/token"))
			want := map[string]string{"etc/app/a": "1", "etc/app/sub/b": "\x00\xff", "etc/app/sub/c": "3", "etc/app/inner/certs/tls.key": "secret", "etc/app/one.conf": "one"}
			sees(t, f, want)
			if entries, err := os.ReadDir(filepath.Join(f.Path(), "var/run/secrets/token")); err != nil || links && len(entries) != 2 {
				t.Errorf("an empty volume is %v, %v", entries, err)
			}

			set(t, f, volume("/etc/app", "sub/b", "new", "d", "4"))
			set(t, f, mounts.Mount{Path: "/etc/app/one.conf", Single: true, Files: []mounts.File{{Mode: 0o644, Content: []byte("two")}}})
			set(t, f, volume("/var/run/secrets/token", "token", "t"))
			delete(want, "etc/app/a")
			delete(want, "etc/app/sub/c")
			want["etc/app/sub/b"], want["etc/app/d"], want["etc/app/one.conf"], want["var/run/secrets/token/token"] = "new", "4", "two", "t"
			sees(t, f, want)

			// A folder becomes a file and the other way round.
			set(t, f, volume("/etc/app", "sub", "file", "d/e", "5"))
			delete(want, "etc/app/sub/b")
			delete(want, "etc/app/d")
			want["etc/app/sub"], want["etc/app/d/e"] = "file", "5"
			sees(t, f, want)

			// Another pod has other mounts.
			if err := f.Keep([]string{"/etc/app"}); err != nil {
				t.Fatal(err)
			}
			set(t, f, volume("/etc/app", "sub", "file", "d/e", "5", "one.conf", "in the volume now"))
			sees(t, f, map[string]string{"etc/app/sub": "file", "etc/app/d/e": "5", "etc/app/one.conf": "in the volume now"})
		})
	}
}

// What is on the disk is for this user alone.
func TestFolderModes(t *testing.T) {
	f := openFolder(t, "/m")
	m := mounts.Mount{Path: "/m"}
	for _, mode := range []fs.FileMode{0o644, 0o400, 0o444, 0o755, 0o440, 0o040, 0o666} {
		m.Files = append(m.Files, mounts.File{Name: fmt.Sprintf("sub/%o", mode), Mode: mode})
	}
	set(t, f, m)
	got := map[string]string{}
	if err := filepath.WalkDir(f.Path(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir() && info.Mode().Perm() != 0o700:
			t.Errorf("%s has mode %v", path, info.Mode())
		case info.Mode().IsRegular():
			got[d.Name()] = fmt.Sprintf("%o", info.Mode().Perm())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"644": "600", "400": "400", "444": "400", "755": "700", "440": "400", "40": "400", "666": "600"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A reader sees all of the old or all of the new, and never nothing.
func TestFolderIsReplacedAtOnce(t *testing.T) {
	f := openFolder(t, "/m")
	set(t, f, volume("/m", "a", "0", "b", "0"))
	done := make(chan error)
	go func() {
		var failed error
		for i := range 200 {
			failed = errors.Join(failed, f.Set(volume("/m", "a", fmt.Sprint(i), "b", fmt.Sprint(i))))
		}
		done <- failed
	}()
	data := filepath.Join(f.Path(), "m", dataLink)
	for reads := 0; ; {
		select {
		case err := <-done:
			if entries, errRead := os.ReadDir(filepath.Dir(data)); errors.Join(err, errRead) != nil || len(entries) != 4 || reads == 0 {
				t.Errorf("after %d reads there are %v, %v, %v", reads, entries, err, errRead)
			}
			return
		default:
		}
		at, err := os.Readlink(data)
		if err != nil {
			t.Error(err)
		}
		// That the old one is removed meanwhile can be, in the pod too.
		a, errA := os.ReadFile(filepath.Join(filepath.Dir(data), at, "a"))
		b, errB := os.ReadFile(filepath.Join(filepath.Dir(data), at, "b"))
		if errA != nil || errB != nil {
			continue
		}
		if reads++; string(a) != string(b) {
			t.Errorf("read %s and %s", a, b)
		}
	}
}

// A hostile pod writes nothing outside, makes no links that lead there, and does
// not fill the disk.
func TestFolderOfAHostilePod(t *testing.T) {
	outside := t.TempDir()
	f := openFolder(t, "/m", "/m/inner", "/../../up", "/", "/big/1", "/big/2", "/big/3", "/big/4", "/big/5")
	good := volume("/m", "a", "1")
	set(t, f, good)
	for name, m := range map[string]mounts.Mount{
		"not asked for":  volume("/other", "a", "1"),
		"the folder":     volume("/", "a", "1"),
		"up":             volume("/m", "../../x", "1"),
		"the machinery":  volume("/m", "..data/x", "1"),
		"twice":          volume("/m", "a", "2", "a", "3"),
		"file in a file": volume("/m", "a", "2", "a/b", "3"),
		"odd":            volume("/m", "a\x00b", "2"),
		"problem":        {Path: "/m", Problem: "gone"},
	} {
		if err := f.Set(m); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	sees(t, f, map[string]string{"m/a": "1"})
	// What is above the root of the pod is in the folder all the same.
	set(t, f, volume("/../../up", "a", "2"))
	sees(t, f, map[string]string{"m/a": "1", "up/a": "2"})

	// Should a link be there that leads out, nothing follows it.
	if err := os.RemoveAll(filepath.Join(f.Path(), "m")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(f.Path(), "m")); err != nil {
		t.Fatal(err)
	}
	if err := f.Set(volume("/m/inner", "a", "1")); err == nil {
		t.Error("a link is followed")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside are %v, %v", entries, err)
	}

	big := strings.Repeat("x", mounts.MaxContent-1)
	var full error
	for i := range 5 {
		full = errors.Join(full, f.Set(volume(fmt.Sprintf("/big/%d", i+1), "x", big)))
	}
	if full == nil || !strings.Contains(full.Error(), "/big/4 is left out: the mounts have more than 16 MiB or") {
		t.Errorf("the disk is filled: %v", full)
	}
	// One that is replaced does not count twice.
	set(t, f, volume("/big/1", "y", big))

	full = nil
	for i := range 5 {
		m := mounts.Mount{Path: fmt.Sprintf("/big/%d", i+1)}
		for n := range 8 {
			m.Files = append(m.Files, mounts.File{Name: fmt.Sprintf("%s%d", strings.Repeat("a/", 500), n)})
		}
		full = errors.Join(full, f.Set(m))
	}
	if full == nil || !strings.Contains(full.Error(), "/big/5 is left out") || strings.Contains(full.Error(), "/big/4") {
		t.Errorf("the disk is filled: %v", full)
	}
}

func TestFolderLeavesNothing(t *testing.T) {
	in := filepath.Join(t.TempDir(), "mounts")
	killed, err := OpenFolder(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Keep([]string{"/m"}); err != nil {
		t.Fatal(err)
	}
	set(t, killed, volume("/m", "a", "1"))
	f, err := OpenFolder(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(killed.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left behind is there: %v", err)
	}
	// A session that ends late leaves its successor's alone.
	if err := killed.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(f.Path()); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(in); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
}

func TestFolderOutsideGit(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{"a/mounts", "link/mounts"} {
		if _, err := OpenFolder(filepath.Join(dir, in)); err == nil || !strings.Contains(err.Error(), "set OKTETO_FOLDER") {
			t.Errorf("%s: %v", in, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, in)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", in, err)
		}
	}
}
