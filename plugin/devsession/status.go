package devsession

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// statusWatch follows what the agent says about itself.
type statusWatch struct {
	mu      sync.Mutex
	last    config.Status
	err     error
	changed chan struct{}
}

// watchStatus opens the status subsystem and follows it until ctx ends.
func watchStatus(ctx context.Context, client *sshclient.Client) (*statusWatch, error) {
	w := &statusWatch{changed: make(chan struct{})}
	first := make(chan error, 1)
	tell := func(st config.Status, err error) {
		w.update(st, err)
		select {
		case first <- err:
		default:
		}
	}
	go func() {
		err := FollowStatus(ctx, client, func(st config.Status) { tell(st, nil) })
		tell(config.Status{}, lostError(err))
	}()
	select {
	case err := <-first:
		return w, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (w *statusWatch) update(st config.Status, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.last = st
	}
	w.err = err
	close(w.changed)
	w.changed = make(chan struct{})
}

// await waits until a status meets the condition.
func (w *statusWatch) await(ctx context.Context, condition func(config.Status) bool) (config.Status, error) {
	for {
		w.mu.Lock()
		last, err, changed := w.last, w.err, w.changed
		w.mu.Unlock()
		if err != nil {
			return last, err
		}
		if condition(last) {
			return last, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return last, context.Cause(ctx)
		}
	}
}

// containerStart tells one run of a container from another.
type containerStart struct {
	pod string
	at  time.Time
}

// tellRestart says why the agent ended, if it did so under the last connection:
// the cluster hears of that when it runs again.
func (s *Session) tellRestart(ctx context.Context, group *errgroup.Group, pod string, status *statusWatch) {
	st, err := status.await(ctx, func(config.Status) bool { return true })
	if err != nil {
		return
	}
	before := s.agent
	s.agent = containerStart{pod, st.Started}
	if before.pod == pod && !before.at.Equal(st.Started) {
		s.tellEnd(ctx, group, config.SidecarContainer, before)
	}
}

// tellEnd says why a container ended as soon as the cluster knows, which may be
// when the connection that was lost with it is back.
func (s *Session) tellEnd(ctx context.Context, group *errgroup.Group, container string, run containerStart) {
	name := cmp.Or(container, "development container")
	if run.pod == "" {
		return
	}
	group.Go(func() error {
		if why, _ := s.Environment.Crash(ctx, run.pod, container, run.at); why != "" {
			s.Console.Warn("the %s had ended: %s", name, why)
		}
		return nil
	})
}

// FollowStatus reports the agent's status, at once and at each change, until
// ctx or the connection ends.
func FollowStatus(ctx context.Context, client *sshclient.Client, report func(config.Status)) error {
	channel, err := client.Subsystem(ctx, config.SubsystemStatus)
	if err != nil {
		return fmt.Errorf("asking the agent for its status: %w", err)
	}
	defer func() { _ = channel.Close() }()
	defer context.AfterFunc(ctx, func() { _ = channel.Close() })()
	for lines := json.NewDecoder(channel); ; {
		var st config.Status
		if err := lines.Decode(&st); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("reading the agent's status: %w", err)
		}
		report(st)
	}
}
