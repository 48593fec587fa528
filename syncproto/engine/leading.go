package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"golang.org/x/sync/errgroup"
)

// leading is one session of a leader. Everything that decides happens in the
// goroutine of loop; the others bring it events and carry out its plans.
type leading struct {
	// config
	leader *Leader
	r      *replica
	l      *link
	o      *observer
	out    *outbox
	// state
	events chan event
	local  *queue        // plans for the laptop
	done   chan struct{} // closed when the loop has ended
	rec    *reconciler   // of the loop
	late   event         // what the last batch on the laptop came to
	asked  *questions    // about the pod's trash
}

// event is something that the loop must know.
type event func(*reconciler) error

func newLeading(leader *Leader, l *link) *leading {
	s := &leading{
		leader: leader, r: leader.r, l: l,
		o: newObserver(leader.r), out: newOutbox(leader.r, l, leader.idle.packed),
		events: make(chan event, 64),
		local:  newQueue(),
		done:   make(chan struct{}),
		asked:  newQuestions(),
	}
	s.rec = newReconciler(s)
	s.o.changed = func(paths []string) { s.post(func(rc *reconciler) error { rc.touch(paths...); return nil }) }
	s.o.stopped = func(reason string) { s.post(func(rc *reconciler) error { rc.localStop = reason; return nil }) }
	s.o.reload = s.reload
	s.out.fail = func(c *merge.Change, why string) {
		res := syncproto.Result{Code: syncproto.CodeContent, Text: why, Entry: c.Expect}
		s.post(func(rc *reconciler) error { return rc.finish(merge.Pod, *c, res) })
	}
	return s
}

// post hands an event to the loop; it gives up when the session has ended.
func (s *leading) post(e event) {
	select {
	case s.events <- e:
	case <-s.done:
	}
}

// run opens the session and syncs until ctx or the connection ends.
func (s *leading) run(ctx context.Context, remoteRoot string) error {
	s.leader.setState(Scanning, "")
	scanned, err := s.r.begin(nil)
	if err != nil {
		return refuse(s.l, syncproto.StopFailed, err)
	}
	defer s.r.close()
	lines, err := s.r.rules.Load().lines()
	if err != nil {
		return refuse(s.l, syncproto.StopFailed, err)
	}
	if !scanned { // else Prepare did
		if err := s.leader.dropIgnored(); err != nil {
			return err
		}
	}
	open := &syncproto.Open{Root: remoteRoot, Ignore: lines}
	if s.leader.base.Met() {
		open.Base = s.leader.base.Digest()
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = s.l.conn.Close() })
	defer stop()
	g.Go(func() error { return s.l.read(ctx, s.receive) })
	g.Go(func() error {
		// Both ends scan at the same time.
		if err := s.l.conn.Write(open); err != nil {
			return err
		}
		if !scanned {
			if err := s.r.firstScan(ctx); err != nil {
				return refuse(s.l, syncproto.StopFailed, err)
			}
		}
		s.post(func(rc *reconciler) error { rc.scanned = true; rc.touchDiffering(); return nil })
		return s.o.run(ctx)
	})
	supply(ctx, g, s.r, s.l, s.leader.traffic.piece)
	g.Go(func() error { return s.out.run(ctx) })
	landings := make(chan *landing)
	g.Go(func() error { return s.askAhead(ctx, landings) })
	g.Go(func() error { return s.apply(ctx, landings) })
	g.Go(func() error {
		defer close(s.done)
		return s.loop(ctx)
	})
	s.leader.attach(s)
	err = g.Wait()
	s.leader.attach(nil)
	s.epilogue()
	return errors.Join(err, s.r.save())
}

// epilogue takes note of what was applied and acked before the session ended
// but did not reach the loop any more, so that the next one does not take it
// for a conflict. What else the events ask for is void, and so are its errors.
func (s *leading) epilogue() {
	for len(s.events) > 0 {
		_ = (<-s.events)(s.rec)
	}
	if s.late != nil {
		_ = s.late(s.rec)
	}
}

// receive takes a message from the reader.
func (s *leading) receive(m syncproto.Message) error {
	switch m := m.(type) {
	case *syncproto.Opened:
		s.post(func(rc *reconciler) error { return rc.opened(m) })
	case *syncproto.Report:
		s.post(func(rc *reconciler) error { return rc.report(m) })
	case *syncproto.Ack:
		changes, err := s.out.acked(m.Batch, len(m.Results))
		if err != nil {
			return err
		}
		s.post(func(rc *reconciler) error { return rc.acked(changes, m.Results) })
	case *syncproto.Flushed:
		s.post(func(rc *reconciler) error { rc.flushed(m.ID); return nil })
	case *syncproto.Notice:
		s.notice(m)
	case *syncproto.TrashList:
		return s.asked.answer(m.ID, m)
	case *syncproto.Undone:
		s.post(func(rc *reconciler) error { rc.restoring--; return nil })
		return s.asked.answer(m.ID, m)
	default:
		return fmt.Errorf("%w: message type %d is not for a leader", ErrProtocol, m.Type())
	}
	return nil
}

func (s *leading) notice(m *syncproto.Notice) {
	switch m.Kind {
	case syncproto.NoticeSkipped:
		s.r.tell(note{Skipped, m.Path, "in the pod: " + plain(m.Text)})
	case syncproto.NoticeStopped:
		s.post(func(rc *reconciler) error { rc.podStop = "in the pod, " + plain(m.Text); return nil })
	case syncproto.NoticeResumed:
		s.post(func(rc *reconciler) error { rc.podStop = ""; return nil })
	default:
		s.r.tell(note{Warning, m.Path, "in the pod: " + plain(m.Text)})
	}
}

// loop handles events, and reconciles when none waits.
func (s *leading) loop(ctx context.Context) error {
	rc := s.rec
	for {
		var err error
		select {
		case e := <-s.events:
			err = e(rc)
		case <-rc.retry():
			rc.unhold()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.o.stir()
		if err == nil && len(s.events) == 0 {
			err = rc.reconcile()
		}
		if err != nil {
			return err
		}
	}
}

// reload reads the ignore files again. It runs in the observer's goroutine.
func (s *leading) reload(ctx context.Context) error {
	ru, err := loadRules(s.r.now.Load().root, s.r.cfg)
	lines := ""
	if err == nil {
		lines, err = ru.lines()
	}
	if err != nil {
		s.r.complain(fmt.Errorf("%w; the patterns before stay", err))
		return nil
	}
	s.r.complain(ru.problems...)
	if ru.equal(s.r.rules.Load()) {
		// They may have been read from other files, which are to be followed.
		s.r.rules.Store(ru)
		return nil
	}
	// The loop must not merge with one side's view old and the other's new.
	paused := make(chan struct{})
	s.post(func(rc *reconciler) error {
		rc.awaitFull, rc.scanned = rc.awaitFull+1, false
		close(paused)
		return nil
	})
	select {
	case <-paused:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.r.setRules(ctx, ru); err != nil {
		return err
	}
	s.post(func(rc *reconciler) error {
		rc.scanned = true
		if err := s.leader.dropIgnored(); err != nil {
			return err
		}
		rc.touchDiffering()
		return s.l.conn.Write(&syncproto.Ignore{Lines: lines})
	})
	return nil
}

// flush implements Leader.Flush for this session.
func (s *leading) flush(ctx context.Context) error { return s.await(ctx, false) }

// settle implements Leader.Settle for this session.
func (s *leading) settle(ctx context.Context) error { return s.await(ctx, true) }

// await waits until all that happened before it on the laptop, and in the pod
// too if both is set, is applied on the other side.
func (s *leading) await(ctx context.Context, both bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(); <-ended }()
	err := s.awaitAll(ctx, both)
	select {
	case <-s.done:
		if err != nil && !errors.Is(err, ErrStopped) {
			return errSessionEnded
		}
	default:
	}
	return err
}

func (s *leading) awaitAll(ctx context.Context, both bool) error {
	if err := s.o.catchUp(ctx); err != nil {
		return err
	}
	w := &waiter{both: both, done: make(chan error, 1)}
	s.post(func(rc *reconciler) error { return rc.wait(w) })
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// base returns what both sides agreed on at p.
func (s *leading) base(p string) tree.Entry { return s.leader.base.Entries().Get(p) }
