package engine

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// errReplaced ends a session when a newer one takes its root over.
var errReplaced = errors.New("a newer session took this root over")

// Follower is the pod's end of one root. It serves one session at a time.
type Follower struct {
	r *replica

	turn   chan struct{} // held by the session in progress
	mu     sync.Mutex
	cancel context.CancelCauseFunc // ends the session in progress
	status Status
}

// NewFollower returns the pod's end for cfg.Root. The root is not read before
// a session begins.
func NewFollower(cfg Config) (*Follower, error) {
	r, err := newReplica(cfg, true)
	if err != nil {
		return nil, err
	}
	return &Follower{r: r, turn: make(chan struct{}, 1), status: Status{State: Waiting}}, nil
}

// Prepare opens the root and scans it under the patterns of the last session, so
// that the next one needs to look only at what has happened since. Where there
// was no session, or is one, it does nothing.
func (f *Follower) Prepare(ctx context.Context) error {
	lines, ok := tree.LoadPatterns(f.r.cfg.StateDir)
	if !ok {
		return nil
	}
	ru, err := parseRules(lines, f.r.cfg.Exclude)
	if err != nil {
		return err
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
		return f.r.prepare(ctx, ru)
	default:
		return nil
	}
}

// Status returns the follower's view: it knows neither what is pending nor the
// conflicts.
func (f *Follower) Status() Status {
	f.mu.Lock()
	s := f.status
	f.mu.Unlock()
	s.Files, s.Bytes = f.r.index.Files()
	return s
}

// setState publishes a state and tells about a change of it.
func (f *Follower) setState(s State, reason string) {
	f.mu.Lock()
	same := f.status.State == s && f.status.Reason == reason
	f.status.State, f.status.Reason = s, reason
	f.mu.Unlock()
	if !same {
		f.r.cfg.emit(stateEvent(s, reason))
	}
}

func stateEvent(s State, reason string) Event {
	detail := string(s)
	if reason != "" {
		detail += ": " + reason
	}
	return Event{Kind: StateChanged, Detail: detail, State: s}
}

// Accept serves one session on conn and closes it. lookup finds the follower
// of the root that the laptop names; its error is shown to the laptop's user.
// A session for a root that has one already replaces that one. The error is
// nil when the laptop ended the session in good order.
func Accept(ctx context.Context, conn io.ReadWriteCloser, lookup func(root string) (*Follower, error)) error {
	l, err := newLink(conn)
	if err != nil {
		_ = conn.Close()
		return err
	}
	defer l.close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := l.conn.Hello(syncproto.SidePod, build("")); err != nil {
		return err
	}
	m, err := l.conn.Read()
	if err != nil {
		return err
	}
	open, ok := m.(*syncproto.Open)
	if !ok {
		return refuse(l, syncproto.StopProtocol, errors.New("the first message is not an open"))
	}
	f, err := lookup(open.Root)
	if err != nil {
		return refuse(l, syncproto.StopRoot, err)
	}
	return f.serve(ctx, l, open)
}

// refuse tells the other end why there is no session.
func refuse(l *link, code syncproto.StopCode, err error) error {
	_ = l.conn.Write(&syncproto.Stop{Code: code, Text: err.Error()})
	return err
}

// serve runs one session after the one before it, if any, has ended.
func (f *Follower) serve(ctx context.Context, l *link, open *syncproto.Open) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f.mu.Lock()
	if f.cancel != nil {
		f.cancel(errReplaced)
	}
	f.cancel = cancel
	f.mu.Unlock()
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return refuse(l, syncproto.StopReplaced, context.Cause(ctx))
	}
	defer func() { <-f.turn }()

	s := newFollowing(f, l)
	err := s.run(ctx, open)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	f.setState(Waiting, "")
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
