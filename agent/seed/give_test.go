//go:build linux

package seed

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGive(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files away: run it as root")
	}
	app := filepath.Join(image(t), "srv/app")
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside, "x", 0o644)
	if err := os.Symlink(outside, filepath.Join(app, "out")); err != nil {
		t.Fatal(err)
	}
	if err := Give(t.Context(), app, 1234, 5678, []string{"many"}); err != nil {
		t.Fatal(err)
	}
	got := map[string]uint32{}
	for _, name := range []string{".", "main.go", "bin", "bin/setuid", "deep/er/secret", "dangling", "out", "many", "many/7", outside} {
		file := name
		if !filepath.IsAbs(name) {
			file = filepath.Join(app, name)
		} else {
			name = "outside"
		}
		info, err := os.Lstat(file)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = info.Sys().(*syscall.Stat_t).Uid
		if name == "bin/setuid" && info.Mode()&fs.ModeSetuid == 0 {
			t.Error("a program lost its set-id bit")
		}
	}
	want := map[string]uint32{
		".": 1234, "main.go": 1234, "bin": 1234, "dangling": 1234, "out": 1234, "deep/er/secret": 1000,
		"bin/setuid": 0, "many": 0, "many/7": 0, "outside": 0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}
