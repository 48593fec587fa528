// Package watch turns what happens in a tree of files into batches of paths
// that deserve a look.
//
// A batch is a hint, never a fact: it says where something may have changed
// since the last look, and the receiver finds out what. Nothing that changes
// goes unmentioned, but a path may be mentioned without need, and a folder
// stands for everything below it. Events say what was; only a look says what
// is.
//
// On Linux the package speaks inotify itself. The library that it uses
// elsewhere (notify.go) cannot be relied on there: it goes deaf to a folder
// whose name is used again after a rename, now and then to one that was removed
// and made again at once, it keeps quiet about a queue overflow and about a
// reached limit, and it can neither leave out ignored folders nor forget a
// single one. TestLibraryGoesDeaf shows the first of these.
package watch

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// A Batch names what may have changed since the one before it.
type Batch struct {
	// Paths are relative to the root, separated by slashes, sorted, and none
	// lies below another. Each may by now be a file, a folder or nothing; a
	// folder means that everything below it needs a look.
	Paths []string
	// Rescan is true when events were lost or too many to remember: nothing
	// that was known about the tree can be trusted. Paths is empty then.
	Rescan bool
}

// Options are the choices of a Watcher. The zero value watches everything.
type Options struct {
	// Skip says what not to report; nil skips nothing. For a folder, true
	// means that it gets no watch and that nothing below it is reported, the
	// folder itself still is. For anything else, true means that it is not
	// reported. Paths are relative to the root and separated by slashes.
	// New calls Skip, and later on a goroutine of the Watcher does.
	Skip func(path string, isDir bool) bool
	// Later leaves the folders below the root to Enter, so that who reads the
	// tree anyway can have each watched on the way. Where the limit is reached
	// then, it is the first folders that have a watch, not those that matter.
	Later bool
	// Probe is the name of a file that New makes in the root for a moment, to
	// see whether the system tells of it; empty for none. A file system for
	// network or virtual machine does not always.
	Probe string
}

// Gaps say where changes can go unreported. The zero value means nowhere.
type Gaps struct {
	// Lossy means that the system or its library does not tell when it drops
	// events. It is false on Linux.
	Lossy bool
	// Silent says why changes can go unreported everywhere: it names the kind
	// of file system that others change without the kernel's knowledge, or
	// that makes no events at all.
	Silent string
	// Unwatched is the number of folders without a watch, not counting those
	// below them, because the system's limit is reached.
	Unwatched int
	// Folders are their paths, sorted, and Limit is the limit that they would
	// exceed. Only Widen says so; otherwise both are nil.
	Folders []string
	Limit   *LimitError
}

// None reports whether nothing goes unreported.
func (g Gaps) None() bool { return !g.Lossy && g.Silent == "" && g.Unwatched == 0 }

// ErrRootGone means that the root was removed, moved or unmounted.
var ErrRootGone = errors.New("the watched folder is gone")

// ErrClosed means that the Watcher has ended.
var ErrClosed = errors.New("the watcher has ended")

// A LimitError means that the system does not let one user watch as many
// folders as needed. What is not watched needs a scan now and then.
type LimitError struct {
	// Sysctl is the kernel setting that stands in the way.
	Sysctl string
	// Limit is its value, for all programs of the user together; 0 when it is
	// not known.
	Limit int
	// Needed is what this tree takes of it.
	Needed int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("cannot watch all folders: %s is %d, which is too little for the %d that this tree needs and what other programs use",
		e.Sysctl, e.Limit, e.Needed)
}

// Hint returns the command that raises the limit, with some room to spare.
func (e *LimitError) Hint() string {
	value := 128
	for value < 2*e.Needed || value <= e.Limit {
		value *= 2
	}
	return fmt.Sprintf("sudo sysctl -w %s=%d", e.Sysctl, value)
}

// A Watcher watches one tree until it is closed or fails.
type Watcher struct {
	src     source
	batches chan Batch
	stop    chan struct{} // closed by Close
	done    chan struct{} // closed when both goroutines have ended
	err     error         // why the source ended; valid after batches is closed
}

// A source is the operating system's side of a Watcher.
type source interface {
	// read passes on changes in the order in which they happened until close
	// is called, and returns nil then, or until it cannot go on. It is called
	// once; emit does not block for long.
	read(emit func([]change)) error
	// mark makes read pass on a change of the kind marked, with the channel,
	// behind everything that has happened before the call.
	mark(done chan struct{}) error
	// gaps says where changes can go unreported; with again it names the
	// folders, and tries afterwards to watch them.
	gaps(again bool) Gaps
	// close makes read return nil. It may be called more than once.
	close()
}

// stepwise is a source that watches folders one by one.
type stepwise interface {
	enter(folder string)
}

// New starts to watch the tree at root. What happens after its return is
// reported, so that a scan that begins then leaves no gap. A root that is a
// symbolic link is resolved once. Where the system's limit allows only some of
// the folders to be watched, Gaps says so; where it allows none the error is a
// *LimitError.
func New(root string, opts Options) (*Watcher, error) {
	resolved, err := filepath.EvalSymlinks(root)
	if err == nil {
		resolved, err = filepath.Abs(resolved)
	}
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", root, err)
	}
	if opts.Skip == nil {
		opts.Skip = func(string, bool) bool { return false }
	}
	src, err := newSource(resolved, opts)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", root, err)
	}
	w := &Watcher{
		src:     src,
		batches: make(chan Batch),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	changes := make(chan []change)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(changes)
		w.err = src.read(func(cs []change) {
			select {
			case changes <- cs:
			case <-w.stop:
			}
		})
		if w.err != nil {
			// What follows the last event is unknown.
			select {
			case changes <- []change{{kind: lost}}:
			case <-w.stop:
			}
		}
	}()
	go func() {
		defer close(w.done)
		deliver(changes, w.batches, w.stop)
		<-ended
		close(w.batches)
	}()
	return w, nil
}

// Enter watches a folder that Options.Later has left out, if it is not watched
// already. The folders above it have been entered. What happens in it after the
// call is reported, so it must be read then. It may be called by several
// goroutines at once.
func (w *Watcher) Enter(folder string) {
	if s, ok := w.src.(stepwise); ok {
		s.enter(folder)
	}
}

// Batches returns the channel of batches. It holds none back: what happens
// while the receiver is busy is gathered into one batch for its next visit. The
// channel is closed when the Watcher ends; if it ended by itself, the last
// batch before that is a Rescan.
func (w *Watcher) Batches() <-chan Batch { return w.batches }

// Err returns why the Watcher ended by itself, nil after Close. It may be
// called once Batches is closed. The error is ErrRootGone, a *LimitError or one
// of the operating system.
func (w *Watcher) Err() error { return w.err }

// Gaps says where changes can go unreported at present. What is new in it was
// preceded by a batch.
func (w *Watcher) Gaps() Gaps { return w.src.gaps(false) }

// Widen tries to watch the folders for which there was no watch, and returns
// the gaps as they were before. A scan of the folders that it names finds what
// happened there until now.
func (w *Watcher) Widen() Gaps { return w.src.gaps(true) }

// Sync returns when everything that happened in the tree before the call has
// been received from Batches, so it must not be called by the goroutine that
// receives. It returns ErrClosed when the Watcher ends before.
func (w *Watcher) Sync(ctx context.Context) error {
	passed := make(chan struct{})
	if err := w.src.mark(passed); err != nil {
		return fmt.Errorf("marking the end of the event queue: %w", err)
	}
	select {
	case <-passed:
		return nil
	case <-w.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the Watcher and releases what it holds. It returns after Batches
// is closed, and may be called more than once, from one goroutine at a time. A
// Watcher that has ended by itself needs it as well. The error is always nil.
func (w *Watcher) Close() error {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.src.close()
	<-w.done
	return nil
}
