package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/components"
)

const (
	debianSuite  = "bookworm"
	debianMirror = "http://deb.debian.org/debian"
	// debianPackages make an image with what a developer's has: a shell, git,
	// a language, and rsync; no SSH.
	debianPackages = "bash,ca-certificates,git,procps,python3,rsync"
)

// Debian makes the Debian image unless it is in the cache folder and returns
// its layout folder. It takes about a minute, needs root, and downloads from
// the mirror that the machine's own apt uses, else from Debian's.
func Debian(ctx context.Context, cache string, progress func(format string, args ...any)) (string, error) {
	sum, err := components.Key(nil, debianSuite, debianPackages)
	if err != nil {
		return "", fmt.Errorf("keying the Debian image: %w", err)
	}
	dir := filepath.Join(cache, "debian-"+sum)
	err = components.Once(dir, func(tmp string) error {
		progress("making the Debian image (a minute, only the first time)")
		root, err := os.MkdirTemp(cache, ".debootstrap-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(root) }()
		command := exec.CommandContext(ctx, "/usr/sbin/debootstrap", "--variant=minbase", "--include="+debianPackages,
			debianSuite, root, mirror())
		command.Env = append(os.Environ(), systemPath)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("debootstrap: %w\n%s", err, output[max(0, len(output)-2000):])
		}
		config := runConfig{Env: []string{systemPath}, Cmd: []string{"bash"}, WorkingDir: "/app"}
		return layout(tmp).write(config, func(w *tar.Writer) error {
			if err := addTree(w, root, "", leftOut); err != nil {
				return err
			}
			return add(w, tar.Header{Name: "app/", Mode: 0o755}, nil)
		})
	})
	if err != nil {
		return "", fmt.Errorf("making the Debian image: %w", err)
	}
	return dir, nil
}

// mirror returns the Debian mirror that the machine itself uses.
func mirror() string {
	output, err := exec.Command("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)").Output()
	if err != nil {
		return debianMirror // no apt here
	}
	for line := range strings.Lines(string(output)) {
		site, release, _ := strings.Cut(strings.TrimSpace(line), " ")
		if release == debianSuite {
			return site
		}
	}
	return debianMirror
}

// leftOut says that a path of a fresh Debian is of no use in an image.
func leftOut(name string) bool {
	for _, dir := range []string{"dev", "proc", "sys", "var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"} {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// addTree adds all that is below a folder and not left out, with its owners and
// modes, below prefix: "", or a path that ends in a slash.
func addTree(w *tar.Writer, root, prefix string, leftOut func(name string) bool) error {
	return filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || leftOut(name) {
			return err
		}
		link := ""
		if info.Mode()&os.ModeSymlink != 0 {
			if link, err = os.Readlink(path); err != nil {
				return err
			}
		}
		header, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		header.Name, header.Uname, header.Gname = prefix+name, "", ""
		if info.IsDir() {
			header.Name += "/"
		}
		if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, file)
		return errors.Join(err, file.Close())
	})
}
