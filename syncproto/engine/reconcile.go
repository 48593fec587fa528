package engine

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// reconciler is the leader's mind during one session. Only the session's loop
// uses it.
type reconciler struct {
	s      *leading
	remote remoteTree
	dirty  map[string]bool // paths to merge
	flight *flight         // changes on their way
	held   map[string]hold // paths that must wait before they are tried again
	stops
	guards  [2]guard // by side
	waiters []*waiter
	counts
	noModes bool // the pod's file system keeps no permission bits
	names   names
	mirrored
}

// counts are what the loop numbers.
type counts struct {
	generation uint64
	flushes    uint64 // flush messages sent
}

// mirrored is what only a mirror needs.
type mirrored struct {
	restoring int             // undos in the pod on their way
	left      map[string]bool // folders that stay for what sync does not see in them
}

// stops are the reasons for which no merge may run.
type stops struct {
	scanned   bool   // the laptop's tree is known
	awaitFull int    // full reports that must come
	receiving bool   // and has begun
	isOpen    bool   // the follower has opened its tree
	localStop string // the laptop's root is gone
	podStop   string // the pod's root is gone
	guardStop string // too much would be deleted
	released  bool   // the plan that the guard stopped may pass
}

// informed reports whether both trees are known.
func (s *stops) informed() bool { return s.scanned && s.awaitFull == 0 && !s.receiving }

func newReconciler(s *leading) *reconciler {
	return &reconciler{
		s: s, remote: remoteTree{Entries: tree.NewEntries(s.r.index.Shared)}, dirty: map[string]bool{}, flight: newFlight(newLag()),
		names: names{refused: map[string]refusal{}},
		held:  map[string]hold{}, stops: stops{awaitFull: 1},
		mirrored: mirrored{left: map[string]bool{}},
	}
}

// touch notes that paths changed on either side.
func (rc *reconciler) touch(paths ...string) {
	for _, p := range paths {
		rc.dirty[p] = true
		delete(rc.held, p)
		delete(rc.left, p)
		rc.noteCopy(p)
	}
	rc.flight.lag.add(time.Now(), paths...)
}

func (rc *reconciler) noteCopy(p string) {
	if merge.IsCopy(p) {
		rc.s.leader.noteCopy(p, rc.s.r.entry(p).Exists() || rc.remote.Get(p).Exists())
	}
}

// touchDiffering notes every path whose entry is not the same on both sides
// and in the base: all others have nothing to merge. What makes the last of the
// trees known calls it.
func (rc *reconciler) touchDiffering() {
	if !rc.informed() {
		return
	}
	base, index := rc.s.leader.base.Entries(), rc.s.r.index
	var copies []string
	index.Each(func(p string, _ tree.Entry) bool {
		if merge.IsCopy(p) {
			copies = append(copies, p)
		}
		return true
	})
	if agreed := base.Digest(); index.Digest() != agreed || rc.remote.Digest() != agreed {
		index.Each(func(p string, e tree.Entry) bool {
			if !base.Get(p).Same(e) || !rc.remote.Get(p).Same(e) {
				rc.dirty[p] = true
			}
			return true
		})
		for p, e := range rc.remote.All() {
			if !base.Get(p).Same(*e) {
				rc.dirty[p] = true
			}
			if merge.IsCopy(p) {
				copies = append(copies, p)
			}
		}
		for p, e := range base.All() {
			if !rc.remote.Get(p).Same(*e) || !index.Get(p).Exists() {
				rc.dirty[p] = true
			}
		}
	}
	rc.s.leader.setCopies(copies)
	now := time.Now()
	for p := range rc.dirty {
		rc.flight.lag.add(now, p)
	}
	clear(rc.held)
}

// opened takes the follower's answer to the open message.
func (rc *reconciler) opened(m *syncproto.Opened) error {
	if rc.isOpen {
		return fmt.Errorf("%w: the tree was opened twice", ErrProtocol)
	}
	rc.isOpen = true
	base := rc.s.leader.base
	rc.noModes = m.NoModes
	rc.names.sides[merge.Laptop] = sideNames{rules: rc.s.r.now.Load().root.Names()}
	rc.names.sides[merge.Pod] = sideNames{rules: tree.Names{FoldCase: m.FoldCase, FoldForm: m.FoldCase}}
	if m.Same {
		rc.remote.forget(base.Entries().Clone()) // which has nothing that is ignored
	}
	if base.ID() != m.Tree {
		if err := rc.s.r.unlessFull(base.Reset(m.Tree)); err != nil {
			return err
		}
	}
	if m.Same {
		rc.awaitFull = max(rc.awaitFull-1, 0)
		rc.touchDiffering()
	}
	return nil
}

// report takes what the follower reports.
func (rc *reconciler) report(m *syncproto.Report) error {
	if err := rc.early(); err != nil {
		return err
	}
	if m.Full {
		rc.remote.forget(tree.NewEntries(rc.s.r.index.Shared))
		rc.receiving = true
	}
	ru := rc.s.r.rules.Load()
	if err := rc.keepRestored(merge.Pod, m.Items); err != nil {
		return err
	}
	for _, it := range m.Items {
		if it.Entry.Exists() && !ru.visible(it.Path, it.Entry) {
			continue
		}
		if !rc.remote.Get(it.Path).Same(it.Entry) {
			rc.touch(it.Path)
		}
		if err := rc.remote.set(it.Path, it.Entry); err != nil {
			return err
		}
		if !it.Entry.Exists() && rc.settled(it.Path) && !rc.s.leader.base.Own()[it.Path] {
			delete(rc.dirty, it.Path) // it came and went before anybody looked
			rc.flight.lag.drop(it.Path)
		}
	}
	if rc.receiving && !m.More {
		rc.awaitFull, rc.receiving = max(rc.awaitFull-1, 0), false
		rc.touchDiffering()
	}
	return nil
}

// reconcile merges what is dirty and sets the outcome in motion.
func (rc *reconciler) reconcile() error {
	if rc.informed() && rc.localStop == "" && rc.podStop == "" && !rc.s.leader.isPaused() {
		if err := rc.merge(); err != nil {
			return err
		}
	}
	rc.publish()
	rc.answer()
	return nil
}

func (rc *reconciler) merge() error {
	var paths []string
	seen := sight{rc: rc}
	for p := range rc.dirty {
		if !rc.flight.blocks(p) && seen.whole(p) {
			paths = append(paths, p)
		}
	}
	paths = append(paths, rc.belowLost(paths)...)
	base := rc.s.leader.base
	if len(paths) > 0 {
		plan := merge.Reconcile(merge.Input{
			Base: rc.s.base, Laptop: rc.s.r.entry, Pod: rc.remote.Get,
			Paths: paths, First: !base.Met(), Now: rc.s.r.cfg.now(),
			NoLaptopModes: !tree.TracksModes, NoPodModes: rc.noModes,
			Mode: rc.s.r.cfg.Mode, Own: base.Own(), Left: rc.left,
		})
		rc.keepNames(&plan, paths)
		if !rc.admit(&plan, time.Now()) {
			return nil
		}
		for _, p := range paths {
			delete(rc.dirty, p)
		}
		if len(rc.dirty) == 0 {
			rc.dirty = map[string]bool{} // gives the memory of a storm back
		}
		if err := rc.s.r.unlessFull(errors.Join(base.Keep(plan.Own), base.Agree(plan.Agreed))); err != nil {
			return err
		}
		rc.start(&plan)
		for _, p := range paths {
			if rc.flight.paths[p] == 0 {
				delete(rc.held, p) // nothing is left to do there
				rc.flight.lag.drop(p)
			}
		}
	}
	if !base.Met() && len(rc.dirty) == 0 && rc.flight.size() == 0 {
		rc.s.out.met()
		return rc.s.r.unlessFull(base.SetMet())
	}
	return nil
}

// start sets a plan in motion.
func (rc *reconciler) start(plan *merge.Plan) {
	for _, c := range plan.Conflicts {
		rc.s.leader.conflict(c.Path, c.Copy)
		rc.conflicted(c.Path, c.Copy)
	}
	rc.copyWherePossible(plan.Pod, rc.findRemote)
	rc.copyWherePossible(plan.Laptop, rc.s.r.index.FindContent)
	rc.flight.add(merge.Pod, plan.Pod)
	rc.flight.add(merge.Laptop, plan.Laptop)
	if len(plan.Pod) > 0 {
		rc.generation++
		fetchedLast(plan.Pod)
		rc.s.out.push(plan.Pod, rc.generation)
	}
	if len(plan.Laptop) > 0 {
		rc.s.local.push(plan.Laptop)
	}
}

// copyWherePossible lets a side copy content that it has under another path,
// as after a rename. Content that a change brings with it anyway is worth
// looking for only among many.
func (rc *reconciler) copyWherePossible(changes []merge.Change, find func(map[syncproto.Digest]bool) map[syncproto.Digest]string) {
	const worth = 64 << 10
	want := map[syncproto.Digest]bool{}
	var bytes int64
	for i := range changes {
		c := &changes[i]
		if c.Op == syncproto.OpPut && c.From == "" && rc.held[c.Path].code != syncproto.CodeContent {
			want[c.Entry.Digest] = true
			bytes += c.Entry.Size
		}
	}
	if bytes < worth {
		return
	}
	found := find(want)
	for i := range changes {
		c := &changes[i]
		if from := found[c.Entry.Digest]; c.Op == syncproto.OpPut && c.From == "" && want[c.Entry.Digest] && from != c.Path {
			c.From = from
		}
	}
}

// reason returns why sync has stopped, "" if it has not.
func (rc *reconciler) reason() string {
	return cmp.Or(rc.localStop, rc.podStop, rc.guardStop, rc.diskStop())
}

// publish brings the leader's status up to date.
func (rc *reconciler) publish() {
	l := rc.s.leader
	state, reason := Converged, rc.reason()
	switch {
	case reason != "":
		state = Stopped
	case !rc.informed():
		state = Scanning
	case len(rc.dirty) > 0 || rc.flight.size() > 0:
		state = Syncing
	}
	held := rc.heldTexts()
	l.mu.Lock()
	l.status.PendingFiles, l.status.PendingBytes, l.status.Current = rc.flight.pending()
	l.status.PendingFiles += len(rc.dirty)
	l.status.Oldest = rc.flight.lag.oldest()
	l.status.Held = held
	if rc.flight.sides[merge.Pod] == 0 && len(rc.dirty) == 0 {
		l.status.Generation = rc.generation
	}
	l.mu.Unlock()
	l.setState(state, reason)
}
