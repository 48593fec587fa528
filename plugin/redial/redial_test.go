package redial

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDial plays networks: each attempt learns its number and when it began.
func TestDial(t *testing.T) {
	refused := errors.New("refused")
	never := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, tt := range map[string]struct {
		network  func(ctx context.Context, number int32, began time.Duration) error
		err      error
		took     time.Duration
		attempts int32
	}{
		"answers at once": {
			network:  func(context.Context, int32, time.Duration) error { return nil },
			attempts: 1,
		},
		"refuses at once": {
			network:  func(context.Context, int32, time.Duration) error { return refused },
			err:      refused,
			attempts: 1,
		},
		"is slow": {
			network: func(ctx context.Context, _ int32, _ time.Duration) error {
				select {
				case <-time.After(5 * time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			},
			took: 5 * time.Second, attempts: 20,
		},
		"is back after ten seconds": {
			network: func(ctx context.Context, _ int32, began time.Duration) error {
				if began < 10*time.Second-time.Millisecond {
					return never(ctx)
				}
				return nil
			},
			took: 10 * time.Second, attempts: 41,
		},
		"never answers": {
			network:  func(ctx context.Context, _ int32, _ time.Duration) error { return never(ctx) },
			err:      context.DeadlineExceeded,
			took:     limit,
			attempts: int32(limit / pause),
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var attempts, open atomic.Int32
				start := time.Now()
				d := dialer(func(ctx context.Context, _, _ string) (net.Conn, error) {
					if err := tt.network(ctx, attempts.Add(1), time.Since(start)); err != nil {
						return nil, err
					}
					open.Add(1)
					return &counted{open: &open}, nil
				})
				conn, err := d.dial(t.Context(), "tcp", "api:443")
				if took := time.Since(start); !errors.Is(err, tt.err) || took != tt.took {
					t.Errorf("after %v: %v, want after %v: %v", took, err, tt.took, tt.err)
				}
				if n := attempts.Load(); n < tt.attempts-1 || n > tt.attempts+1 {
					t.Errorf("%d attempts, want %d", n, tt.attempts)
				}
				if conn != nil {
					_ = conn.Close()
				}
				synctest.Wait()
				if n := open.Load(); n != 0 {
					t.Errorf("%d connections stay open", n)
				}
			})
		})
	}
}

// counted is a connection that is counted while it is open.
type counted struct {
	net.Conn
	open *atomic.Int32
}

func (c *counted) Close() error {
	c.open.Add(-1)
	return nil
}
