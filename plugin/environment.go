package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// environment is the cluster's side of a dev session.
type environment struct {
	workloads *workload.Client
	// query is what found is the answer to.
	query    workload.Query
	found    *workload.Found
	spec     workload.Spec
	claimant workload.Claimant
	console  *console.Console
	// guarded is the original at 0 replicas.
	guarded *workload.Workload
	// mounted are paths inside the synced folders where the dev container
	// has something else mounted.
	mounted []string

	swapped *workload.Swapped
	lease   *workload.Lease
	sighted
	// halfway is true when the swap was interrupted, so that nobody knows
	// what it has made.
	halfway bool
}

// sighted is what was seen of the environment's pods.
type sighted struct {
	// pod is the name of the one that is awaited, or runs.
	pod atomic.Value
	// awaited is true once a pod ran: from then on the original's pods are
	// nothing to wait for.
	awaited bool
}

// Activate takes the Lease and swaps the workload.
func (e *environment) Activate(ctx context.Context) error {
	lease, err := e.workloads.Acquire(ctx, e.found, e.claimant)
	if err != nil {
		return err
	}
	e.lease = lease
	if lease.Unavailable != nil {
		e.console.Warn("nobody else will know that you develop here: %v", lease.Unavailable)
		// By the Lease the cluster knows that this machine is there.
		e.spec.Dev.AutoDown = 0
	}
	e.swapped, err = e.workloads.Swap(ctx, e.found, e.spec)
	if err != nil {
		e.halfway = ctx.Err() != nil
		return errors.Join(err, e.giveUp(ctx))
	}
	for _, w := range e.swapped.Warnings {
		e.console.Warn("%s", w)
	}
	e.guarded = e.found.Workload
	tellControllers(e.console, e.found, e.swapped)
	return nil
}

// tellControllers says what becomes of an original's autoscalers and GitOps
// tools, and what may make it again, when that has just begun or may end at any time.
func tellControllers(c *console.Console, f *workload.Found, swapped *workload.Swapped) {
	if swapped.Created {
		for _, text := range f.Managed() {
			c.Note("%s", text)
		}
		if f.Kind == workload.Pod && swapped.Armed > 0 {
			c.Note("so that %s is made again when this machine vanishes, an account may create pods until `down`: `autoDown: 0` in the manifest does without", f)
		}
	}
	for _, a := range f.Autoscalers {
		switch {
		case !a.Scales(f.Workload):
		case a.Wakes:
			c.Warn("%s", a.Resting(f.Workload))
		case swapped.Created:
			c.Note("%s", a.Resting(f.Workload))
		}
	}
}

// giveUp leaves no Lease behind where a swap has made nothing.
func (e *environment) giveUp(ctx context.Context) error {
	if e.found.Clone != nil {
		return e.release(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return e.lease.Discard(ctx)
}

// release gives the Lease up, also after ctx has ended.
func (e *environment) release(ctx context.Context) error {
	if e.lease == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return e.lease.Release(ctx)
}

// Wait waits for the dev container. Where the cluster turns out not to mount
// images as volumes, it swaps again, without.
func (e *environment) Wait(ctx context.Context, scheduled func(pod string), progress func(text string)) error {
	err := e.await(ctx, scheduled, progress)
	if e.awaited || !e.spec.ImageVolumes || !workload.AboutImageVolume(err) {
		return err
	}
	if err := e.find(ctx, e.query); err != nil {
		return err
	}
	e.spec.ImageVolumes = false
	if e.swapped, err = e.workloads.Swap(ctx, e.found, e.spec); err != nil {
		return err
	}
	e.swapped.Again = true
	return e.await(ctx, scheduled, progress)
}

func (e *environment) await(ctx context.Context, scheduled func(pod string), progress func(text string)) error {
	target := e.swapped.Target
	if e.awaited {
		// That somebody else has the environment now may be why the
		// connection was lost.
		if err := e.lease.Check(ctx); err != nil {
			return e.explain(ctx, err)
		}
		target.Original = nil
	}
	_, err := e.workloads.Wait(ctx, target, workload.WaitOptions{
		Until:   workload.Running,
		Timeout: e.spec.Dev.Timeout.Resources,
		Ran:     e.awaited,
		Progress: func(p workload.Progress) {
			progress(p.Whole())
			if p.Node != "" {
				e.pod.Store(p.Pod)
				scheduled(p.Pod)
			}
		},
	})
	if err == nil {
		e.awaited = true
		return nil
	}
	return e.explain(ctx, err)
}

// explain says what a failure to have the pod means: that the namespace goes, not
// only what is missed first; and, of a pod that ran before, what another attempt
// may mend.
func (e *environment) explain(ctx context.Context, err error) error {
	var gone *workload.GoneError
	var over *workload.TakenOverError
	if errors.As(err, &gone) || errors.As(err, &over) && over.Ended {
		return cmp.Or(e.workloads.CheckNamespace(ctx), err)
	}
	if e.awaited && apierrors.IsUnauthorized(err) {
		return fmt.Errorf("%w (%w)", devsession.ErrLoggedOut, err)
	}
	var timeout *workload.TimeoutError
	switch {
	case !e.awaited || !errors.As(err, &timeout):
		return err
	case timeout.Blind:
		return fmt.Errorf("%w: %w", devsession.ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", devsession.ErrNoPod, err)
}

// Hold renews the Lease, and tells who takes the original back into service
// meanwhile.
func (e *environment) Hold(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error {
		e.workloads.Guard(ctx, e.guarded, func(r workload.Revert) { tellRevert(e.console, r) })
		return nil
	})
	err := e.lease.Renew(ctx)
	if err != nil {
		err = e.explain(ctx, err)
	}
	cancel()
	_ = group.Wait()
	return err
}

// tellRevert says who takes an original back into service.
func tellRevert(c *console.Console, r workload.Revert) {
	c.Warn("%s", r)
	if advice := r.Advice(); advice != "" {
		c.Note("%s", advice)
	}
}

// Crash says why a container ended, the dev container where none is named.
func (e *environment) Crash(ctx context.Context, pod, container string, ran time.Time) (reason string, ends bool) {
	return e.workloads.Termination(ctx, pod, cmp.Or(container, e.swapped.Container), ran)
}

// mounts asks where the dev container of the pod has what Kubernetes mounts there
// from its objects.
func (e *environment) mounts(ctx context.Context) ([]string, error) {
	pod, _ := e.pod.Load().(string)
	return e.workloads.ObjectMounts(ctx, pod, e.swapped.Container)
}

// find asks for the workload and the server's version at once, and completes
// the spec with what they say.
func (e *environment) find(ctx context.Context, q workload.Query) error {
	e.query = q
	var group errgroup.Group
	group.Go(func() (err error) {
		e.found, err = e.workloads.Find(ctx, q)
		return err
	})
	group.Go(func() error {
		server, err := e.workloads.Server(ctx)
		e.spec.ImageVolumes = server.ImageVolumes
		return err
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}

// check looks for what would keep the workload from being taken into development.
func (e *environment) check() error {
	if e.found.Meta.UID == "" {
		return nil
	}
	rendered, err := workload.Clone(e.found.Workload, e.found.Clone, e.spec)
	if err != nil {
		return err
	}
	e.mounted = rendered.Excluded
	return nil
}
