package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// settleQuiet is how long nothing must be heard of a file that is written
// without being closed, until it is reported anyway.
const settleQuiet = 100 * time.Millisecond

// What is asked of the kernel. A file that is written is known by IN_MODIFY
// and complete with IN_CLOSE_WRITE.
const (
	dirMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
		unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB |
		unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK
	rootMask = dirMask | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	// aboveMask is for the folder that holds the root: a folder that some
	// process has open does not report its own deletion.
	aboveMask = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR
)

// An inotify is the source of events on Linux. Only the goroutine of read
// touches its tree of watches once newSource has returned.
type inotify struct {
	// config
	root string
	skip func(string, bool) bool
	file *os.File // the inotify instance, in the runtime's poller
	fd   int      // its number, valid until read ends

	// state
	top     *folder
	folders map[int32]*folder // by watch descriptor
	above   int32             // watch of the folder that holds the root, or -1

	mu     sync.Mutex
	closed bool
	marks  map[int32]chan struct{} // by the watch descriptor of each mark
}

// A folder is one that is watched, or that lost its watch to another name of
// the same folder.
type folder struct {
	path     string // relative to the root, empty for the root
	wd       int32
	children map[string]*folder
}

// newSource watches all folders of the tree.
func newSource(root string, skip func(string, bool) bool) (source, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, limitError(err, root, skip)
	}
	n := &inotify{
		root: root, skip: skip,
		file: os.NewFile(uintptr(fd), "inotify"), fd: fd,
		folders: map[int32]*folder{}, marks: map[int32]chan struct{}{},
	}
	// Without the right to watch it, the root's own events must do.
	if n.above, err = n.addWatch(filepath.Dir(root), aboveMask); err != nil {
		n.above = -1
	}
	n.top = &folder{children: map[string]*folder{}}
	wd, err := n.addWatch(root, rootMask)
	if err == nil {
		n.top.wd, n.folders[wd] = wd, n.top
		err = n.walk(n.top)
	}
	if err != nil {
		return nil, errors.Join(limitError(err, root, skip), n.file.Close())
	}
	return n, nil
}

func (n *inotify) addWatch(path string, mask uint32) (int32, error) {
	for {
		wd, err := unix.InotifyAddWatch(n.fd, path, mask)
		if !errors.Is(err, unix.EINTR) {
			return int32(wd), err
		}
	}
}

// full returns the name of a path in the file system.
func (n *inotify) full(path string) string { return n.root + "/" + path }

// walk watches the folders below f that are not watched yet and forgets those
// that are gone. Each folder is watched before it is read, so that what is
// created meanwhile is either found or reported. Folders that vanish or cannot
// be read are left out: the former will be reported, the latter hold nothing
// that could be synced. The error is that of a limit.
func (n *inotify) walk(f *folder) error {
	entries, err := readDir(n.full(f.path))
	if err != nil {
		return nil
	}
	found := map[string]bool{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		found[e.Name()] = true
		if err := n.enter(f, e.Name()); err != nil {
			return err
		}
	}
	for name := range f.children {
		if !found[name] {
			n.leave(f, name)
		}
	}
	return nil
}

// readDir is os.ReadDir without its sorting.
func readDir(path string) ([]os.DirEntry, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}

// enter watches the folder of that name in f and everything below it.
func (n *inotify) enter(f *folder, name string) error {
	path := join(f.path, name)
	if n.skip(path, true) {
		return nil
	}
	wd, err := n.addWatch(n.full(path), dirMask)
	switch {
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ENOMEM):
		return err
	case err != nil:
		n.leave(f, name)
		return nil
	}
	child := f.children[name]
	if child == nil || child.wd != wd {
		// A folder keeps its watch when it is renamed. If this one was
		// known by another name, that name loses the watch now and is
		// forgotten when the event of its end arrives.
		n.leave(f, name)
		child = &folder{path: path, wd: wd, children: map[string]*folder{}}
		f.children[name], n.folders[wd] = child, child
	}
	return n.walk(child)
}

// leave forgets the folder of that name in f with all that is below it.
func (n *inotify) leave(f *folder, name string) {
	if child, ok := f.children[name]; ok {
		delete(f.children, name)
		n.forget(child)
	}
}

func (n *inotify) forget(f *folder) {
	if n.folders[f.wd] == f {
		delete(n.folders, f.wd)
		// It fails when the folder is gone, which does the same.
		_, _ = unix.InotifyRmWatch(n.fd, uint32(f.wd))
	}
	for _, child := range f.children {
		n.forget(child)
	}
}

// join puts a name below a folder of the tree.
func join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// read implements source.
func (n *inotify) read(emit func([]change)) error {
	defer n.end()
	buf := make([]byte, 256<<10)
	for {
		size, err := n.file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading file system events: %w", err)
		}
		changes, err := n.translate(buf[:size])
		if len(changes) > 0 {
			emit(changes)
		}
		if err != nil {
			return err
		}
	}
}

// An event is one inotify_event of the kernel.
type event struct {
	wd   int32
	mask uint32
	name string
}

// translate turns the bytes of some events into changes. It keeps the watches
// up to date on the way, so that a new folder is watched by the time that it is
// reported.
func (n *inotify) translate(buf []byte) ([]change, error) {
	var changes []change
	for len(buf) >= unix.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(buf[12:]))
		e := event{
			wd:   int32(binary.NativeEndian.Uint32(buf)),
			mask: binary.NativeEndian.Uint32(buf[4:]),
			name: string(bytes.TrimRight(buf[16:16+length], "\x00")),
		}
		buf = buf[unix.SizeofInotifyEvent+length:]
		if e.mask&unix.IN_Q_OVERFLOW != 0 {
			changes = append(changes, change{kind: lost})
			changes = append(changes, n.allMarks()...)
			if err := n.walk(n.top); err != nil {
				return changes, limitError(err, n.root, n.skip)
			}
			continue
		}
		c, err := n.handle(e)
		changes = append(changes, c...)
		if err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// handle deals with one event.
func (n *inotify) handle(e event) ([]change, error) {
	if e.wd == n.above {
		if e.name == filepath.Base(n.root) && e.mask&unix.IN_ISDIR != 0 {
			return nil, ErrRootGone
		}
		return nil, nil
	}
	if e.mask&unix.IN_IGNORED != 0 {
		if done := n.takeMark(e.wd); done != nil {
			return []change{{kind: marked, done: done}}, nil
		}
	}
	f, ok := n.folders[e.wd]
	if !ok {
		return nil, nil
	}
	if e.name == "" {
		return nil, n.handleSelf(f, e.mask)
	}
	if e.mask&unix.IN_ISDIR != 0 {
		return n.handleFolder(f, e)
	}
	path := join(f.path, e.name)
	if n.skip(path, false) {
		return nil, nil
	}
	c := change{path: path, kind: changed}
	switch {
	case e.mask&unix.IN_MODIFY != 0, e.mask&unix.IN_CREATE != 0 && n.isBeingWritten(path):
		c.kind = writing
	case e.mask&unix.IN_ATTRIB != 0:
		c.kind = touched
	}
	return []change{c}, nil
}

// handleSelf deals with an event of a watched folder itself. Its changes are
// reported by the folder above it, all but those of the root.
func (n *inotify) handleSelf(f *folder, mask uint32) error {
	const end = unix.IN_IGNORED | unix.IN_UNMOUNT | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if f == n.top && mask&end != 0 {
		return ErrRootGone
	}
	if mask&unix.IN_IGNORED != 0 {
		delete(n.folders, f.wd)
	}
	return nil
}

// handleFolder deals with an event of a folder inside f.
func (n *inotify) handleFolder(f *folder, e event) ([]change, error) {
	changes := []change{{path: join(f.path, e.name), kind: changed}}
	switch {
	case e.mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		n.leave(f, e.name)
	case e.mask&unix.IN_ATTRIB != 0 && f.children[e.name] != nil:
		// Already watched. If it were not, it may have become readable.
	default:
		if err := n.enter(f, e.name); err != nil {
			return changes, limitError(err, n.root, n.skip)
		}
	}
	return changes, nil
}

// isBeingWritten reports whether a new name is one of an ordinary file that its
// creator has yet to write and close. A link is complete as soon as it exists.
func (n *inotify) isBeingWritten(path string) bool {
	var st unix.Stat_t
	err := unix.Lstat(n.full(path), &st)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1
}

// mark implements source. The removal of a watch is reported in the same queue
// as everything else, so that it arrives behind all that has happened before.
// What is watched for a moment here is a file, because the tree's own watches are
// all on folders.
func (n *inotify) mark(done chan struct{}) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	wd, err := n.addWatch(os.DevNull, unix.IN_DELETE_SELF)
	if err != nil {
		return err
	}
	n.marks[wd] = done
	_, err = unix.InotifyRmWatch(n.fd, uint32(wd))
	return err
}

func (n *inotify) takeMark(wd int32) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	done := n.marks[wd]
	delete(n.marks, wd)
	return done
}

// allMarks takes all marks, whose events may have been lost.
func (n *inotify) allMarks() []change {
	n.mu.Lock()
	defer n.mu.Unlock()
	var changes []change
	for _, done := range n.marks {
		changes = append(changes, change{kind: marked, done: done})
	}
	clear(n.marks)
	return changes
}

// lossy implements source: the kernel reports the overflow of its queue.
func (n *inotify) lossy() bool { return false }

// close implements source. It wakes read, which then lets go of the instance:
// nobody else knows when its number is no longer in use.
func (n *inotify) close() {
	// It fails when read has ended already.
	_ = n.file.SetReadDeadline(time.Unix(1, 0))
}

func (n *inotify) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	_ = n.file.Close()
}
