//go:build linux

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestMainRoles(t *testing.T) {
	for args, want := range map[string]struct {
		status         int
		stdout, stderr string
	}{
		"":                       {exitUsage, "", "usage: agent ROLE"},
		"unknown":                {exitUsage, "", `unknown role "unknown"`},
		"version":                {exitOK, config.Version() + "\n", ""},
		"install":                {exitUsage, "", "install needs a folder"},
		"install /no/such/place": {exitFailed, "", "no such file"},
		"sidecar --port x":       {exitUsage, "", "invalid value"},
		"seed /only":             {exitUsage, "", "pairs"},
		"scp":                    {exitFailed, "", "remote end of a copy"},
	} {
		var stdout, stderr bytes.Buffer
		status := Main(t.Context(), strings.Fields(args), strings.NewReader(""), &stdout, &stderr)
		if status != want.status || stdout.String() != want.stdout || !strings.Contains(stderr.String(), want.stderr) {
			t.Errorf("%q: %d, %q, %q", args, status, stdout.String(), stderr.String())
		}
	}
}

func TestPrintsTheEnvironment(t *testing.T) {
	for want, env := range map[string][]string{"\x00": nil, "A=1\x00B=\nx\x00\x00": {"A=1", "B=\nx"}} {
		var out bytes.Buffer
		if err := (program{stdout: &out}).environment(env); err != nil || out.String() != want {
			t.Errorf("%q: %q, %v", env, out.String(), err)
		}
	}
}

// A role that waits for its input ends with SIGTERM all the same.
func TestMainTerminated(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, w := io.Pipe()
	defer w.Close()
	if got := Main(ctx, []string{"sftp-server"}, r, io.Discard, io.Discard); got != exitTerminated {
		t.Errorf("status %d", got)
	}
}

func TestInstall(t *testing.T) {
	dir, workspace := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(workspace, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	folders := []string{filepath.Join(workspace, "src/app/lib"), filepath.Join(workspace, "file/in"), filepath.Join(workspace, "src/app")}
	for range 2 {
		if err := Install(config.Install{Dir: dir, Folders: folders}); err != nil {
			t.Fatal(err)
		}
	}
	if made, err := os.Stat(folders[0]); err != nil || !made.IsDir() {
		t.Errorf("the folder is not made: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(self)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(filepath.Join(dir, "agent"))
	if err != nil || got.Size() != want.Size() || got.Mode() != 0o755 {
		t.Errorf("%v, %v", got, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestBoard(t *testing.T) {
	b := newBoard(config.Status{Version: "1"})
	client, server := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.serve(ctx, server) }()
	lines := json.NewDecoder(client)
	next := func() (s config.Status) {
		t.Helper()
		if err := lines.Decode(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := next(); s.Version != "1" || s.Clients != 0 {
		t.Errorf("first: %+v", s)
	}
	b.update(func(s *config.Status) {}) // no change, no line
	b.update(func(s *config.Status) { s.Clients = 1 })
	if s := next(); s.Clients != 1 {
		t.Errorf("second: %+v", s)
	}
	// A slow reader gets the newest in the end.
	for i := range 100 {
		b.update(func(s *config.Status) { s.Clients = i + 2 })
	}
	for s := next(); s.Clients != 101; s = next() {
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		go o.set(7, 8)
		if uid, gid, err := o.wait(t.Context()); uid != 7 || gid != 8 || err != nil {
			t.Errorf("%d:%d, %v", uid, gid, err)
		}
		o.set(9, 9)
		if uid, _, _ := o.wait(t.Context()); uid != 7 {
			t.Errorf("the owner changed to %d", uid)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := newOwner().wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// What a developer deletes stays deleted, whoever starts again.
func TestSidecarSeedsOnce(t *testing.T) {
	dir := t.TempDir()
	image, root, inner := filepath.Join(dir, "image"), filepath.Join(dir, "src"), filepath.Join(dir, "src/inner")
	for _, d := range []string{inner, filepath.Join(dir, "state")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(image, root, "a"), "a")
	write(t, filepath.Join(image, inner, "b"), "b")
	s := Sidecar{
		Config:   config.Sidecar{Roots: []config.Root{{Path: root}, {Path: inner}}, SeedFrom: image},
		StateDir: filepath.Join(dir, "state"), Log: quiet(),
	}
	o := newOwner()
	o.set(os.Getuid(), os.Getgid())
	for i := range 2 {
		all := newSeedings(s.Config.Folders())
		s.seedAll(t.Context(), all, o)
		for _, r := range s.Config.Roots {
			if err := all.wait(t.Context(), r.Path); err != nil {
				t.Fatal(err)
			}
		}
		if first := i == 0; exists(filepath.Join(root, "a")) != first || exists(filepath.Join(inner, "b")) != first {
			t.Errorf("start %d: a is there %v, b %v", i+1, exists(filepath.Join(root, "a")), exists(filepath.Join(inner, "b")))
		}
		os.Remove(filepath.Join(root, "a"))
		os.Remove(filepath.Join(inner, "b"))
	}
	s.Config.Roots = append(s.Config.Roots, config.Root{Path: filepath.Join(dir, "missing")})
	write(t, filepath.Join(image, dir, "missing/x"), "x")
	all := newSeedings(s.Config.Folders())
	s.seedAll(t.Context(), all, o)
	if err := all.wait(t.Context(), filepath.Join(dir, "missing")); err == nil {
		t.Error("a root without a volume was seeded")
	}
}

// In a pod the workspace is seeded where the sidecar has its volume.
func TestSidecarSeedsTheVolume(t *testing.T) {
	dir := t.TempDir()
	image, root, volume := filepath.Join(dir, "image"), "/work/app", "/work/app/cache"
	s := Sidecar{
		Config:       config.Sidecar{Roots: []config.Root{{Path: root}}, Volumes: []string{volume}, SeedFrom: image},
		WorkspaceDir: filepath.Join(dir, "volume"), StateDir: filepath.Join(dir, "volume/state"), Log: quiet(),
	}
	write(t, filepath.Join(image, root, "a"), "a")
	write(t, filepath.Join(image, volume, "b"), "b")
	src, data := filepath.Join(s.WorkspaceDir, "src/work~1app"), filepath.Join(s.WorkspaceDir, "data/work~1app~1cache")
	for _, d := range []string{src, data} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	all, o := newSeedings(s.Config.Folders()), newOwner()
	o.set(os.Getuid(), os.Getgid())
	s.seedAll(t.Context(), all, o)
	if _, err := s.prepareRoot(t.Context(), root, all, o); err != nil {
		t.Fatal(err)
	}
	if !exists(src+"/a") || !exists(data+"/b") || exists(src+"/cache") {
		t.Errorf("a is there: %v, b: %v, the volume in the root: %v", exists(src+"/a"), exists(data+"/b"), exists(src+"/cache"))
	}
}

func TestSeedRole(t *testing.T) {
	dir := t.TempDir()
	from, to, used := filepath.Join(dir, "image"), filepath.Join(dir, "to"), filepath.Join(dir, "used")
	write(t, filepath.Join(from, "a"), "a")
	write(t, filepath.Join(used, "mine"), "mine")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	c := config.Seed{Copies: []config.Copy{{From: from, To: to}, {From: from, To: used}, {From: "/no/such/folder", To: to}}}
	if err := Seed(t.Context(), c, quiet()); err != nil {
		t.Fatal(err)
	}
	if !exists(filepath.Join(to, "a")) || exists(filepath.Join(used, "a")) {
		t.Errorf("fresh: %v, used: %v; want only the fresh one seeded", exists(filepath.Join(to, "a")), exists(filepath.Join(used, "a")))
	}
}

func TestPrepareRootGivesOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files away: run it as root")
	}
	dir := t.TempDir()
	root, volume := filepath.Join(dir, "root"), filepath.Join(dir, "volume")
	write(t, filepath.Join(root, "a/b"), "b")
	write(t, filepath.Join(root, "theirs"), "x")
	write(t, filepath.Join(volume, "x"), "x")
	if err := os.Chown(filepath.Join(root, "theirs"), 7, 7); err != nil {
		t.Fatal(err)
	}
	s := Sidecar{
		Config:   config.Sidecar{Roots: []config.Root{{Path: root}}, Volumes: []string{volume}},
		StateDir: filepath.Join(dir, "state"), Log: quiet(),
	}
	all, o := newSeedings(s.Config.Folders()), newOwner()
	go s.seedAll(t.Context(), all, o)
	o.set(1234, 5678)
	owner, err := s.prepareRoot(t.Context(), root, all, o)
	if err != nil || owner == nil || owner.UID != 1234 || owner.GID != 5678 {
		t.Errorf("%+v, %v", owner, err)
	}
	for file, want := range map[string]uint32{root: 1234, root + "/a/b": 1234, root + "/theirs": 7, volume: 1234, volume + "/x": 1234} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, want %d", file, got, want)
		}
	}
}
