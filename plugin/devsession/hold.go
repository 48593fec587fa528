package devsession

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// restartTime is how long a program may take to listen again: enough for a
// restart, and a bound for what does not come.
const restartTime = 10 * time.Second

// hold connects with the target of a forward, and waits while that is being
// restarted. A target that nobody has ever seen is waited for only while it may be
// starting: who connects to a wrong port learns that at once.
type hold struct {
	// patience is how long a connection is held while nobody listens.
	patience time.Duration
	// starting tells whether the target may be about to listen for the first
	// time; nil means that it is always waited for.
	starting func() bool
	// tell is told why connections fail, once until one succeeds again; nil
	// means that nobody wants to know.
	tell func(error)

	reached, told atomic.Bool
}

// dial calls try until it connects or there is no use in waiting. An errLost says
// nothing about the target: what leads there comes back.
func (h *hold) dial(ctx context.Context, try func(context.Context) (net.Conn, error)) (net.Conn, error) {
	const first, longest = 10 * time.Millisecond, 100 * time.Millisecond
	var absent time.Time // since when nobody listens
	for pause := first; ; pause = min(2*pause, longest) {
		conn, err := try(ctx)
		switch {
		case err == nil:
			h.reached.Store(true)
			h.told.Store(false)
			return conn, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, errLost):
			absent = time.Time{}
		case absent.IsZero():
			absent = time.Now()
		}
		if !absent.IsZero() && !h.expects(absent) {
			if h.tell != nil && !h.told.Swap(true) {
				h.tell(err)
			}
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// expects tells whether somebody may listen soon.
func (h *hold) expects(absent time.Time) bool {
	return time.Since(absent) < h.patience && (h.reached.Load() || h.starting == nil || h.starting())
}
