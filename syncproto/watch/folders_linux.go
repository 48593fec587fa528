package watch

import (
	"cmp"
	"container/heap"
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// watches are the folders of a tree that the kernel watches.
type watches struct {
	top     *folder
	folders map[int32]*folder // by watch descriptor
	above   int32             // watch of the folder that holds the root, or -1
	missing int               // folders without a watch, not counting what is below them
	limited *LimitError       // why some are missing; nil as long as nobody asked
	counted int               // how many were missing when limited was made
}

// unwatched takes the place of the watch descriptor of a folder for which the
// system had no watch left. What is below it has none either.
const unwatched = -1

// A folder is one that is watched, or should be, or that lost its watch to
// another name of the same folder.
type folder struct {
	path     string // relative to the root, empty for the root
	wd       int32
	children map[string]*folder // nil for none
}

func (f *folder) watched() bool { return f != nil && f.wd != unwatched }

// walk watches the folders below f that are not watched yet and forgets those
// that are gone. Each folder is watched before it is read, so that what is
// created meanwhile is either found or reported. Folders that vanish or cannot
// be read are left out: the former will be reported, the latter hold nothing
// that could be synced.
func (n *inotify) walk(f *folder) {
	entries, err := n.readDir(f.path)
	if err != nil {
		return
	}
	found := map[string]bool{}
	for _, e := range entries {
		if e.IsDir() {
			found[e.Name()] = true
			n.follow(f, e.Name())
		}
	}
	for name := range f.children {
		if !found[name] {
			n.leave(f, name)
		}
	}
}

// readDir is os.ReadDir without its sorting.
func (n *inotify) readDir(path string) ([]os.DirEntry, error) {
	name, release, err := n.reach(path)
	if err != nil {
		return nil, err
	}
	defer release()
	dir, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.ReadDir(-1)
}

// enter implements stepwise.
func (n *inotify) enter(path string) {
	n.treeMu.Lock()
	defer n.treeMu.Unlock()
	if n.hasEnded() {
		return
	}
	f, rest := n.tree.top, path
	for f.watched() {
		name, below, more := strings.Cut(rest, "/")
		child := f.children[name]
		if !more {
			if !child.watched() && name != "" {
				n.add(f, name)
			}
			return
		}
		f, rest = child, below
	}
}

// follow watches the folder of that name in f and everything below it.
func (n *inotify) follow(f *folder, name string) {
	if child := n.add(f, name); child.watched() {
		n.walk(child)
	}
}

// add watches the folder of that name in f. It returns nil where there is
// nothing to watch, and a folder without a watch where the limit is reached.
func (n *inotify) add(f *folder, name string) *folder {
	path := join(f.path, name)
	if n.skip(path, true) {
		return nil
	}
	wd := int32(unwatched)
	full, release, err := n.reach(path)
	if err == nil {
		// At the limit it would take the watch that a mark has just given up for
		// the next one.
		n.mu.Lock()
		wd, err = n.addWatch(full, dirMask)
		n.mu.Unlock()
		release()
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENAMETOOLONG):
		wd = unwatched
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
		child = &folder{path: path, wd: wd}
		n.place(f, child)
	}
	return child
}

// place makes child a folder in f.
func (n *inotify) place(f, child *folder) {
	if f.children == nil {
		f.children = map[string]*folder{}
	}
	f.children[base(child.path)] = child // no copy of its name
	if child.watched() {
		n.tree.folders[child.wd] = child
	} else {
		n.tree.missing++
	}
}

// leave forgets the folder of that name in f with all that is below it.
func (n *inotify) leave(f *folder, name string) {
	if child, ok := f.children[name]; ok {
		delete(f.children, name)
		n.forget(child)
	}
}

func (n *inotify) forget(f *folder) {
	if !f.watched() {
		n.tree.missing--
		return
	}
	if n.tree.folders[f.wd] == f {
		delete(n.tree.folders, f.wd)
		// It fails when the folder is gone, which does the same.
		_, _ = unix.InotifyRmWatch(n.fd, uint32(f.wd))
	}
	for _, child := range f.children {
		n.forget(child)
	}
}

// gaps implements source.
func (n *inotify) gaps(again bool) Gaps {
	n.treeMu.Lock()
	defer n.treeMu.Unlock()
	g := Gaps{Silent: n.silent, Unwatched: n.tree.missing}
	if g.Unwatched == 0 {
		n.tree.limited = nil
	}
	if !again || g.Unwatched == 0 || n.hasEnded() {
		return g
	}
	if n.tree.limited == nil || g.Unwatched > 2*n.tree.counted {
		n.tree.counted = g.Unwatched
		n.tree.limited = &LimitError{Sysctl: watchesKey, Limit: sysctl(watchesKey), Needed: n.survey("", nil).count + extraWatches}
	}
	g.Limit = n.tree.limited
	var parents []*folder
	for _, f := range n.tree.folders {
		for _, child := range f.children {
			if !child.watched() {
				g.Folders = append(g.Folders, child.path)
				parents = append(parents, f)
			}
		}
	}
	for i, f := range parents {
		if child := n.add(f, base(g.Folders[i])); child.watched() {
			n.walk(child)
		} else if child != nil {
			break // there still is none
		}
	}
	slices.Sort(g.Folders)
	return g
}

// extraWatches are those that are not of the tree: the folder that holds the
// root, and the next mark.
const extraWatches = 2

// A candidate is a folder that may get a watch.
type candidate struct {
	parent *folder
	name   string
	recent int64 // when something in it changed last
	count  int   // folders below it, itself included
	below  []*candidate
}

// survey reads the tree below path without watching it.
func (n *inotify) survey(path string, info os.FileInfo) *candidate {
	c := &candidate{name: base(path), count: 1}
	if info != nil {
		c.recent = info.ModTime().UnixNano()
	}
	entries, err := n.readDir(path)
	if err != nil {
		return c
	}
	for _, e := range entries {
		sub := join(path, e.Name())
		if n.skip(sub, e.IsDir()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		c.recent = max(c.recent, info.ModTime().UnixNano())
		if e.IsDir() {
			s := n.survey(sub, info)
			c.recent = max(c.recent, s.recent)
			c.count += s.count
			c.below = append(c.below, s)
		}
	}
	return c
}

// choose gives the watches that there are to the folders in which something
// changed last: there it will change again.
func (n *inotify) choose() {
	queue := &byRecency{}
	grow := func(f *folder, c *candidate) {
		for _, s := range c.below {
			s.parent = f
			heap.Push(queue, s)
		}
	}
	grow(n.tree.top, n.survey("", nil))
	for queue.Len() > 0 {
		c := heap.Pop(queue).(*candidate)
		if f := n.add(c.parent, c.name); f.watched() {
			grow(f, c)
		}
	}
	// What appeared between the survey and the watch of its folder.
	n.walk(n.tree.top)
}

// byRecency is a heap with the folder in front in which something changed last.
type byRecency []*candidate

func (q byRecency) Len() int           { return len(q) }
func (q byRecency) Less(i, j int) bool { return cmp.Compare(q[i].recent, q[j].recent) > 0 }
func (q byRecency) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *byRecency) Push(x any) { *q = append(*q, x.(*candidate)) }

// Pop implements heap.Interface.
func (q *byRecency) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
