package devsession

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// errAbsent is what a dial fails with while nobody listens.
var errAbsent = errors.New("connection refused")

// connect dials a target that does as a test says, and returns how long it took.
func (h *hold) connect(ctx context.Context, target func(time.Duration) error) (took time.Duration, err error) {
	begun := time.Now()
	_, err = h.dial(ctx, func(context.Context) (net.Conn, error) { return nil, target(time.Since(begun)) })
	return time.Since(begun), err
}

// from returns a target that nobody listens on until a moment.
func from(moment time.Duration) func(time.Duration) error {
	return func(now time.Duration) error {
		if now < moment {
			return errAbsent
		}
		return nil
	}
}

const (
	atOnce = time.Duration(0)
	never  = 1000 * time.Hour
	// slack is more than the pause between two attempts.
	slack = time.Second
)

func newHold(starting func() bool) (h *hold, told *int) {
	told = new(int)
	return &hold{patience: restartTime, starting: starting, tell: func(error) { *told++ }}, told
}

func no() bool { return false }

// TestHoldAwaitsRestart holds each connection for as long as a restart may take,
// and tells once of one that takes longer.
func TestHoldAwaitsRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := newHold(no)
		for range 2 {
			before := *told
			if _, err := h.connect(t.Context(), from(atOnce)); err != nil {
				t.Fatal(err)
			}
			const restart = 3 * time.Second
			if took, err := h.connect(t.Context(), from(restart)); err != nil || took < restart || took > restart+slack {
				t.Errorf("a restart: %v after %v", err, took)
			}
			for range 2 {
				if took, err := h.connect(t.Context(), from(never)); !errors.Is(err, errAbsent) || took < restartTime || took > restartTime+slack {
					t.Errorf("an end: %v after %v", err, took)
				}
			}
			if *told != before+1 {
				t.Errorf("told %d times", *told-before)
			}
		}
	})
}

// TestHoldOfWrongPort waits for what nobody has seen only while it may be starting.
func TestHoldOfWrongPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const startup = 5 * time.Second
		begun := time.Now()
		h, _ := newHold(func() bool { return time.Since(begun) < startup })
		if took, err := h.connect(t.Context(), from(never)); !errors.Is(err, errAbsent) || took < startup || took > startup+slack {
			t.Errorf("while it starts: %v after %v", err, took)
		}
		if took, err := h.connect(t.Context(), from(never)); !errors.Is(err, errAbsent) || took != atOnce {
			t.Errorf("later: %v after %v", err, took)
		}
		h.starting = nil
		if took, err := h.connect(t.Context(), from(never)); !errors.Is(err, errAbsent) || took < restartTime {
			t.Errorf("one that is always waited for: %v after %v", err, took)
		}
	})
}

// TestHoldAwaitsTheWay does not count the time without a connection to the pod.
func TestHoldAwaitsTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := newHold(no)
		lost := func(now time.Duration) error {
			if now < time.Hour {
				return lostError(nil)
			}
			return nil
		}
		if took, err := h.connect(t.Context(), lost); err != nil || took < time.Hour {
			t.Errorf("%v after %v", err, took)
		}
		// What was waited before a loss does not count either.
		const loss = restartTime - time.Second
		took, err := h.connect(t.Context(), func(now time.Duration) error {
			if loss < now && now < restartTime {
				return lostError(nil)
			}
			return errAbsent
		})
		if !errors.Is(err, errAbsent) || took < 2*restartTime || *told != 1 {
			t.Errorf("%v after %v, told %d times", err, took, *told)
		}
	})
}

// TestHoldEndsWithItsContext tells nobody then.
func TestHoldEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := newHold(nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		time.AfterFunc(slack, func() { cancel(why) })
		if took, err := h.connect(ctx, from(never)); !errors.Is(err, why) || took != slack || *told > 0 {
			t.Errorf("%v after %v, told %d times", err, took, *told)
		}
	})
}
