package devsession

import (
	"context"
	"math/rand/v2"
	"time"
)

// The pauses between attempts to reconnect: doubled from the first to the
// longest, each shortened by up to half at random, so that many laptops do not
// come back in the same instant. A connection that lived for backoffReset
// starts over.
const (
	backoffFirst   = 50 * time.Millisecond
	backoffLongest = 5 * time.Second
	backoffReset   = 10 * time.Second
)

// backoff yields the pauses. The zero value starts with the first.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, backoffFirst), backoffLongest)
	return b.last/2 + rand.N(b.last/2)
}

// wait pauses, or returns why ctx ended.
func (b *backoff) wait(ctx context.Context) error {
	timer := time.NewTimer(b.next())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
