//go:build !linux

package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rjeczalik/notify"
)

// settleQuiet is how long nothing must be heard of a file that is written,
// until it is reported. Nothing tells here that a file was closed.
const settleQuiet = 20 * time.Millisecond

// queueLength is the number of events that wait for their translation. The
// library drops what does not fit.
const queueLength = 1 << 14

// A recursive is the source of events where the operating system, or the
// library for it, watches whole trees. This file is the only one that names the
// library; a fork of it takes its place by the import line.
type recursive struct {
	root   string
	skip   func(string, bool) bool
	events chan notify.EventInfo
	marks  chan chan struct{}
	stop   chan struct{}
	done   chan struct{}
}

// newSource watches the tree.
func newSource(root string, opts Options) (source, error) {
	r := &recursive{
		root: root, skip: opts.Skip,
		events: make(chan notify.EventInfo, queueLength),
		marks:  make(chan chan struct{}),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	err := notify.Watch(filepath.Join(root, "..."), r.events, notify.All)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// read implements source.
func (r *recursive) read(emit func([]change)) error {
	defer close(r.done)
	defer notify.Stop(r.events)
	for {
		select {
		case e := <-r.events:
			if len(r.events) >= queueLength-1 {
				// The queue was full a moment ago, so that some event may
				// have been dropped.
				emit([]change{{kind: lost}})
			}
			c, ok := r.translate(e)
			if c.path == "" && ok {
				return ErrRootGone
			}
			if ok {
				emit([]change{c})
			}
		case done := <-r.marks:
			// The events of the past may still be on their way, so only a
			// scan covers them.
			emit([]change{{kind: lost}, {kind: marked, done: done}})
		case <-r.stop:
			return nil
		}
	}
}

// translate turns an event into a change, one without a path when the root is
// gone. It reports false when there is nothing to report.
func (r *recursive) translate(e notify.EventInfo) (change, bool) {
	info, err := os.Lstat(e.Path())
	if e.Path() == r.root {
		return change{}, errors.Is(err, fs.ErrNotExist)
	}
	rel, ok := strings.CutPrefix(e.Path(), r.root+string(filepath.Separator))
	if !ok {
		return change{}, false
	}
	c := change{path: filepath.ToSlash(rel), kind: changed}
	for up := parent(c.path); up != ""; up = parent(up) {
		if r.skip(up, true) {
			return change{}, false
		}
	}
	if err == nil && !info.IsDir() {
		if r.skip(c.path, false) {
			return change{}, false
		}
		if e.Event() == notify.Write {
			c.kind = writing
		}
	}
	return c, true
}

// mark implements source.
func (r *recursive) mark(done chan struct{}) error {
	select {
	case r.marks <- done:
		return nil
	case <-r.done:
		return ErrClosed
	}
}

// gaps implements source: the library keeps quiet when the operating system
// tells it that events were dropped.
func (r *recursive) gaps(bool) Gaps { return Gaps{Lossy: true, Silent: remoteFileSystem(r.root)} }

// close implements source.
func (r *recursive) close() {
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
}
