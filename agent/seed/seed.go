//go:build linux

// Package seed copies what an image has at the path of a workspace into the
// workspace, before anything else uses it.
//
// Modes, owners (as root), times, symbolic links and empty folders are kept.
// What the user of this process may not read is left out. What the target has already is never touched. Each file appears whole, so
// that a copy that was killed can be done again.
package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stageDir is where files are written before they get their name, inside the
// target, whose file system may be one of its own. It is there only while a
// copy runs or was killed.
const stageDir = ".okteto-seed"

// workers is how many files are copied at once. Small files wait for the disk,
// not for a processor, so that it follows no number of processors.
const workers = 16

// Tree is what to copy, and where.
type Tree struct {
	// Image is the folder that holds the files of the image.
	Image string
	// From is a path in the image. Links on the way to it are followed as a
	// process in the image would.
	From string
	// To is the folder to fill.
	To string
	// Exclude are folders to leave out, relative to both.
	Exclude []string
}

// Copy copies the tree. Where the image has no folder at the path, nothing is
// copied and found is false.
func (t Tree) Copy(ctx context.Context) (found bool, err error) {
	root, err := os.OpenRoot(t.Image)
	if err != nil {
		return false, fmt.Errorf("opening the image's files: %w", err)
	}
	defer root.Close()
	dir, err := resolve(root, t.From)
	if err == nil {
		var info fs.FileInfo
		if info, err = root.Lstat(dir); err == nil && !info.IsDir() {
			return false, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("finding %s in the image: %w", t.From, err)
	}
	src, err := root.OpenRoot(dir)
	if err != nil {
		return false, fmt.Errorf("opening %s of the image: %w", t.From, err)
	}
	defer src.Close()
	dst, err := os.OpenRoot(t.To)
	if err != nil {
		return false, fmt.Errorf("opening the workspace: %w", err)
	}
	defer dst.Close()
	c := &copier{src: src, dst: dst, exclude: t.Exclude, asRoot: os.Geteuid() == 0, free: make(chan struct{}, workers)}
	if err := c.run(ctx); err != nil {
		return true, fmt.Errorf("seeding %s: %w", t.To, err)
	}
	return true, nil
}

// Fresh says whether a folder is as it was made: nothing is in it but what a
// file system puts there or a copy that was killed left.
func Fresh(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	fresh := true
	for _, e := range entries {
		switch e.Name() {
		case stageDir:
			return true, nil
		case "lost+found":
		default:
			fresh = false
		}
	}
	return fresh, nil
}

// resolve follows the links of a path inside a root, where an absolute link
// starts at the root again.
func resolve(root *os.Root, name string) (string, error) {
	done, rest := ".", strings.Split(strings.Trim(path.Clean(name), "/"), "/")
	for links := 0; len(rest) > 0; {
		next := path.Join(done, rest[0])
		if rest[0] == ".." {
			next = path.Dir(done)
		}
		rest = rest[1:]
		info, err := root.Lstat(next)
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			done = next
			continue
		}
		if links++; links > 40 {
			return "", &fs.PathError{Op: "open", Path: name, Err: syscall.ELOOP}
		}
		target, err := root.Readlink(next)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			done = "."
		}
		rest = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), rest...)
	}
	return done, nil
}

// copier copies one tree.
type copier struct {
	// config
	src, dst *os.Root
	exclude  []string
	asRoot   bool

	// state
	free    chan struct{}
	group   sync.WaitGroup
	stages  atomic.Int64
	failure failure
	// folders were made here, parents first: their modes and times are set
	// when nothing is put into them any more.
	folders []folder
}

type folder struct {
	name string
	info fs.FileInfo
}

// failure keeps the first error.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (c *copier) run(ctx context.Context) error {
	fresh, err := Fresh(c.dst.Name())
	if err != nil {
		return err
	}
	// What a killed copy left behind is worth nothing.
	if err := c.dst.RemoveAll(stageDir); err != nil {
		return err
	}
	if err := c.dst.Mkdir(stageDir, 0o700); err != nil {
		return err
	}
	if fresh {
		info, err := c.src.Stat(".")
		if err != nil {
			return err
		}
		c.folders = append(c.folders, folder{".", info})
	}
	err = c.walk(ctx, ".")
	c.group.Wait()
	if err == nil {
		err = c.failure.get()
	}
	if err != nil {
		return err
	}
	if err := c.dst.RemoveAll(stageDir); err != nil {
		return err
	}
	for _, f := range slices.Backward(c.folders) {
		if err := c.finishFolder(f); err != nil {
			return err
		}
	}
	return nil
}

// walk copies what is in a folder.
func (c *copier) walk(ctx context.Context, dir string) error {
	f, err := c.src.Open(dir)
	if err != nil {
		return readable(err)
	}
	entries, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.failure.get(); err != nil {
			return err
		}
		name := path.Join(dir, e.Name())
		if slices.Contains(c.exclude, name) || name == stageDir {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if err := c.entry(ctx, name, info); err != nil {
			return err
		}
	}
	return nil
}

// entry copies one entry. Devices, sockets and pipes are left out: a workspace
// is made of files.
func (c *copier) entry(ctx context.Context, name string, info fs.FileInfo) error {
	switch info.Mode().Type() {
	case fs.ModeDir:
		// While it is filled only we need to get in.
		err := c.dst.Mkdir(name, 0o700)
		switch {
		case err == nil:
			c.folders = append(c.folders, folder{name, info})
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		if there, err := c.dst.Lstat(name); err != nil || !there.IsDir() {
			return err
		}
		return c.walk(ctx, name)
	case fs.ModeSymlink:
		return c.link(name, info)
	case 0:
		c.free <- struct{}{}
		c.group.Go(func() {
			defer func() { <-c.free }()
			if err := c.file(name, info); err != nil {
				c.failure.set(err)
			}
		})
	}
	return nil
}

func (c *copier) link(name string, info fs.FileInfo) error {
	target, err := c.src.Readlink(name)
	if err != nil {
		return err
	}
	err = c.dst.Symlink(target, name)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil && c.asRoot {
		stat := info.Sys().(*syscall.Stat_t)
		err = c.dst.Lchown(name, int(stat.Uid), int(stat.Gid))
	}
	return err
}

// file copies a regular file to the stage and gives it its name when it is
// complete.
func (c *copier) file(name string, info fs.FileInfo) error {
	if _, err := c.dst.Lstat(name); err == nil {
		return nil
	}
	src, err := c.src.Open(name)
	if err != nil {
		return readable(err)
	}
	defer src.Close()
	stage := path.Join(stageDir, strconv.FormatInt(c.stages.Add(1), 10))
	dst, err := c.dst.OpenFile(stage, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	stat := info.Sys().(*syscall.Stat_t)
	if err == nil && c.asRoot {
		// Before the mode: a change of owner clears the set-id bits.
		err = dst.Chown(int(stat.Uid), int(stat.Gid))
	}
	if err = errors.Join(err, dst.Chmod(info.Mode()), dst.Close()); err != nil {
		return err
	}
	if err := c.dst.Chtimes(stage, accessTime(stat), info.ModTime()); err != nil {
		return err
	}
	return c.publish(stage, name)
}

// readable drops the refusal to read what belongs to another user of the
// image: whoever works in the dev container could not read it either.
func readable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// publish gives a staged file its name unless that is taken.
func (c *copier) publish(stage, name string) error {
	err := c.dst.Link(stage, name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return c.dst.Remove(stage)
	}
	// A file system without hard links. Nobody else works here yet.
	if _, statErr := c.dst.Lstat(name); !errors.Is(statErr, fs.ErrNotExist) {
		return errors.Join(err, statErr)
	}
	return c.dst.Rename(stage, name)
}

func (c *copier) finishFolder(f folder) error {
	stat := f.info.Sys().(*syscall.Stat_t)
	if c.asRoot {
		if err := c.dst.Lchown(f.name, int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	err := errors.Join(
		c.dst.Chmod(f.name, f.info.Mode()),
		c.dst.Chtimes(f.name, accessTime(stat), f.info.ModTime()))
	if err != nil && f.name == "." && errors.Is(err, fs.ErrPermission) {
		// The top is the volume's, and may belong to somebody else.
		return nil
	}
	return err
}

func accessTime(stat *syscall.Stat_t) time.Time { return time.Unix(stat.Atim.Unix()) }
