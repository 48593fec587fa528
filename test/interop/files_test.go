//go:build linux

package interop

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// facts is what a copy keeps of a file.
type facts struct {
	Mode    fs.FileMode
	Content string
	ModTime time.Time
}

// makeTree fills a folder with what copies get wrong.
func makeTree(t *testing.T, dir string) {
	t.Helper()
	large := make([]byte, 3<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(large)
	files := map[string]struct {
		mode    fs.FileMode
		content []byte
	}{
		"empty":                  {0o644, nil},
		"large":                  {0o640, large},
		"run.sh":                 {0o755, []byte("#!/bin/sh\n")},
		"deep/er/and/deeper/x":   {0o600, []byte("x")},
		"with space/ü ñ '\"$x*;": {0o644, []byte("name")},
	}
	for name, f := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f.content, f.mode); err != nil {
			t.Fatal(err)
		}
		then := time.Unix(1_600_000_000+int64(len(name)), 0)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
}

// readTree returns the regular files below a folder.
func readTree(t *testing.T, dir string) map[string]facts {
	t.Helper()
	tree := map[string]facts{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		tree[name] = facts{info.Mode(), string(content), info.ModTime()}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// sameTree compares two folders: content always, modes and times as asked.
func sameTree(t *testing.T, got, want string, kept bool) {
	t.Helper()
	g, w := readTree(t, got), readTree(t, want)
	for _, tree := range []map[string]facts{g, w} {
		for name, f := range tree {
			if !kept {
				f.Mode, f.ModTime = 0, time.Time{}
			}
			f.Content = fmt.Sprintf("%d bytes, %x", len(f.Content), crc(f.Content))
			tree[name] = f
		}
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("%s differs from %s (-want +got):\n%s", got, want, diff)
	}
}

func crc(s string) uint32 {
	var sum uint32
	for _, c := range []byte(s) {
		sum = sum*31 + uint32(c)
	}
	return sum
}

func TestSFTP(t *testing.T) {
	need(t, "sftp", "openssh-client")
	p := start(t)
	makeTree(t, p.path("local"))
	p.write("batch", strings.Join([]string{
		"put -rp " + p.path("local") + " copy",
		"get -rp copy " + p.path("back"),
		"rename copy/large copy/renamed",
		"symlink renamed copy/link",
		"chmod 600 copy/run.sh",
		"mkdir made",
		"rmdir made",
		"rm copy/empty",
		"ls -la copy",
		"df",
		"pwd",
	}, "\n")+"\n")
	out := p.run("sftp", "-F", p.path("ssh_config"), "-b", p.path("batch"), "dev")
	if !strings.Contains(out, "Remote working directory: "+p.work) {
		t.Errorf("sftp does not start in the working directory:\n%s", out)
	}
	sameTree(t, p.path("back"), p.path("local"), true)
	if target, err := os.Readlink(filepath.Join(p.work, "copy/link")); err != nil || target != "renamed" {
		t.Errorf("link: %q, %v", target, err)
	}
	if info, err := os.Stat(filepath.Join(p.work, "copy/run.sh")); err != nil || info.Mode() != 0o600 {
		t.Errorf("chmod: %v, %v", info, err)
	}
	// The whole file system is served, not only the workspace.
	if out := p.run("sftp", "-F", p.path("ssh_config"), "-b", "-", "dev"); out != "" {
		t.Errorf("an empty batch says %q", out)
	}
	p.write("batch", "ls /etc/hostname\n")
	if out := p.run("sftp", "-F", p.path("ssh_config"), "-b", p.path("batch"), "dev"); !strings.Contains(out, "/etc/hostname") {
		t.Errorf("ls /etc/hostname: %q", out)
	}
}

// toolbox makes a folder of links to programs, for a PATH without others.
func (p *pod) toolbox(programs ...string) string {
	p.t.Helper()
	dir := p.path("toolbox")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	for _, program := range programs {
		file, err := exec.LookPath(program)
		if err != nil {
			p.t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(dir, program)); err != nil {
			p.t.Fatal(err)
		}
	}
	return dir
}

func withoutSCP(p *pod) { p.env = append(p.env, "PATH="+p.toolbox("sh", "cat")) }

func TestSCP(t *testing.T) {
	need(t, "scp", "openssh-client")
	for name, test := range map[string]struct {
		flags   []string
		options []option
	}{
		"sftp mode":                        {nil, nil},
		"old mode, answered by the image":  {[]string{"-O"}, nil},
		"old mode, answered by the agent":  {[]string{"-O"}, []option{withoutSCP}},
		"sftp mode without scp":            {nil, []option{withoutSCP}},
		"verbose old mode, by the agent":   {[]string{"-O", "-v"}, []option{withoutSCP}},
		"compressed old mode by the agent": {[]string{"-O", "-C"}, []option{withoutSCP}},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, test.options...)
			scp := func(args ...string) string {
				t.Helper()
				return p.run("scp", append(append([]string{"-F", p.path("ssh_config")}, test.flags...), args...)...)
			}
			makeTree(t, p.path("local"))
			scp("-rp", p.path("local"), "dev:copy")
			sameTree(t, filepath.Join(p.work, "copy"), p.path("local"), true)
			scp("-rp", "dev:copy", p.path("back"))
			sameTree(t, p.path("back"), p.path("local"), true)

			// Into a folder that is there, several at once, one file renamed.
			if err := os.Mkdir(filepath.Join(p.work, "into"), 0o755); err != nil {
				t.Fatal(err)
			}
			scp(p.path("local/large"), p.path("local/run.sh"), "dev:into")
			scp(p.path("local/large"), "dev:into/renamed")
			scp("dev:into/renamed", p.path("renamed"))
			for _, pair := range [][2]string{
				{filepath.Join(p.work, "into/large"), p.path("local/large")},
				{filepath.Join(p.work, "into/run.sh"), p.path("local/run.sh")},
				{p.path("renamed"), p.path("local/large")},
			} {
				got, err := os.ReadFile(pair[0])
				want, _ := os.ReadFile(pair[1])
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes of %d, %v", pair[0], len(got), len(want), err)
				}
			}
			// A pattern is expanded on the other side.
			if err := os.Mkdir(p.path("globbed"), 0o755); err != nil {
				t.Fatal(err)
			}
			scp("dev:into/r*", p.path("globbed"))
			if got := readTree(t, p.path("globbed")); len(got) != 2 {
				t.Errorf("a pattern for two files brought %d", len(got))
			}
			c := p.command("scp", append(append([]string{"-F", p.path("ssh_config")}, test.flags...), "dev:missing", p.path("x"))...)
			if status, stderr := exitStatus(t, c); status != 1 || !strings.Contains(stderr, "o such file") {
				t.Errorf("a missing file: status %d, %q", status, stderr)
			}
		})
	}
}

func TestRsync(t *testing.T) {
	need(t, "rsync", "rsync")
	p := start(t)
	makeTree(t, p.path("local"))
	shell := "ssh -F " + p.path("ssh_config")
	p.run("rsync", "-a", "--delete", "-e", shell, p.path("local")+"/", "dev:copy/")
	sameTree(t, filepath.Join(p.work, "copy"), p.path("local"), true)
	if err := os.Remove(p.path("local/large")); err != nil {
		t.Fatal(err)
	}
	p.run("rsync", "-az", "--delete", "-e", shell, p.path("local")+"/", "dev:copy/")
	sameTree(t, filepath.Join(p.work, "copy"), p.path("local"), true)
	p.run("rsync", "-a", "-e", shell, "dev:copy/", p.path("back")+"/")
	sameTree(t, p.path("back"), p.path("local"), true)
}

func TestSSHFS(t *testing.T) {
	need(t, "sshfs", "sshfs")
	need(t, "fusermount3", "fuse3")
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skipf("this machine has no FUSE (%v): make test runs this test against a cluster on one that has", err)
	} else {
		f.Close()
	}
	p := start(t)
	mount := p.path("mount")
	if err := os.Mkdir(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	p.run("sshfs", "-F", p.path("ssh_config"), "dev:", mount)
	t.Cleanup(func() { _ = exec.Command("fusermount3", "-uz", mount).Run() })
	makeTree(t, filepath.Join(mount, "tree"))
	sameTree(t, filepath.Join(p.work, "tree"), filepath.Join(mount, "tree"), true)
	if err := os.Rename(filepath.Join(mount, "tree/run.sh"), filepath.Join(mount, "tree/empty")); err != nil {
		t.Errorf("renaming over a file: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(mount, "tree")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(p.work, "tree")); !os.IsNotExist(err) {
		t.Errorf("the removed tree: %v", err)
	}
	p.run("fusermount3", "-u", mount)
}
