package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/watch"
	"golang.org/x/sync/errgroup"
)

// Times of work that no event drives.
const (
	pollRoot    = time.Second      // between looks whether a root that is gone is back
	restAfter   = 30 * time.Second // from the first of what asks for a rest
	expireEvery = time.Hour        // between looks for what is too old in the trash
)

// observer follows what happens in a root and keeps the index up to date. All
// of it happens in the goroutine of run.
type observer struct {
	// config
	r       *replica
	changed func(paths []string)            // these entries changed
	reload  func(ctx context.Context) error // a file of the rules changed; nil for none
	stopped func(reason string)             // the root is gone; "" when it is back
	awake   time.Duration                   // before a rest
	// state
	tasks       chan task
	stirred     chan struct{} // holds one token when a rest is due after a while
	collections uint64        // of garbage, at the last rest
	busy        writers       // files to look at once more
	found       int           // changed entries so far
	pace        pace          // of scans that no event asks for
	lossy       time.Time     // the next scan where events get lost; zero for none
}

// task is something to do in the goroutine of run.
type task struct {
	run  func(context.Context) error
	done chan error // holds one
}

func newObserver(r *replica) *observer {
	return &observer{r: r, awake: restAfter, tasks: make(chan task), stirred: make(chan struct{}, 1), busy: writers{}}
}

// run observes until ctx ends.
func (o *observer) run(ctx context.Context) error {
	expire := time.NewTicker(expireEvery)
	defer expire.Stop()
	var rest <-chan time.Time // nil while nothing happens
	o.stir()                  // the scan before took its memory
	for {
		stirred := o.stirred
		if rest != nil {
			stirred = nil // it is to come
		}
		w := o.r.now.Load().watcher
		var batches <-chan watch.Batch
		if w != nil {
			batches = w.Batches()
		}
		at, poll := o.nextPoll()
		busyAt, busy := o.busy.next()
		var err error
		select {
		case b, ok := <-batches:
			if ok {
				err = o.batch(ctx, b)
			} else {
				err = o.ended(ctx, w)
			}
		case t := <-o.tasks:
			err = t.run(ctx)
			t.done <- err
		case <-after(time.Until(at), poll):
			err = o.poll(ctx)
		case <-after(time.Until(busyAt), busy):
			err = o.again(ctx)
		case <-stirred:
			rest = time.After(o.awake)
		case <-rest:
			rest, err = nil, o.rest()
		case <-expire.C:
			o.r.trash.Expire()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if errors.Is(err, errRootGone) {
			err = o.awaitRoot(ctx)
		}
		if err != nil {
			return err
		}
		if o.r.index.Unsaved() {
			o.stir()
		}
	}
}

func after(d time.Duration, on bool) <-chan time.Time {
	if !on {
		return nil
	}
	return time.After(d)
}

// do runs a function in the goroutine of run, after what was received before.
// Where there is no root the error wraps ErrStopped.
func (o *observer) do(ctx context.Context, run func(context.Context) error) error {
	t := task{run: run, done: make(chan error, 1)}
	select {
	case o.tasks <- t:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// catchUp returns when everything that happened in the root before the call is
// in the index and was passed to changed.
func (o *observer) catchUp(ctx context.Context) error {
	for {
		opened := o.r.now.Load()
		if opened == nil || opened.watcher == nil {
			return o.do(ctx, o.rescan)
		}
		err := opened.watcher.Sync(ctx)
		if err == nil {
			return o.do(ctx, o.complete)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(err, watch.ErrClosed) {
			return o.do(ctx, o.rescan)
		}
		// The watcher was replaced, or the root is gone: see what came of it.
		if err := o.do(ctx, func(context.Context) error { return nil }); err != nil {
			return err
		}
	}
}

// complete looks at what no event has told of and what has to be looked at
// again.
func (o *observer) complete(ctx context.Context) error {
	if err := o.again(ctx); err != nil {
		return err
	}
	if w := o.r.now.Load().watcher; w != nil {
		if g := w.Gaps(); g.Silent != "" || g.Unwatched > 0 {
			return o.poll(ctx)
		}
	}
	return nil
}

func (o *observer) rescan(ctx context.Context) error { return o.batch(ctx, watch.Batch{Rescan: true}) }

// batch brings the index up to date with a batch of events.
func (o *observer) batch(ctx context.Context, b watch.Batch) error {
	if o.reload != nil && o.touchesRules(b) {
		if err := o.reload(ctx); err != nil {
			return err
		}
	}
	changed, err := o.look(ctx, b)
	o.note(changed)
	return err
}

// note passes on what changed in the index.
func (o *observer) note(changed []string) {
	if len(changed) == 0 {
		return
	}
	o.found += len(changed)
	o.changed(changed)
}

func (o *observer) touchesRules(b watch.Batch) bool {
	if b.Rescan {
		return true
	}
	ru := o.r.rules.Load()
	for _, p := range b.Paths {
		if ru.gitFile(p) || ru.reads(p) || o.r.bringsGitFile(p) {
			return true
		}
	}
	return false
}

// look looks at the paths of a batch.
func (o *observer) look(ctx context.Context, b watch.Batch) ([]string, error) {
	for _, p := range b.Paths {
		b.Rescan = b.Rescan || p == "" || p == "."
	}
	if b.Rescan {
		if !o.r.attached() {
			return nil, errRootGone
		}
		return o.r.scan(ctx, tree.Options{})
	}
	changed, err := o.lookAll(ctx, b.Paths)
	gone := map[string]bool{}
	for _, p := range b.Paths {
		if o.r.index.Get(p).Type != syncproto.EntryDir && o.r.index.HasBelow(p) {
			// It was a folder when what is below it was looked at. What p
			// itself was does not tell: a scan, or a change that was refused,
			// may have seen its end before.
			gone[p] = true
		}
	}
	if len(gone) > 0 {
		found, _ := o.lookAll(ctx, o.r.index.Below(gone))
		changed = append(changed, found...)
	}
	if others := o.r.index.OtherLinks(o.r.now.Load().root, changed); len(others) > 0 {
		found, _ := o.lookAll(ctx, others)
		changed = append(changed, found...)
	}
	return changed, err
}

// lookAll looks at paths, whose order it changes, by a few goroutines.
func (o *observer) lookAll(ctx context.Context, paths []string) (changed []string, err error) {
	var (
		g    errgroup.Group
		mu   sync.Mutex
		root = o.r.now.Load().root
	)
	g.SetLimit(tree.Workers())
	tree.EachFolder(paths, func(dir string, paths []string) {
		g.Go(func() error {
			folder := root.Folder(dir, len(paths))
			defer folder.Close()
			for _, p := range paths {
				found, busy, err := o.r.look(ctx, folder, p)
				mu.Lock()
				changed = append(changed, found...)
				o.busy.met(p, busy, time.Now())
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	err = g.Wait()
	return changed, err
}

// look brings the index up to date with p, which is in the folder, and, if it is
// a folder itself, with what is below it. busy means that the file is being
// written. Trouble with a single path is reported and keeps what was known.
func (r *replica) look(ctx context.Context, folder *tree.Folder, p string) (changed []string, busy bool, err error) {
	o := r.now.Load()
	ru := r.rules.Load()
	glance := r.index.Glance(folder, p)
	verdict := ru.judge(p, glance.Dir() || glance.WasDir())
	if verdict == tree.Keep && syncproto.VerifyPath(p) == nil {
		differs, err := r.index.LookOn(glance, r.skipped)
		switch {
		case errors.Is(err, tree.ErrBusy):
			return nil, true, nil
		case err != nil:
			r.skipped(p, err.Error())
		case differs:
			changed = append(changed, p)
		}
	}
	if !glance.Dir() || verdict == tree.Prune {
		return changed, false, nil
	}
	below, err := r.index.Scan(ctx, o.root, p, tree.Options{Filter: ru.judge, Skipped: r.skipped})
	if err != nil && ctx.Err() == nil {
		r.skipped(p, err.Error())
		err = nil
	}
	return append(changed, below...), false, err
}

// ended deals with a watcher that has ended.
func (o *observer) ended(ctx context.Context, w *watch.Watcher) error {
	now := o.r.now.Load()
	if now.watcher != w {
		return nil // it was replaced
	}
	err := w.Err()
	_ = w.Close()
	if errors.Is(err, watch.ErrRootGone) || !o.r.attached() {
		return errRootGone
	}
	next := *now
	next.watcher = nil
	o.r.now.Store(&next)
	if err != nil {
		o.r.warn("watching for changes ended, the folder is scanned every few seconds: " + err.Error())
	}
	return o.rescan(ctx)
}

// awaitRoot waits until there is a root again and starts over with it. What is
// gone from it then counts as deleted, which is for the guard to judge.
func (o *observer) awaitRoot(ctx context.Context) error {
	reason := "the folder " + o.r.cfg.Root + " is gone"
	o.stopped(reason)
	for {
		if info, err := os.Stat(o.r.cfg.Root); err == nil && info.IsDir() {
			old := o.r.now.Load()
			if err := o.r.open(o.r.rules.Load()); err == nil {
				if old.watcher != nil {
					_ = old.watcher.Close()
				}
				_ = old.root.Close()
				break
			}
		}
		select {
		case <-time.After(pollRoot):
		case t := <-o.tasks:
			t.done <- fmt.Errorf("%w: %s", ErrStopped, reason)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := o.rescan(ctx)
	if err == nil {
		o.stopped("")
	}
	return err
}

// setRules makes ru the rules: a new watcher sees what the old one left out,
// and a scan finds it.
func (r *replica) setRules(ctx context.Context, ru *rules) error {
	r.rules.Store(ru)
	old := r.now.Load()
	next := *old
	var err error
	if next.watcher, err = r.watch(true); err != nil {
		return err
	}
	next.later = next.watcher != nil
	r.now.Store(&next)
	if old.watcher != nil {
		_ = old.watcher.Close()
	}
	_, err = r.scan(ctx, tree.Options{})
	return err
}
