// Package pace says how long to wait between attempts to reach a cluster: the
// user shall wait little, and many laptops shall not come back in the same
// instant. It knows no clock.
package pace

import (
	"errors"
	"math/rand/v2"
	"net/url"
	"time"
)

// While the cluster answers, what it is asked costs it something: pauses double
// from the first to the longest.
const (
	first   = 50 * time.Millisecond
	longest = 5 * time.Second
)

// While nobody answers, an attempt costs the cluster nothing: it is due again
// after a hundredth of the time for which nobody has answered, so that nobody
// waits for much longer than the outage lasts.
const (
	share    = 100
	shortest = 100 * time.Millisecond
	patient  = 2 * time.Second
)

// Pace yields pauses. The zero value begins with the first.
type Pace struct {
	last time.Duration
	// silent is when nobody answered first; zero while somebody does.
	silent time.Time
}

// Next returns the pause after an attempt that ended now, whether or not the
// cluster answered. Each is shortened by up to half at random.
func (p *Pace) Next(now time.Time, answered bool) time.Duration {
	full := p.grow(now, answered)
	return full/2 + rand.N(full/2)
}

// grow returns the pause before chance shortens it.
func (p *Pace) grow(now time.Time, answered bool) time.Duration {
	if answered {
		p.silent = time.Time{}
		p.last = min(max(2*p.last, first), longest)
		return p.last
	}
	if p.silent.IsZero() {
		// Whoever answers after an outage is asked for the first time.
		*p = Pace{silent: now}
	}
	return min(max(now.Sub(p.silent)/share, shortest), patient)
}

// Answered tells by the error of a request to the API server whether somebody
// answered it, if only to refuse it.
func Answered(err error) bool {
	_, silent := errors.AsType[*url.Error](err)
	return !silent
}
