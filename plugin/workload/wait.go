package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Target is the pod to wait for.
type Target struct {
	// Dev is the dev environment, Clone the Deployment that makes the pod;
	// Service is true when that is one of its services'.
	Dev, Clone string
	Service    bool
	// Container is the dev container; empty means the pod's first.
	Container string
	// Hash is the pod's AnnotationTemplate; empty means any.
	Hash string
	// Generation is the clone's, before which its conditions are old news.
	Generation int64
	// Again means that an earlier template of the clone was refused: for a
	// moment its ReplicaSet still makes the clone's conditions.
	Again bool
	// Original selects the original's pods: while they end, a quota or a full
	// node is no failure. nil means that there are none.
	Original *metav1.LabelSelector
}

// label is the label of the pod that names the dev environment.
func (t *Target) label() string {
	if t.Service {
		return LabelDetached
	}
	return LabelInteractive
}

// Level is how far the pod has to be.
type Level int

// The levels. Ready is none of them: it follows Running by another report of
// the kubelet, and depends on containers that development does not need.
const (
	// Connectable means that the sidecar runs. Its server may be a few
	// milliseconds behind.
	Connectable Level = iota
	// Running means that the dev container runs.
	Running
)

// WaitOptions say what to wait for.
type WaitOptions struct {
	Until Level
	// Timeout bounds the wait; 0 means DefaultWait.
	Timeout time.Duration
	// Ran says that such a pod has run before: a container that crashed is for
	// the kubelet to restart, and what keeps another pod from running, such as a
	// node, an image or a quota, may come back. Both are waited for, until the
	// timeout.
	Ran bool
	// Progress, when not nil, is called at each change, from the goroutine
	// that called Wait. It must not block. The pod's name is in it as soon as
	// it is known: who wants to be early connects from then on.
	Progress func(Progress)
}

// DefaultWait bounds a wait that names no bound.
const DefaultWait = 120 * time.Second

// Times of the failures that may heal by themselves.
const (
	// schedulingGrace is how long a pod may be unschedulable: a scale-up of
	// the cluster shows within it.
	schedulingGrace = 3 * time.Second
	// recheck is how often it is looked whether the original's pods, which
	// stand in the way, are gone.
	recheck = time.Second
	// quotaGrace is how long a quota may refuse the pod, though the original's
	// are gone: the ReplicaSet asks again at ever longer intervals, after 5 s and
	// after 10.
	quotaGrace = 12 * time.Second
	// settle is the least time after they are gone before it counts as a
	// failure.
	settle = 5 * time.Second
	// logTimeout bounds the reading of a crashed container's log.
	logTimeout = 3 * time.Second
	// logLines is how much of it an error carries.
	logLines = 10
)

// Wait returns the clone's pod when it is as far as asked, within
// milliseconds of the API server showing it. Everything it knows comes from
// watches. It fails with the reason as soon as there is one: PodError,
// RefusedError, GoneError, ForbiddenError, and TimeoutError at the deadline.
// A pod that is deleted meanwhile is no failure while the clone makes
// another.
func (c *Client) Wait(ctx context.Context, t Target, o WaitOptions) (*corev1.Pod, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultWait
	}
	watching, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	seen := make(chan sighting)
	for _, s := range []source{
		c.watchPods(t.label() + "=" + t.Dev),
		c.watchClone(t.Clone),
		c.watchEvents(),
	} {
		go s.run(watching, seen)
	}
	w := &waiter{c: c, o: o, view: newView(t), blind: true}
	pod, err := w.run(watching, seen)
	switch {
	case err == nil:
		return pod, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case watching.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return nil, &TimeoutError{After: o.Timeout, For: w.last.String(), Trouble: w.view.trouble, Blind: w.blind}
	}
	return nil, c.withLogs(ctx, err)
}

// waiter is one Wait.
type waiter struct {
	c    *Client
	o    WaitOptions
	view *view
	last Progress
	// blind is true while the pods cannot be looked at.
	blind bool
	// patience is about a failure that may heal: since is when it was first
	// seen, busy when the original's pods were last in its way.
	since, busy time.Time
	// enduring is what is waited out at the moment; empty for nothing.
	enduring string
}

func (w *waiter) run(ctx context.Context, seen <-chan sighting) (*corev1.Pod, error) {
	var look <-chan time.Time
	first := Progress{Stage: Creating}
	if w.o.Ran {
		first.Stage = Looking
	}
	w.report(first)
	for {
		var v verdict
		select {
		case <-ctx.Done():
			return nil, context.DeadlineExceeded
		case s := <-seen:
			if err := w.take(s); err != nil {
				return nil, err
			}
			v = w.view.verdict(w.o.Until)
		case <-look:
			look = nil
			v = w.view.verdict(w.o.Until)
		}
		v = w.tolerate(v)
		if v.err == nil {
			w.enduring = ""
		}
		v.progress.Trouble = w.enduring
		if !w.blind {
			w.report(v.progress)
		}
		var failed error
		switch {
		case v.err == nil && v.done:
			return v.pod, nil
		case v.err == nil:
			w.since, w.busy, look = time.Time{}, time.Time{}, nil
		case v.grace == 0:
			failed = v.err
		case look == nil:
			var again time.Duration
			if again, failed = w.patience(ctx, v); failed == nil {
				look = time.After(again)
			}
		}
		if failed != nil && !w.endure(failed) {
			return nil, failed
		}
	}
}

// endure tells, of a pod that ran before, what keeps it from running again, and
// whether that is something to wait for.
func (w *waiter) endure(err error) bool {
	var pod *PodError
	var refused *RefusedError
	if !w.o.Ran || !errors.As(err, &pod) && !errors.As(err, &refused) {
		return false
	}
	w.view.trouble = err.Error()
	p := w.last
	w.enduring = strings.TrimLeft(strings.TrimPrefix(err.Error(), "pod "+p.Pod), ",: ")
	p.Trouble = w.enduring
	w.report(p)
	return true
}

// tolerate turns the crash of a container that has run before into one more
// reason to wait.
func (w *waiter) tolerate(v verdict) verdict {
	var e *PodError
	if !errors.As(v.err, &e) || !e.crashed || !w.o.Ran && !e.ran {
		return v
	}
	w.view.trouble = e.Error()
	return verdict{progress: v.progress}
}

// take adds what a source saw. Events are an extra: without the right to see
// them the wait tells less.
func (w *waiter) take(s sighting) error {
	if s.rule.Resource == "pods" {
		w.blind = s.err != nil
	}
	if s.err == nil {
		w.view.add(s)
		return nil
	}
	if s.rule.Resource == "events" {
		return nil
	}
	if s.final || apierrors.IsUnauthorized(s.err) {
		return w.c.wrap(s.err, s.rule, "")
	}
	if !apierrors.IsResourceExpired(s.err) && !apierrors.IsGone(s.err) {
		w.view.trouble = s.err.Error()
	}
	return nil
}

func (w *waiter) report(p Progress) {
	if p == w.last || p == (Progress{}) {
		return
	}
	w.last = p
	if w.o.Progress != nil {
		w.o.Progress(p)
	}
}

// patience decides about a failure that may heal: it returns after how long
// to look again, or the failure. While the original's pods end, they hold
// what the clone's pod needs; controllers then try again after at most as
// long as they have tried already.
func (w *waiter) patience(ctx context.Context, v verdict) (time.Duration, error) {
	now := time.Now()
	if w.since.IsZero() {
		w.since = now
	}
	if left := v.grace - now.Sub(w.since); left > 0 {
		return left, nil
	}
	if w.c.originalRuns(ctx, w.view.target) {
		w.busy = now
		return recheck, nil
	}
	if !w.busy.IsZero() && now.Sub(w.busy) < max(settle, w.busy.Sub(w.since)) {
		return recheck, nil
	}
	return 0, v.err
}

// originalRuns tells whether pods of the original are still there.
func (c *Client) originalRuns(ctx context.Context, t Target) bool {
	if t.Original == nil {
		return false
	}
	l, err := c.Kube.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: metav1.FormatLabelSelector(t.Original),
	})
	if err != nil {
		return false
	}
	for _, p := range l.Items {
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if !ended && p.Labels[t.label()] != t.Dev {
			return true
		}
	}
	return false
}

// withLogs adds a crashed container's last lines.
func (c *Client) withLogs(ctx context.Context, err error) error {
	var e *PodError
	if !errors.As(err, &e) || e.Container == "" || !e.crashed {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	for _, previous := range []bool{true, false} {
		logs, err := c.logs(ctx, e, previous)
		if err == nil && logs != "" {
			e.Logs = logs
			break
		}
	}
	return err
}

func (c *Client) logs(ctx context.Context, e *PodError, previous bool) (string, error) {
	r, err := c.Kube.CoreV1().Pods(c.Namespace).GetLogs(e.Pod, &corev1.PodLogOptions{
		Container: e.Container, TailLines: new(int64(logLines)), LimitBytes: new(int64(64 << 10)), Previous: previous,
	}).Stream(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the log of %s: %w", e.Container, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}
