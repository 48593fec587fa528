package workload

import (
	"net/http"
	"sync/atomic"
	"time"
)

// ServerClock tells the API server's time: Leases are written and read by it,
// so that it does not matter whose machine has a wrong clock. Until the first
// answer it is this machine's.
type ServerClock struct {
	// Local is this machine's clock.
	Local func() time.Time

	// ahead is by how much the server's clock was ahead of Local.
	ahead atomic.Int64
}

// Now returns the API server's time.
func (c *ServerClock) Now() time.Time { return c.Local().Add(time.Duration(c.ahead.Load())) }

// Wrap sets the clock by each answer that comes through a transport.
func (c *ServerClock) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		asked := c.Local()
		resp, err := next.RoundTrip(r)
		if err != nil {
			return resp, err
		}
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			c.ahead.Store(int64(ahead(date, asked, c.Local())))
		}
		return resp, nil
	})
}

// ahead returns by how much the clock that dated an answer is ahead of the one
// that timed question and answer; 0 when they may be the same: a date has no
// fractions of a second.
func ahead(date, asked, answered time.Time) time.Duration {
	switch end := date.Add(time.Second); {
	case date.After(answered):
		return date.Sub(answered)
	case asked.After(end):
		return end.Sub(asked)
	default:
		return 0
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
