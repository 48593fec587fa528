package workload

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// skewed returns this moment's clock of a machine and what it takes for the
// server's, after an answer that was a second on its way.
func skewed(t *testing.T, by time.Duration) *ServerClock {
	t.Helper()
	c := &ServerClock{Local: func() time.Time { return time.Now().Add(by) }}
	transport := c.Wrap(roundTripper(func(*http.Request) (*http.Response, error) {
		date := time.Now().UTC().Format(http.TimeFormat)
		<-time.After(time.Second)
		return &http.Response{Header: http.Header{"Date": {date}}, Body: io.NopCloser(strings.NewReader(""))}, nil
	}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return c
}

func TestServerClock(t *testing.T) {
	for _, by := range []time.Duration{0, 300 * time.Millisecond, time.Hour, -time.Hour, 24 * 365 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			<-time.After(700 * time.Millisecond)
			c := skewed(t, by)
			if off := time.Until(c.Now()).Abs(); off > 2*time.Second {
				t.Errorf("by a clock that is %v ahead the server's time is off by %v", by, off)
			}
			if by == 0 && !c.Now().Equal(time.Now()) {
				t.Errorf("a clock that is right was changed to %v", c.Now())
			}
		})
	}
}

func TestServerClockWithoutADate(t *testing.T) {
	c := &ServerClock{Local: time.Now}
	transport := c.Wrap(roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "gone" {
			return nil, io.ErrUnexpectedEOF
		}
		return &http.Response{Header: http.Header{"Date": {"yesterday"}}, Body: http.NoBody}, nil
	}))
	for _, host := range []string{"gone", "server"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := transport.RoundTrip(r); err == nil {
			_ = resp.Body.Close()
		}
	}
	if d := time.Until(c.Now()).Abs(); d > time.Second {
		t.Errorf("the clock is off by %v", d)
	}
}

// TestLeaseOfAnotherClock has laptops whose clocks are hours apart.
func TestLeaseOfAnotherClock(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			ann := newDesk(t)
			ann.Now = skewed(t, by).Now
			if _, err := ann.acquire(Claimant{Holder: "ann@laptop/1"}); err != nil {
				t.Fatal(err)
			}
			bob := desk{new(*ann.Client), t}
			bob.Now = skewed(t, 0).Now
			var held *HeldError
			if _, err := bob.acquire(Claimant{Holder: "bob@desk/2"}); !errors.As(err, &held) {
				t.Errorf("the Lease of a laptop whose clock is %v ahead: %v", by, err)
			}
			<-time.After(leaseSeconds*time.Second + 3*time.Second)
			if _, err := bob.acquire(Claimant{Holder: "bob@desk/2"}); err != nil {
				t.Errorf("after it has expired: %v", err)
			}
		})
	}
}
