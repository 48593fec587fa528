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

// An inotify is the source of events on Linux.
type inotify struct {
	// config
	root   string
	skip   func(string, bool) bool
	file   *os.File // the inotify instance, in the runtime's poller
	fd     int      // its number, valid until read ends
	silent string   // why no events are to be expected
	// state
	early  []byte     // events that were read while the source was made
	treeMu sync.Mutex // guards tree
	tree   watches
	mu     sync.Mutex // guards marks, and the watch that one leaves to the next
	marks  marks
}

// bufferSize is how many bytes of events are read at once.
const bufferSize = 256 << 10

// marks are the ends of the queue that somebody waits for.
type marks struct {
	closed  bool
	waiting map[int32]chan struct{} // by the watch descriptor of each mark
	spare   int32                   // a watch to be removed for the next mark, or -1
}

// newSource watches all folders of the tree, or as many as the system allows,
// unless they are watched later.
func newSource(root string, opts Options) (source, error) {
	n := &inotify{root: root, skip: opts.Skip, silent: remoteFileSystem(root)}
	if err := n.start(); err != nil {
		return nil, err
	}
	if n.silent == "" && opts.Probe != "" && !n.probe(opts.Probe) {
		n.silent = "the file system reports no changes"
	}
	if opts.Later {
		return n, nil
	}
	n.walk(n.tree.top)
	if n.tree.missing > 0 {
		// What has a watch by now was found by chance. Choose.
		_ = n.file.Close()
		if err := n.start(); err != nil {
			return nil, err
		}
		n.choose()
	}
	return n, nil
}

// start makes the instance and watches the root and what is above it.
func (n *inotify) start() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return limitError(err, 1)
	}
	n.file, n.fd = os.NewFile(uintptr(fd), "inotify"), fd
	n.marks = marks{waiting: map[int32]chan struct{}{}}
	_ = n.spareLocked() // mark tries again
	n.early = nil
	n.tree = watches{top: &folder{}, folders: map[int32]*folder{}}
	// Without the right to watch it, the root's own events must do.
	if n.tree.above, err = n.addWatch(filepath.Dir(n.root), aboveMask); err != nil {
		n.tree.above = -1
	}
	wd, err := n.addWatch(n.root, rootMask)
	if err != nil {
		_ = n.file.Close()
		return limitError(err, 1)
	}
	n.tree.top.wd, n.tree.folders[wd] = wd, n.tree.top
	return nil
}

// probe reports whether the kernel tells of a file that appears in the root. It
// queues its events before the call that causes them returns, so that there is
// nothing to wait for. Where no file can be made the answer is yes.
func (n *inotify) probe(name string) bool {
	path := filepath.Join(n.root, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return true
	}
	_ = f.Close()
	_ = os.Remove(path)
	buf := make([]byte, bufferSize)
	for {
		size, err := unix.Read(n.fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || size <= 0 {
			return bytes.Contains(n.early, []byte(name))
		}
		n.early = append(n.early, buf[:size]...)
	}
}

func (n *inotify) addWatch(path string, mask uint32) (int32, error) {
	for {
		wd, err := unix.InotifyAddWatch(n.fd, path, mask)
		if !errors.Is(err, unix.EINTR) {
			return int32(wd), err
		}
	}
}

// read implements source.
func (n *inotify) read(emit func([]change)) error {
	defer n.end()
	err := n.pass(n.early, emit)
	n.early = nil
	for buf := make([]byte, bufferSize); err == nil; {
		var size int
		size, err = n.file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading file system events: %w", err)
		}
		err = n.pass(buf[:size], emit)
	}
	return err
}

// pass passes on what the bytes of some events mean.
func (n *inotify) pass(buf []byte, emit func([]change)) error {
	changes, err := n.translate(buf)
	if len(changes) > 0 {
		emit(changes)
	}
	return err
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
	n.treeMu.Lock()
	defer n.treeMu.Unlock()
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
			n.walk(n.tree.top)
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
	if e.wd == n.tree.above {
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
	f, ok := n.tree.folders[e.wd]
	if !ok {
		return nil, nil
	}
	if e.name == "" {
		return nil, n.handleSelf(f, e.mask)
	}
	if e.mask&unix.IN_ISDIR != 0 {
		return n.handleFolder(f, e), nil
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
	if f == n.tree.top && mask&end != 0 {
		return ErrRootGone
	}
	if mask&unix.IN_IGNORED != 0 {
		delete(n.tree.folders, f.wd)
	}
	return nil
}

// handleFolder deals with an event of a folder inside f.
func (n *inotify) handleFolder(f *folder, e event) []change {
	switch {
	case e.mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		n.leave(f, e.name)
	case e.mask&unix.IN_ATTRIB != 0 && f.children[e.name].watched():
		// Already watched. If it were not, it may have become readable.
	default:
		n.follow(f, e.name)
	}
	return []change{{path: join(f.path, e.name), kind: changed}}
}

// isBeingWritten reports whether a new name is one of an ordinary file that its
// creator has yet to write and close. A link is complete as soon as it exists.
func (n *inotify) isBeingWritten(path string) bool {
	var st unix.Stat_t
	name, release, err := n.reach(path)
	if err == nil {
		err = unix.Lstat(name, &st)
		release()
	}
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1
}

// mark implements source. The removal of a watch is reported in the same queue
// as everything else, so that it arrives behind all that has happened before.
// What is removed is the watch of a file, because the tree's own watches are all
// on folders. It was set beforehand: at the system's limit there is no other.
func (n *inotify) mark(done chan struct{}) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.marks.closed {
		return ErrClosed
	}
	if n.marks.spare < 0 {
		if err := n.spareLocked(); err != nil {
			return err
		}
	}
	wd := n.marks.spare
	n.marks.waiting[wd] = done
	if _, err := unix.InotifyRmWatch(n.fd, uint32(wd)); err != nil {
		delete(n.marks.waiting, wd)
		n.marks.spare = -1
		return err
	}
	// Should another program have been quicker, the next mark tries again.
	_ = n.spareLocked()
	return nil
}

// spareLocked sets the watch for the next mark.
func (n *inotify) spareLocked() error {
	wd, err := n.addWatch(os.DevNull, unix.IN_DELETE_SELF)
	if err != nil {
		wd = -1
	}
	n.marks.spare = wd
	return err
}

func (n *inotify) takeMark(wd int32) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	done := n.marks.waiting[wd]
	delete(n.marks.waiting, wd)
	return done
}

// allMarks takes all marks, whose events may have been lost.
func (n *inotify) allMarks() []change {
	n.mu.Lock()
	defer n.mu.Unlock()
	var changes []change
	for _, done := range n.marks.waiting {
		changes = append(changes, change{kind: marked, done: done})
	}
	clear(n.marks.waiting)
	return changes
}

// close implements source. It wakes read, which then lets go of the instance:
// nobody else knows when its number is no longer in use.
func (n *inotify) close() {
	// It fails when read has ended already.
	_ = n.file.SetReadDeadline(time.Unix(1, 0))
}

func (n *inotify) hasEnded() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.marks.closed
}

func (n *inotify) end() {
	n.treeMu.Lock()
	defer n.treeMu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.marks.closed = true
	_ = n.file.Close()
}
