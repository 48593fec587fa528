//go:build linux

package runner

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// linkWatch tells that a link of a volume may have been replaced.
type linkWatch struct {
	moved <-chan struct{}
	// file is inotify's; nil where there is none.
	file *os.File
	done chan struct{}
}

// watchLinks watches those of the mounts that have such a link. What cannot be
// watched has to be looked at.
func (r *Runner) watchLinks(paths []string) linkWatch {
	moved := make(chan struct{}, 1)
	w := linkWatch{moved: moved, done: make(chan struct{})}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		r.log.Warn("mounts are looked at every now and then", "err", err)
		close(w.done)
		return w
	}
	w.file = os.NewFile(uintptr(fd), "inotify")
	for _, path := range paths {
		if _, err := os.Lstat(filepath.Join(path, dataLink)); err != nil {
			continue
		}
		if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MOVED_TO|unix.IN_CREATE|unix.IN_ONLYDIR); err != nil {
			r.log.Warn("a mount is looked at every now and then", "path", path, "err", err)
		}
	}
	go func() {
		defer close(w.done)
		events := make([]byte, 4096)
		for {
			if _, err := w.file.Read(events); err != nil {
				return
			}
			select {
			case moved <- struct{}{}:
			default:
			}
		}
	}()
	return w
}

// close ends watching.
func (w linkWatch) close() {
	if w.file != nil {
		_ = w.file.Close()
	}
	<-w.done
}
