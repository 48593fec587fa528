package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
	"golang.org/x/sync/errgroup"
)

// following is one session of a follower.
type following struct {
	// config
	f *Follower
	r *replica
	l *link
	o *observer
	// state
	work chan syncproto.Message // batches, ignores and flushes, in order

	mu      sync.Mutex
	news    map[string]bool // paths that changed and were not reported
	notes   []note          // what the user was not told yet
	hasNews chan struct{}   // holds one token while there are any
	sending sync.Mutex      // keeps the messages of one report together
}

// resultText bounds the text of a result, so that those of a whole batch fit
// one ack.
const resultText = 512

// workRoom is how many messages may wait to be done: a window of batches, and
// a few small ones between them.
const workRoom = 2 * syncproto.WindowBatches

func newFollowing(f *Follower, l *link) *following {
	s := &following{
		f: f, r: f.r, l: l, o: newObserver(f.r),
		work:    make(chan syncproto.Message, workRoom),
		news:    map[string]bool{},
		hasNews: make(chan struct{}, 1),
	}
	s.o.changed = s.note
	s.o.stopped = s.stopped
	return s
}

// run opens the root, tells the leader what it holds, and serves until ctx or
// the connection ends.
func (s *following) run(ctx context.Context, open *syncproto.Open) error {
	s.f.setState(Scanning, "")
	s.r.notes.listen(s.hear, s.r.ready)
	defer s.r.notes.listen(nil, false)
	ru, err := parseRules(open.Ignore, s.r.cfg.Exclude)
	if err != nil {
		return refuse(s.l, syncproto.StopProtocol, err)
	}
	scanned, err := s.r.begin(ru)
	if err != nil {
		return refuse(s.l, syncproto.StopRoot, err)
	}
	defer s.r.close()
	if !scanned {
		if err := s.r.firstScan(ctx); err != nil {
			return refuse(s.l, syncproto.StopRoot, err)
		}
	}
	if err := s.r.unlessFull(tree.SavePatterns(s.r.cfg.StateDir, open.Ignore)); err != nil {
		return refuse(s.l, syncproto.StopFailed, err)
	}
	same := open.Base != syncproto.Digest{} && s.r.index.Digest() == open.Base
	opened := &syncproto.Opened{Tree: s.r.id.ID, Same: same, NoModes: !s.r.now.Load().modes,
		FoldCase: s.r.now.Load().root.Names().Folds()}

	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { s.hangUp(context.Cause(ctx)) })
	defer stop()
	g.Go(func() error { return s.l.read(ctx, s.receive) })
	g.Go(func() error { return s.o.run(ctx) })
	supply(ctx, g, s.r, s.l, nil)
	g.Go(func() error {
		if err := s.l.conn.Write(opened); err != nil {
			return err
		}
		if !same {
			if err := s.reportAll(); err != nil {
				return err
			}
		}
		s.f.setState(Converged, "")
		g.Go(func() error { return s.apply(ctx) })
		return s.report(ctx)
	})
	err = g.Wait()
	return errors.Join(err, s.r.save())
}

// hangUp closes the connection. A leader that loses its root to a newer session
// is told so, or it would come back and take it over again; but one that does
// not listen is not waited for.
func (s *following) hangUp(cause error) {
	if errors.Is(cause, errReplaced) {
		limit := time.AfterFunc(time.Second, func() { _ = s.l.conn.Close() })
		defer limit.Stop()
		_ = s.l.conn.Write(&syncproto.Stop{Code: syncproto.StopReplaced, Text: cause.Error()})
	}
	_ = s.l.conn.Close()
}

// receive takes a message from the reader; it must not wait.
func (s *following) receive(m syncproto.Message) error {
	switch m.(type) {
	case *syncproto.Batch, *syncproto.Ignore, *syncproto.Flush, *syncproto.Trash, *syncproto.Undo:
		select {
		case s.work <- m:
			return nil
		default:
			return fmt.Errorf("%w: more than its window", ErrProtocol)
		}
	default:
		return fmt.Errorf("%w: message type %d is not for a follower", ErrProtocol, m.Type())
	}
}

// apply does the work that arrives.
func (s *following) apply(ctx context.Context) error {
	syncing := false
	for {
		var err error
		select {
		case m := <-s.work:
			switch m := m.(type) {
			case *syncproto.Batch:
				syncing = true
				err = s.batch(ctx, m)
			case *syncproto.Ignore:
				err = s.ignore(ctx, m)
			case *syncproto.Flush:
				err = s.flush(ctx, m)
			case *syncproto.Trash:
				err = s.trash(m)
			case *syncproto.Undo:
				err = s.undo(ctx, m)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.o.stir()
		if err != nil {
			return err
		}
		if syncing && len(s.work) == 0 {
			syncing = false
			s.f.setState(Converged, "")
		}
	}
}

func (s *following) batch(ctx context.Context, m *syncproto.Batch) error {
	s.f.setState(Syncing, "")
	results := s.r.apply(ctx, m.Changes, func(c *syncproto.Change) stage.Source { return s.l.fetch(c) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.l.conn.Release(m)
	for i := range results {
		results[i].Text = results[i].Text[:min(len(results[i].Text), resultText)]
	}
	ack := &syncproto.Ack{Batch: m.ID, Results: results}
	err := s.l.conn.WriteFunc(func() syncproto.Message {
		for i := range results {
			results[i].Entry = s.r.entry(m.Changes[i].Path)
		}
		return ack
	})
	s.f.mu.Lock()
	s.f.status.Generation = max(s.f.status.Generation, m.Generation)
	s.f.mu.Unlock()
	for i, res := range results {
		if res.Code == syncproto.CodeOK {
			s.r.cfg.emit(Event{Kind: Applied, Path: m.Changes[i].Path, Detail: "pod"})
		}
	}
	return err
}

// ignore takes new patterns and reports the tree that they leave.
func (s *following) ignore(ctx context.Context, m *syncproto.Ignore) error {
	ru, err := parseRules(m.Lines, s.r.cfg.Exclude)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return s.o.do(ctx, func(ctx context.Context) error {
		if err := s.r.setRules(ctx, ru); err != nil {
			return err
		}
		if err := s.r.unlessFull(tree.SavePatterns(s.r.cfg.StateDir, m.Lines)); err != nil {
			return err
		}
		return s.reportAll()
	})
}

// flush reports what happened in the root before it was asked to.
func (s *following) flush(ctx context.Context, m *syncproto.Flush) error {
	// Without a root there is nothing to report; the leader knows.
	if err := s.o.catchUp(ctx); err != nil && !errors.Is(err, ErrStopped) {
		return err
	}
	if err := s.reportNews(); err != nil {
		return err
	}
	return s.l.conn.Write(&syncproto.Flushed{ID: m.ID})
}

// note remembers paths to report.
func (s *following) note(paths []string) {
	s.mu.Lock()
	for _, p := range paths {
		s.news[p] = true
	}
	s.mu.Unlock()
	s.signal()
}

// hear remembers a note for the user at the other end.
func (s *following) hear(n note) {
	s.mu.Lock()
	s.notes = append(s.notes, n)
	s.mu.Unlock()
	s.signal()
}

func (s *following) signal() {
	select {
	case s.hasNews <- struct{}{}:
	default:
	}
}

// stopped tells the leader that the root is gone, or back.
func (s *following) stopped(reason string) {
	kind := syncproto.NoticeStopped
	if reason == "" {
		kind = syncproto.NoticeResumed
		s.f.setState(Converged, "")
	} else {
		s.f.setState(Stopped, reason)
	}
	// A failure to write ends the session elsewhere.
	_ = s.l.conn.Write(&syncproto.Notice{Kind: kind, Text: reason})
}

// report tells the leader about changed entries until ctx ends.
func (s *following) report(ctx context.Context) error {
	for {
		select {
		case <-s.hasNews:
			if err := s.reportNews(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reportNews reports what was noted. When it returns, what others took to
// report before it has been written too.
func (s *following) reportNews() error {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	paths := slices.Sorted(maps.Keys(s.news))
	s.news = map[string]bool{} // gives the memory of a storm back
	notes := s.notes
	s.notes = nil
	s.mu.Unlock()
	for _, n := range notes {
		if err := s.l.conn.Write(n.message()); err != nil {
			return err
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return s.send(paths, false)
}

func (s *following) reportAll() error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.send(s.r.index.Tree().Paths(), true)
}

// send reports the entries of paths as they are when each message is written,
// so that no report is overtaken by an older one or by an ack. The caller holds
// sending.
func (s *following) send(paths []string, full bool) error {
	for first := true; first || len(paths) > 0; first = false {
		n := s.reportable(paths)
		part := paths[:n]
		paths = paths[n:]
		err := s.l.conn.WriteFunc(func() syncproto.Message {
			return &syncproto.Report{Full: full && first, More: len(paths) > 0, Items: s.r.current(part)}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reportable returns how many of paths fit one report, with room to spare for
// entries that change before it is written.
func (s *following) reportable(paths []string) int {
	const entrySize = 64 // of a file
	size := 0
	for i, p := range paths {
		size += len(p) + entrySize + len(s.r.entry(p).Target)
		if i == syncproto.MaxItems || i > 0 && size > syncproto.MaxPayload/4 {
			return i
		}
	}
	return len(paths)
}
