package pace

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// TestGrow follows pauses before chance shortens them.
func TestGrow(t *testing.T) {
	type attempt struct {
		at       time.Duration
		answered bool
		want     time.Duration
	}
	const ms = time.Millisecond
	for name, attempts := range map[string][]attempt{
		"refused again and again": {
			{0, true, 50 * ms}, {0, true, 100 * ms}, {0, true, 200 * ms}, {0, true, 400 * ms}, {0, true, 800 * ms},
			{0, true, 1600 * ms}, {0, true, 3200 * ms}, {0, true, 5000 * ms}, {0, true, 5000 * ms},
		},
		"a hundredth of the outage": {
			{0, false, 100 * ms}, {time.Second, false, 100 * ms}, {30 * time.Second, false, 300 * ms},
			{time.Minute, false, 600 * ms}, {10 * time.Minute, false, 2000 * ms},
		},
		"another outage": {
			{0, false, 100 * ms}, {time.Minute, false, 600 * ms}, {time.Minute, true, 50 * ms},
			{2 * time.Minute, false, 100 * ms}, {3 * time.Minute, false, 600 * ms},
		},
		"an outage after many refusals": {
			{0, true, 50 * ms}, {0, true, 100 * ms}, {0, true, 200 * ms}, {time.Second, false, 100 * ms}, {2 * time.Second, true, 50 * ms},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p Pace
			start := time.Now()
			for i, a := range attempts {
				if got := p.grow(start.Add(a.at), a.answered); got != a.want {
					t.Errorf("attempt %d: %v, want %v", i+1, got, a.want)
				}
			}
		})
	}
}

// TestNext keeps chance between half of a pause and all of it.
func TestNext(t *testing.T) {
	now := time.Now()
	seen := map[time.Duration]bool{}
	for range 100 {
		var p Pace
		pause := p.Next(now, false)
		if pause < shortest/2 || pause >= shortest {
			t.Fatalf("the first pause is %v", pause)
		}
		seen[pause] = true
	}
	if len(seen) < 10 {
		t.Errorf("a hundred laptops pause for %d different times", len(seen))
	}
}

func TestAnswered(t *testing.T) {
	refused := apierrors.NewServiceUnavailable("starting")
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, true},
		{refused, true},
		{fmt.Errorf("get pods: %w", &url.Error{Op: "Get", Err: io.EOF}), false},
		{errors.New("the pod has no node"), true},
	} {
		if got := Answered(tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}
