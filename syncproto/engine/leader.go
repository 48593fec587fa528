package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// ErrStopped means that sync has stopped and cannot do what was asked before
// the reason, which the error's text names, has passed.
var ErrStopped = errors.New("sync has stopped")

// errSessionEnded means that a session ended while somebody waited for it.
var errSessionEnded = errors.New("the sync session ended")

// Leader is the laptop's end of one root. It outlives its connections: Run
// serves one, and may be called again when that is lost.
type Leader struct {
	r    *replica
	base *tree.Base // used by the session in progress

	activity *activity
	traffic  *traffic

	turn chan struct{} // held by Run
	idle idle

	mu      sync.Mutex
	session *leading
	arrival chan struct{} // closed when a session begins
	status  Status
	copies  map[string]bool // conflict copies that exist
	paused  bool
}

// NewLeader returns the laptop's end for cfg.Root. The root is not read before
// Prepare or Run.
func NewLeader(cfg Config) (*Leader, error) {
	r, err := newReplica(cfg, false)
	if err != nil {
		return nil, err
	}
	base, err := tree.OpenBase(cfg.StateDir, r.index.Shared)
	if err != nil {
		return nil, err
	}
	l := &Leader{
		r: r, base: base,
		activity: newActivity(), traffic: newTraffic(),
		turn:    make(chan struct{}, 1),
		arrival: make(chan struct{}),
		status:  Status{State: Waiting},
		copies:  map[string]bool{},
	}
	r.index.Each(func(p string, _ tree.Entry) bool {
		if merge.IsCopy(p) {
			l.copies[p] = true
		}
		return true
	})
	return l, nil
}

// Prepare opens the root and scans it for the Run that follows, which then needs
// to look only at what has happened since, and packs what a pod that has nothing
// yet will be sent. It is worth calling while the connection is still on its way.
func (l *Leader) Prepare(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := l.r.prepare(ctx, nil); err != nil {
		return err
	}
	if err := l.dropIgnored(); err != nil {
		l.r.close()
		return err
	}
	if !l.base.Met() {
		l.packAhead(ctx)
	}
	return nil
}

// dropIgnored forgets what is agreed about paths that are ignored by now, so
// that they come back as new ones should they be included again. The caller has
// the turn.
func (l *Leader) dropIgnored() error {
	if l.base.Digest() == l.r.index.Digest() {
		return nil // the index has nothing that is ignored
	}
	ru := l.r.rules.Load()
	var items []syncproto.Item
	for p, e := range l.base.Entries().All() {
		if !ru.visible(p, *e) {
			items = append(items, syncproto.Item{Path: p})
		}
	}
	return l.r.unlessFull(l.base.Agree(items))
}

// Run syncs with the follower of remoteRoot at the other end of conn until ctx
// or the connection ends, and closes conn. A *syncproto.VersionError and a
// *StopError will not pass by trying again; other errors may.
func (l *Leader) Run(ctx context.Context, conn io.ReadWriteCloser, remoteRoot string) error {
	defer func() { _ = conn.Close() }()
	l.idle.wanted(1)
	select {
	case l.turn <- struct{}{}:
		l.idle.wanted(-1)
		defer func() { <-l.turn }()
	case <-ctx.Done():
		l.idle.wanted(-1)
		return ctx.Err()
	}
	link, err := newLink(l.traffic.count(conn))
	if err != nil {
		return err
	}
	defer link.close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := link.conn.Hello(syncproto.SideLaptop, build(l.r.cfg.Build)); err != nil {
		return cause(ctx, err)
	}
	s := newLeading(l, link)
	l.idle.packed = nil
	err = s.run(ctx, remoteRoot)
	l.disconnected()
	return cause(ctx, err)
}

// cause prefers the reason for which ctx ended to the error that followed.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the pod closed the sync session: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// Flush waits until everything that was saved on the laptop before the call is
// applied in the pod, events included that the system has not delivered yet.
// Where there is no session it waits for one. The error wraps ErrStopped when
// sync has stopped or a path cannot be applied, and is ErrPaused while sync is
// paused.
func (l *Leader) Flush(ctx context.Context) error {
	return l.during(ctx, (*leading).flush)
}

// Settle waits until everything that was written in the pod before the call is
// applied on the laptop too, and the other way round. Its errors are those of
// Flush.
func (l *Leader) Settle(ctx context.Context) error {
	return l.during(ctx, (*leading).settle)
}

// during runs f with a session, and again with the next if that one ends.
func (l *Leader) during(ctx context.Context, f func(*leading, context.Context) error) error {
	for {
		l.mu.Lock()
		s, next, paused := l.session, l.arrival, l.paused
		l.mu.Unlock()
		if paused {
			return ErrPaused
		}
		if s != nil {
			if err := f(s, ctx); !errors.Is(err, errSessionEnded) {
				return err
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Status returns the present state.
func (l *Leader) Status() Status {
	l.mu.Lock()
	s := l.status
	s.Conflicts = make([]string, 0, len(l.copies))
	for p := range l.copies {
		s.Conflicts = append(s.Conflicts, p)
	}
	s.Held = slices.Clone(s.Held)
	l.mu.Unlock()
	slices.Sort(s.Conflicts)
	s.Files, s.Bytes = l.r.index.Files()
	wire, partial, current := l.traffic.status(time.Now())
	s.Traffic = wire
	partial = min(partial, s.PendingBytes)
	s.DoneBytes, s.PendingBytes = s.DoneBytes+partial, s.PendingBytes-partial
	if current != "" {
		s.Current = current
	}
	return s
}

// count counts a change that was done.
func (l *Leader) count(c *merge.Change) {
	l.mu.Lock()
	l.status.DoneFiles++
	l.status.DoneBytes += c.Entry.Size
	l.mu.Unlock()
	moved := c.Entry.Size
	if c.From != "" {
		moved = 0 // the side had the content
	}
	l.activity.add(c.Path, moved, time.Now())
}

// disconnected publishes that there is no session, and so nothing on its way.
func (l *Leader) disconnected() {
	l.traffic.ended()
	l.mu.Lock()
	l.status.PendingFiles, l.status.PendingBytes, l.status.Current = 0, 0, ""
	l.status.Oldest = time.Time{}
	l.mu.Unlock()
	l.setState(Waiting, "")
}

// Close releases the root and the state folder. Run must have returned.
func (l *Leader) Close() error {
	select {
	case l.turn <- struct{}{}:
		l.r.close() // what Prepare left open
		<-l.turn
	default:
	}
	return errors.Join(l.base.Close(), l.r.trash.Close())
}

// attach makes s the session that Flush and Resume speak to; nil for none.
func (l *Leader) attach(s *leading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = s
	if s != nil {
		close(l.arrival)
		l.arrival = make(chan struct{})
	}
}

// setState publishes a state and tells about a change of it.
func (l *Leader) setState(s State, reason string) {
	l.mu.Lock()
	if l.paused {
		s = Paused
	}
	same := l.status.State == s && l.status.Reason == reason
	l.status.State, l.status.Reason = s, reason
	l.mu.Unlock()
	if !same {
		l.r.cfg.emit(stateEvent(s, reason))
	}
}

// conflict tells about a conflict.
func (l *Leader) conflict(path, beside string) {
	l.r.cfg.emit(Event{Kind: Conflict, Path: path, Detail: beside})
}

// setCopies makes paths the list of conflict copies.
func (l *Leader) setCopies(paths []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.copies)
	for _, p := range paths {
		l.copies[p] = true
	}
}

// noteCopy keeps the list of conflict copies up to date with p.
func (l *Leader) noteCopy(p string, exists bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if exists {
		l.copies[p] = true
	} else {
		delete(l.copies, p)
	}
}
