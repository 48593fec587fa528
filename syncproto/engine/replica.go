package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/chunk"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/watch"
)

// replica is what both ends do with their own root.
type replica struct {
	// config
	cfg   Config
	probe bool // find out whether the file system keeps permission bits
	// state
	index *tree.Index
	saved
	rules atomic.Pointer[rules]
	now   atomic.Pointer[opened] // nil while no root is open
	ready bool                   // the root is open and scanned, for the next session

	notes notes
	// needed is the number of watches that the user was told to allow; used by
	// whoever watches.
	needed int

	applying sync.Mutex // held by who changes the root

	mu sync.Mutex
	id identity
}

// identity is that of the tree.
type identity struct {
	tree.Identity
	saved tree.Identity // the one that is on disk
}

// saved are contents that are no entries.
type saved struct {
	trash    *stage.Trash
	partials stage.Partials
}

// opened is a root in use.
type opened struct {
	root    *tree.Root
	stage   *stage.Stage
	modes   bool
	watcher *watch.Watcher // nil where watching is not possible
	later   bool           // the watcher waits for a scan, which enters the folders
}

// errRootGone means that the root is missing, or is not the one it was.
var errRootGone = errors.New("the root is gone")

// newReplica loads what an earlier process knew. The root is not touched.
func newReplica(cfg Config, probe bool) (*replica, error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	trash, err := stage.OpenTrash(filepath.Join(cfg.StateDir, "trash"), stage.DefaultTrashAge, stage.DefaultTrashBytes, cfg.now)
	if err != nil {
		return nil, err
	}
	r := &replica{cfg: cfg, probe: probe, saved: saved{trash: trash}}
	r.index, r.id.saved = tree.LoadIndex(cfg.StateDir)
	r.id.Identity = r.id.saved
	r.index.Chunks().Retain(func(p chunk.Place) bool { return !p.Trash || trash.Has(p.Path) })
	trash.OnDrop(func(batch string) {
		r.index.Chunks().Retain(func(p chunk.Place) bool { return !p.Trash || !tree.Under(p.Path, batch) })
	})
	return r, nil
}

// open opens the root, judged by ru; nil loads the rules from the root.
func (r *replica) open(ru *rules) (err error) {
	root, err := tree.OpenRoot(r.cfg.Root)
	if err != nil {
		return fmt.Errorf("%w: %w", errRootGone, err)
	}
	defer func() {
		if err != nil {
			_ = root.Close()
		}
	}()
	if ru == nil {
		if ru, err = loadRules(root, r.cfg); err != nil {
			return err
		}
		r.complain(ru.problems...)
	}
	r.rules.Store(ru)
	root.ProbeNames()
	o := &opened{root: root, modes: tree.TracksModes}
	if r.probe && o.modes {
		if keeps, err := stage.KeepsModes(root.Root); err == nil {
			o.modes = keeps
		}
	}
	o.stage = r.newStage(root, o.modes)
	o.watcher, err = r.watch(true)
	if err != nil {
		return err
	}
	o.later = o.watcher != nil
	r.now.Store(o)
	return r.identify(root)
}

func (r *replica) newStage(root *tree.Root, modes bool) *stage.Stage {
	return stage.New(stage.Config{
		Root: root, Index: r.index, Trash: r.trash, Partials: &r.partials, Owner: r.cfg.Owner, Modes: modes,
		Deletable: func(p string, dir bool) bool { return r.rules.Load().deletable(p, dir) },
	})
}

// watch starts a watcher, later one that waits for a scan. Where that is not
// possible there is none, and the user hears why, and how to change it.
func (r *replica) watch(later bool) (*watch.Watcher, error) {
	w, err := watch.New(r.cfg.Root, watch.Options{
		Later: later,
		Skip:  func(p string, dir bool) bool { return r.rules.Load().unwatched(p, dir) },
		Probe: syncproto.TempPrefix + rand.Text(),
	})
	var limit *watch.LimitError
	switch {
	case errors.As(err, &limit):
		r.warn(limit.Error() + "; until then the folder is scanned every few seconds; raise the limit: " + limit.Hint())
		return nil, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: %w", errRootGone, err)
	case err != nil:
		r.warn("the folder is scanned every few seconds: " + err.Error())
		return nil, nil
	}
	if g := w.Gaps(); g.Silent != "" {
		r.warn("not every change is told by the system here (" + g.Silent + "): the folder is scanned every few seconds")
	} else if g.Unwatched > 0 {
		r.widen(w)
	}
	return w, nil
}

// identify gives the tree a new identity if the root is not the folder that
// the index was made of.
func (r *replica) identify(root *tree.Root) error {
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("%w: %w", errRootGone, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if inode := tree.Inode(info); r.id.ID == [16]byte{} || r.id.Inode != inode {
		r.renewLocked()
		r.id.Inode = inode
	}
	return nil
}

func (r *replica) renewLocked() {
	_, _ = rand.Read(r.id.ID[:]) // never fails
}

// prepare opens the root, judged by ru as in open, and scans it. Where events
// tell all that happens from then on, the next session goes on from there.
func (r *replica) prepare(ctx context.Context, ru *rules) error {
	r.close()
	if err := r.open(ru); err != nil {
		return err
	}
	if err := r.firstScan(ctx); err != nil {
		r.close()
		return err
	}
	w := r.now.Load().watcher
	r.ready = w != nil && w.Gaps().None()
	return nil
}

// begin opens the root for a session, judged by ru as in open, and reports
// whether it was scanned already.
func (r *replica) begin(ru *rules) (scanned bool, err error) {
	if r.ready && r.attached() && (ru == nil || ru.equal(r.rules.Load())) {
		r.ready = false
		return true, nil
	}
	r.close()
	return false, r.open(ru)
}

// close releases the root.
func (r *replica) close() {
	r.ready = false
	o := r.now.Swap(nil)
	if o == nil {
		return
	}
	if o.watcher != nil {
		_ = o.watcher.Close()
	}
	_ = o.root.Close()
}

// save writes the index if it has changed.
func (r *replica) save() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.index.Unsaved() && r.id.Identity == r.id.saved {
		return nil
	}
	if err := r.index.Save(r.cfg.StateDir, r.id.Identity); err != nil {
		return r.unlessFull(err)
	}
	r.id.saved = r.id.Identity
	return nil
}

// unlessFull lets sync go on when its own state could not be saved for want of
// room. Memory has it; what an end forgets that is killed just then costs a
// longer start, a first meeting or a conflict copy, but nobody's work.
func (r *replica) unlessFull(err error) error {
	if !stage.IsDiskFull(err) {
		return err
	}
	r.warn("the disk is full, and sync cannot save what it knows: if it is killed now, it may see conflicts that are none")
	return nil
}

// scan reads the whole root, has its folders watched on the way if they are not
// yet, and returns the paths that changed.
func (r *replica) scan(ctx context.Context, opts tree.Options) ([]string, error) {
	o, ru := r.now.Load(), r.rules.Load()
	opts.Filter, opts.Skipped, opts.Enter = ru.judge, r.skipped, nil
	if o.later {
		ru.enterSources(o.watcher.Enter)
		opts.Enter = o.watcher.Enter
	}
	changed, err := r.index.Scan(ctx, o.root, "", opts)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", errRootGone, err)
		}
		return changed, err
	}
	if !o.later {
		return changed, nil
	}
	next := *o
	next.later = false
	if o.watcher.Gaps().Unwatched == 0 {
		r.now.Store(&next)
		return changed, nil
	}
	// The folders that were read first have all the watches there are. Give
	// them to those that matter, and see what happened meanwhile.
	_ = o.watcher.Close()
	if next.watcher, err = r.watch(false); err != nil {
		return changed, err
	}
	r.now.Store(&next)
	more, err := r.scan(ctx, opts)
	return append(changed, more...), err
}

// firstScan is the scan at the start of a session. It removes what an earlier
// process left behind, and a root that was emptied meanwhile counts as a new
// tree, so that nothing is deleted on the other side.
func (r *replica) firstScan(ctx context.Context) error {
	before := r.index.Size()
	root := r.now.Load().root
	_, err := r.scan(ctx, tree.Options{Temp: func(p string) {
		if !r.partials.Keeps(p) {
			_ = stage.Clean(root.Root, p)
		}
	}})
	if err != nil {
		return err
	}
	if r.index.Size() == 0 && before > 0 {
		r.mu.Lock()
		r.renewLocked()
		r.mu.Unlock()
	}
	return r.save()
}

// attached reports whether the root that is open is still the one at its path.
func (r *replica) attached() bool {
	o := r.now.Load()
	if o == nil {
		return false
	}
	have, err := o.root.Stat(".")
	if err != nil {
		return false
	}
	at, err := os.Stat(r.cfg.Root)
	return err == nil && os.SameFile(have, at)
}

// entry returns what the index holds at p.
func (r *replica) entry(p string) tree.Entry { return r.index.Get(p).Entry }

// current returns items for paths as the index has them now.
func (r *replica) current(paths []string) []syncproto.Item {
	items := make([]syncproto.Item, len(paths))
	for i, p := range paths {
		items[i] = syncproto.Item{Path: p, Entry: r.entry(p)}
	}
	return items
}
