//go:build linux

package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Status is the state of one component.
type Status struct {
	Name    string
	PID     int // 0 when it does not run
	Started time.Time
	Problem string // "" when it serves
}

// Inspect returns the config and the state of all components of the node in a
// state folder. The error is ErrStopped when none runs there.
func Inspect(ctx context.Context, state string) (Config, []Status, error) {
	r, err := readRecord(state)
	if err != nil {
		return Config{}, nil, err
	}
	if !r.Supervisor.alive() {
		return r.Config, nil, fmt.Errorf("a former run was killed: %w", ErrStopped)
	}
	reports, err := newControl(r.Config).reports(ctx)
	if err != nil {
		return r.Config, nil, err
	}
	pids, err := hostPIDs(r.Supervisor.PID)
	if err != nil {
		return r.Config, nil, err
	}
	var all []Status
	for i, component := range components(r.Config) {
		report := reports[i]
		status := Status{Name: report.Name, PID: pids[report.PID], Started: report.Started}
		if report.PID == 0 {
			status.PID, status.Problem = 0, cmp.Or(report.Ended, "not started")
		} else if err := probe(ctx, r.Config, component); err != nil {
			status.Problem = err.Error()
		}
		all = append(all, status)
	}
	return r.Config, all, nil
}

// Start starts a component of a running node that was killed, and waits until
// it serves.
func Start(ctx context.Context, state, name string) error {
	r, err := readRecord(state)
	if err != nil {
		return err
	}
	quiet := func(string, ...any) {}
	return starter{r.Config, newControl(r.Config), quiet}.start(ctx, name)
}

// Kill ends one component of a running node at once, as a crash would, and
// returns when it is gone.
func Kill(ctx context.Context, state, name string) error {
	r, err := readRecord(state)
	if err != nil {
		return err
	}
	supervisor := newControl(r.Config)
	if err := supervisor.kill(ctx, name); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		reports, err := supervisor.reports(ctx)
		return !slices.ContainsFunc(reports, func(r report) bool { return r.Name == name && r.PID != 0 }), err
	})
}
