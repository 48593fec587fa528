package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// ErrNothingToUndo means that no trash holds what was asked for.
var ErrNothingToUndo = errors.New("nothing to undo")

// TrashBatch describes what was removed together on one side.
type TrashBatch struct {
	// ID names the batch in Undo.
	ID string
	// Side is "laptop" or "pod".
	Side string
	// Time is when the batch began, by this machine's clock.
	Time time.Time
	// Entries and Bytes are what the trash holds of it.
	Entries int
	Bytes   int64
	// Paths are a few of its paths, root-relative.
	Paths []string
	// Why are the reasons: "deleted", "overwritten", "first meeting",
	// "conflict" or "undo".
	Why []string
	// Destructive is false where the batch only holds what edits on the laptop
	// replaced in the pod: the editor can undo those.
	Destructive bool
}

// Restored is what came of an undo.
type Restored struct {
	// Batch is what was brought back.
	Batch TrashBatch
	// Entries is how many entries are as they were before the batch.
	Entries int
	// Failed is how many could not be restored, and Failures are some of them.
	Failed   int
	Failures []Failure
}

// Failure is a path that could not be restored, and why.
type Failure struct{ Path, Reason string }

// Trash returns what both trashes hold, newest first. Where there is no
// session it is the laptop's alone.
func (l *Leader) Trash(ctx context.Context) ([]TrashBatch, error) {
	mine, err := l.r.trash.Batches(syncproto.MaxTrashBatches)
	if err != nil {
		return nil, err
	}
	var list []TrashBatch
	for _, b := range mine {
		list = append(list, describe(merge.Laptop, b, 0))
	}
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s != nil {
		theirs, err := s.podTrash(ctx)
		if err != nil && !errors.Is(err, errSessionEnded) {
			return nil, err
		}
		list = append(list, theirs...)
	}
	slices.SortStableFunc(list, func(a, b TrashBatch) int { return b.Time.Compare(a.Time) })
	return list, nil
}

// describe makes a batch of a side's trash presentable; skew is how far the
// clock of the side is ahead.
func describe(side merge.Side, b stage.Removed, skew time.Duration) TrashBatch {
	var why []string
	for _, reason := range []struct {
		bit  syncproto.Why
		text string
	}{
		{syncproto.WhyDeleted, "deleted"}, {syncproto.WhyOverwritten, "overwritten"},
		{syncproto.WhyFirst, "first meeting"}, {syncproto.WhyConflict, "conflict"}, {syncproto.WhyUndone, "undo"},
	} {
		if b.Why&reason.bit != 0 {
			why = append(why, reason.text)
		}
	}
	return TrashBatch{
		ID: side.String() + "-" + b.Name, Side: side.String(), Time: b.Began.Add(-skew),
		Entries: b.Entries, Bytes: b.Bytes, Paths: b.Paths, Why: why,
		Destructive: side == merge.Laptop || b.Why != syncproto.WhyOverwritten,
	}
}

// podTrash asks the pod what its trash holds.
func (s *leading) podTrash(ctx context.Context) ([]TrashBatch, error) {
	m, err := s.ask(ctx, func(id uint64) syncproto.Message { return &syncproto.Trash{ID: id} })
	if err != nil {
		return nil, err
	}
	answer, ok := m.(*syncproto.TrashList)
	if !ok {
		return nil, fmt.Errorf("%w: not the answer to the question", ErrProtocol)
	}
	skew := time.Unix(0, answer.Now).Sub(s.r.cfg.now()).Round(time.Second)
	var list []TrashBatch
	for _, b := range answer.Batches {
		list = append(list, describe(merge.Pod, stage.Removed{
			Name: b.Name, Began: time.Unix(0, b.Time), Entries: int(b.Entries), Bytes: int64(b.Bytes), Why: b.Why, Paths: b.Paths,
		}, skew))
	}
	return list, nil
}

// Undo brings back what a batch removed: files, folders and symlinks with their
// modes, as they were before it. What is there now goes to the trash first, so
// that an undo can be undone. id is that of a TrashBatch; "" is the newest
// destructive one of either side, which without a session is the laptop's. The
// other side gets the outcome like any edit. What a mirror cannot have back,
// because the other side has something else there, is among the failures. The
// error wraps ErrNothingToUndo when there is no such batch.
func (l *Leader) Undo(ctx context.Context, id string) (Restored, error) {
	list, err := l.Trash(ctx)
	if err != nil {
		return Restored{}, err
	}
	i := slices.IndexFunc(list, func(b TrashBatch) bool { return b.ID == id || id == "" && b.Destructive })
	switch {
	case i < 0 && id == "":
		return Restored{}, ErrNothingToUndo
	case i < 0:
		return Restored{}, fmt.Errorf("%w: %q is in no trash within reach", ErrNothingToUndo, id)
	}
	out := Restored{Batch: list[i]}
	name := strings.TrimPrefix(out.Batch.ID, out.Batch.Side+"-")
	if out.Batch.Side == merge.Pod.String() {
		err = l.undoInPod(ctx, name, &out)
	} else {
		err = l.undoHere(ctx, name, &out)
	}
	return out, err
}

// take fills in what came of an undo.
func (out *Restored) take(count, failed int, failures []syncproto.Failure) {
	out.Entries, out.Failed = count, failed
	for _, f := range failures {
		out.Failures = append(out.Failures, Failure{Path: f.Path, Reason: f.Text})
	}
	slices.SortFunc(out.Failures, func(a, b Failure) int { return cmp.Compare(a.Path, b.Path) })
}

func (l *Leader) undoInPod(ctx context.Context, name string, out *Restored) error {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s == nil {
		return errSessionEnded
	}
	m, err := s.ask(ctx, func(id uint64) syncproto.Message {
		s.post(func(rc *reconciler) error { rc.restoring++; return nil })
		return &syncproto.Undo{ID: id, Absent: l.mirrors(merge.Pod), Batch: name}
	})
	if err != nil {
		return err
	}
	answer, ok := m.(*syncproto.Undone)
	switch {
	case !ok:
		return fmt.Errorf("%w: not the answer to the question", ErrProtocol)
	case answer.Text != "":
		return fmt.Errorf("in the pod: %s", answer.Text)
	}
	out.take(int(answer.Restored), int(answer.Failed), answer.Failures)
	return nil
}

// mirrors reports whether side may not differ from the other one.
func (l *Leader) mirrors(side merge.Side) bool {
	mirror, ok := l.r.cfg.Mode.Mirror()
	return ok && mirror == side
}

// undoHere restores on the laptop, in the session in progress or without one.
func (l *Leader) undoHere(ctx context.Context, name string, out *Restored) error {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s == nil {
		return l.undoAlone(ctx, name, out)
	}
	got, err := l.r.restore(ctx, name, l.mirrors(merge.Laptop))
	if got == nil {
		return err
	}
	s.post(func(rc *reconciler) error {
		err := rc.keepRestored(merge.Laptop, rc.s.r.current(got.touched))
		rc.touch(got.touched...)
		return err
	})
	out.take(got.count, len(got.failures), got.failures)
	return err
}

// undoAlone restores on the laptop while there is no session. The next one finds
// the outcome as it finds every edit.
func (l *Leader) undoAlone(ctx context.Context, name string, out *Restored) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.r.now.Load() == nil { // nobody prepared the next session
		if err := l.r.openUnwatched(); err != nil {
			return err
		}
		defer l.r.close()
	}
	got, err := l.r.restore(ctx, name, l.mirrors(merge.Laptop))
	if got == nil {
		return err
	}
	out.take(got.count, len(got.failures), got.failures)
	if l.mirrors(merge.Laptop) {
		err = errors.Join(err, l.r.unlessFull(l.base.Keep(l.onlyHere(got.touched))))
	}
	return errors.Join(err, l.r.save())
}

// onlyHere returns those of the paths that exist and were never agreed upon.
func (l *Leader) onlyHere(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
		return !l.r.entry(p).Exists() || l.base.Entries().Get(p).Exists()
	})
}

// keepRestored lets a mirror keep what an undo restored there and the other side
// does not have.
func (rc *reconciler) keepRestored(side merge.Side, items []syncproto.Item) error {
	if !rc.s.leader.mirrors(side) || side == merge.Pod && rc.restoring <= 0 {
		return nil
	}
	var own []string
	for _, it := range items {
		if it.Entry.Exists() && !rc.s.base(it.Path).Exists() && !rc.otherSide(side, it.Path).Exists() {
			own = append(own, it.Path)
		}
	}
	return rc.s.r.unlessFull(rc.s.leader.base.Keep(own))
}

// openUnwatched is open for a moment's work.
func (r *replica) openUnwatched() error {
	root, err := tree.OpenRoot(r.cfg.Root)
	if err != nil {
		return fmt.Errorf("%w: %w", errRootGone, err)
	}
	ru, err := loadRules(root, r.cfg)
	if err != nil {
		_ = root.Close()
		return err
	}
	r.rules.Store(ru)
	r.now.Store(&opened{root: root, modes: tree.TracksModes, stage: r.newStage(root, tree.TracksModes)})
	return nil
}

// trash answers what the leader asks about the trash.
func (s *following) trash(m *syncproto.Trash) error {
	batches, err := s.r.trash.Batches(syncproto.MaxTrashBatches)
	if err != nil {
		s.r.cfg.emit(Event{Kind: Warning, Detail: err.Error()})
	}
	answer := &syncproto.TrashList{ID: m.ID, Now: s.r.cfg.now().UnixNano()}
	room := syncproto.MaxPayload / 2 // for paths
	for _, b := range batches {
		t := syncproto.TrashBatch{
			Name: b.Name, Time: b.Began.UnixNano(), Entries: uint64(b.Entries), Bytes: uint64(b.Bytes), Why: b.Why,
		}
		for _, p := range b.Paths {
			if room -= len(p); room >= 0 {
				t.Paths = append(t.Paths, p)
			}
		}
		answer.Batches = append(answer.Batches, t)
	}
	return s.l.conn.Write(answer)
}

// undo brings a batch back, reports what that changed, and answers.
func (s *following) undo(ctx context.Context, m *syncproto.Undo) error {
	answer := &syncproto.Undone{ID: m.ID}
	got, err := s.r.restore(ctx, m.Batch, m.Absent)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		answer.Text = err.Error()
	}
	if got != nil {
		s.note(got.touched)
		answer.Restored, answer.Failed = uint64(got.count), uint64(len(got.failures))
		room := syncproto.MaxPayload / 2
		for _, f := range got.failures[:min(len(got.failures), syncproto.MaxFailures)] {
			f.Text = f.Text[:min(len(f.Text), resultText)]
			if room -= len(f.Path); room >= 0 {
				answer.Failures = append(answer.Failures, f)
			}
		}
	}
	if err := s.reportNews(); err != nil {
		return err
	}
	return s.l.conn.Write(answer)
}
