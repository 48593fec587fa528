//go:build linux

package runner

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/mounts"
)

// dataLink is the link in a volume that the kubelet renames another one over when
// it has written all that is new.
const dataLink = "..data"

// lookInterval is how often the links are read where no event tells of them, as
// where the container has another kernel than the kubelet.
const lookInterval = 10 * time.Second

// serveMounts tells how each mount is, and again when it changes, until the client
// has gone.
func (r *Runner) serveMounts(conn net.Conn, in *bufio.Reader, asked mounts.Request) error {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = in.ReadByte() // it sends nothing more
	}()
	events := r.watchLinks(asked.Paths)
	defer events.close()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	told := map[string]string{}
	for {
		for _, path := range asked.Paths {
			link, err := os.Readlink(filepath.Join(path, dataLink))
			if before, known := told[path]; known && (err != nil || link == before) {
				continue
			}
			told[path] = link
			if err := tell(conn, readMount(path)); err != nil {
				return ignoreClosed(err)
			}
		}
		select {
		case <-events.moved:
		case <-look.C:
		case <-gone:
			return nil
		}
	}
}

func tell(conn net.Conn, m mounts.Mount) error {
	err := m.Verify()
	var b []byte
	if err == nil {
		b, err = mounts.NewMount(m)
	}
	if err != nil {
		b, err = mounts.NewMount(mounts.Mount{Path: m.Path, Problem: err.Error()})
	}
	if err != nil {
		return err
	}
	_, err = conn.Write(b)
	return err
}

// readMount reads a mount as it is at one moment.
func readMount(path string) mounts.Mount {
	const attempts = 10 // the kubelet replaces a volume once a minute at most
	var m mounts.Mount
	for range attempts {
		before, _ := os.Readlink(filepath.Join(path, dataLink))
		var err error
		m, err = readOnce(path, before)
		if err != nil {
			m = mounts.Mount{Path: path, Problem: err.Error()}
		}
		if after, _ := os.Readlink(filepath.Join(path, dataLink)); after == before {
			break
		}
	}
	return m
}

// readOnce reads a mount, or what the link in it leads to.
func readOnce(path, link string) (mounts.Mount, error) {
	m := mounts.Mount{Path: path}
	info, err := os.Stat(path)
	if err != nil {
		return m, err
	}
	if !info.IsDir() {
		m.Single = true
		return m, add(&m, path, "", info)
	}
	root := filepath.Join(path, link)
	return m, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		return add(&m, file, filepath.ToSlash(strings.TrimPrefix(file, root+"/")), info)
	})
}

// add adds a file to a mount, unless the container's user may not read it.
func add(m *mounts.Mount, file, name string, info fs.FileInfo) error {
	left := mounts.MaxContent - m.Size()
	if info.Size() > int64(left) || len(m.Files)+len(m.Unreadable) == mounts.MaxFiles {
		return fmt.Errorf("%s is too large: at most %d files with %d bytes are possible", m.Path, mounts.MaxFiles, mounts.MaxContent)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		m.Unreadable = append(m.Unreadable, name)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, int64(left)+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	m.Files = append(m.Files, mounts.File{Name: name, Mode: info.Mode().Perm(), Content: content})
	return nil
}
