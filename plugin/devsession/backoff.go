package devsession

import (
	"context"
	"errors"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/pace"
)

// backoffReset is how long a connection has to live for the pauses between
// attempts to start over; one over which something was synced may live shorter.
const backoffReset = 10 * time.Second

// backoff pauses between attempts. The zero value starts with the first pause.
type backoff struct{ pace.Pace }

// wait pauses after an attempt that ended with err, or returns why ctx ended.
func (b *backoff) wait(ctx context.Context, err error) error {
	answered := pace.Answered(err) && !errors.Is(err, ErrUnreachable)
	timer := time.NewTimer(b.Next(time.Now(), answered))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Persist attempts until something ends it that another attempt does not mend,
// or nothing has worked for so long. An attempt tells whether it got anywhere.
func Persist(ctx context.Context, limit time.Duration, attempt func(context.Context) (worked bool, err error), mends func(error) bool) error {
	t := newTrying(time.Now(), limit)
	for {
		worked, err := attempt(ctx)
		if err == nil || ctx.Err() != nil || !mends(err) || !t.again(time.Now(), false, worked) {
			return err
		}
		if err := t.wait(ctx, err); err != nil {
			return err
		}
		t.started = time.Now()
	}
}

// trying decides about attempts to connect. It knows no clock.
type trying struct {
	backoff
	limit time.Duration
	// since is when the first of the attempts began that came to nothing,
	// started when the last one did.
	since, started time.Time
}

func newTrying(now time.Time, limit time.Duration) *trying {
	return &trying{limit: limit, since: now, started: now}
}

// again reports whether to go on after an attempt that ended with a lost
// connection. worked tells whether one got as far as the command, moved whether
// this one synced something. A first sync that is interrupted again and again
// is slow, not in vain.
func (t *trying) again(now time.Time, worked, moved bool) bool {
	if moved {
		t.since = now
	}
	if moved || now.Sub(t.started) > backoffReset {
		t.backoff = backoff{}
	}
	return worked || now.Sub(t.since) <= t.limit
}
