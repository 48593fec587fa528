// Package images makes the base images of the tests from what the machine
// has, without another registry: static programs, Debian's busybox, and a
// Debian tree by debootstrap. They are cached as OCI image layouts.
package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/components"
)

// Files of the machine that go into images.
const (
	busybox      = "/bin/busybox"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
	systemPath   = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// image is what a base image is made of.
type image struct {
	config runConfig
	layer  func(*tar.Writer) error
}

// Make makes the small images that are not in the cache folder yet and
// returns their layout folders by name. source is the folder of this package.
func Make(ctx context.Context, source, cache string) (map[string]string, error) {
	box, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	sum, err := components.Key(os.DirFS(source), string(box))
	if err != nil {
		return nil, fmt.Errorf("keying the images: %w", err)
	}
	dir := filepath.Join(cache, "images-"+sum)
	err = components.Once(dir, func(tmp string) error {
		bin, err := os.MkdirTemp(cache, ".programs-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(bin) }()
		if err := components.Build(ctx, source, bin, "./pause", "./web"); err != nil {
			return err
		}
		for name, image := range small(bin) {
			if err := layout(filepath.Join(tmp, name)).write(image.config, image.layer); err != nil {
				return fmt.Errorf("image %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("making images: %w", err)
	}
	layouts := map[string]string{}
	for name := range small("") {
		layouts[name] = filepath.Join(dir, name)
	}
	return layouts, nil
}

// small are the images made of single files; bin is where the programs are.
func small(bin string) map[string]image {
	box := []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin"}
	return map[string]image{
		"pause": {runConfig{Entrypoint: []string{"/pause"}}, func(w *tar.Writer) error {
			return addFile(w, filepath.Join(bin, "pause"), "pause")
		}},
		"web": {runConfig{Entrypoint: []string{"/web"}, WorkingDir: "/app"}, func(w *tar.Writer) error {
			return addFile(w, filepath.Join(bin, "web"), "web")
		}},
		"busybox": {runConfig{Env: box, Cmd: []string{"sh"}}, func(w *tar.Writer) error {
			return addBusybox(w, "root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n")
		}},
		"busybox-user": {runConfig{Env: box, Cmd: []string{"sh"}, User: "user", WorkingDir: "/home/user"}, func(w *tar.Writer) error {
			if err := addBusybox(w, "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n", "root:x:0:\nuser:x:1000:\n"); err != nil {
				return err
			}
			return add(w, tar.Header{Name: "home/user/", Mode: 0o755, Uid: 1000, Gid: 1000}, nil)
		}},
		"distroless": {runConfig{
			Env: []string{systemPath}, Entrypoint: []string{"/app/web"}, User: "65532", WorkingDir: "/home/nonroot",
		}, func(w *tar.Writer) error { return addDistroless(w, filepath.Join(bin, "web")) }},
	}
}

// addDistroless adds one program and the few files that a static program
// looks for, but no shell and no library.
func addDistroless(w *tar.Writer, program string) error {
	err := errors.Join(
		add(w, tar.Header{Name: "tmp/", Mode: 0o1777}, nil),
		add(w, tar.Header{Name: "home/nonroot/", Mode: 0o700, Uid: 65532, Gid: 65532}, nil),
		add(w, tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")),
		add(w, tar.Header{Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nnonroot:x:65532:\n")),
		addFile(w, program, "app/web"),
	)
	if err != nil {
		return err
	}
	err = addFile(w, certificates, strings.TrimPrefix(certificates, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a machine without certificates makes an image without them
	}
	return err
}

// addBusybox adds busybox with a link for each of its applets.
func addBusybox(w *tar.Writer, passwd, group string) error {
	applets, err := exec.Command(busybox, "--list-full").Output()
	if err != nil {
		return fmt.Errorf("listing busybox's applets: %w", err)
	}
	err = errors.Join(
		addFile(w, busybox, "bin/busybox"),
		add(w, tar.Header{Name: "tmp/", Mode: 0o1777}, nil),
		add(w, tar.Header{Name: "root/", Mode: 0o700}, nil),
		add(w, tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte(passwd)),
		add(w, tar.Header{Name: "etc/group", Mode: 0o644}, []byte(group)),
		// Without this file the C library inside busybox looks for plugins that
		// no image has, and crashes.
		add(w, tar.Header{Name: "etc/nsswitch.conf", Mode: 0o644}, []byte("passwd: files\ngroup: files\nhosts: files dns\n")),
	)
	for name := range strings.Lines(string(applets)) {
		name = strings.TrimSpace(name)
		if path.Base(name) != "busybox" {
			err = errors.Join(err, add(w, tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: busybox, Mode: 0o777}, nil))
		}
	}
	return err
}

// addFile adds a file of the machine, executable if it is so there.
func addFile(w *tar.Writer, from, name string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	return add(w, tar.Header{Name: name, Mode: int64(info.Mode().Perm())}, content)
}

// add adds an entry with all its content. A name that ends in a slash is a
// folder. Times are left out, so that an image depends on nothing but its
// content.
func add(w *tar.Writer, header tar.Header, content []byte) error {
	header.Size = int64(len(content))
	if err := w.WriteHeader(&header); err != nil {
		return err
	}
	_, err := io.Copy(w, bytes.NewReader(content))
	return err
}
