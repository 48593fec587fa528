package workload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// RestoreOptions say how much a restore undoes.
type RestoreOptions struct {
	// Name is a dev environment's name, or its workload's. Not used with All.
	Name string
	// Dev is the dev environment's name where Name is the workload's and may
	// have no clone any more; it names claim and Lease. Empty means Name.
	Dev string
	// All restores every dev environment of the namespace.
	All bool
	// Volumes deletes the claims too.
	Volumes bool
	// Wait bounds the wait until the original has its pods again; 0 means
	// not to wait. That they are not back in time is no error.
	Wait time.Duration
}

// Restored is what a restore did for one dev environment.
type Restored struct {
	Dev string
	// Workload is the original as kind/name.
	Workload string
	// State says how the original is now, in the words of its kind.
	State string
	// Scaled is true when this restore brought that about; it is false when
	// there was nothing to do or somebody else had done it meanwhile.
	Scaled bool
	// Missing is true when the original is gone.
	Missing bool
	// Cleaned is true when labels and annotations were removed, of the original
	// or what scales it.
	Cleaned bool
	// Clone, Claim, Secret, Lease and Sandbox are true when they were deleted;
	// Lease also when that was which looks at it.
	Clone, Claim, Secret, Lease, Sandbox bool
	// Ready is the number of the original's ready pods when Wait ended.
	Ready int32
}

// Nothing tells whether there was nothing to do.
func (r *Restored) Nothing() bool {
	return !r.Scaled && !r.Cleaned && !r.Clone && !r.Claim && !r.Secret && !r.Lease && !r.Sandbox
}

// Restore ends dev environments: it gives the original its replica count
// back, removes what Swap added to it, and deletes clone, Secret, Lease, what
// waits to do the same, and, where asked, the claim. It works on whatever is left
// and may be repeated. One environment that fails does not keep the others from
// being restored; the errors are joined.
func (c *Client) Restore(ctx context.Context, o RestoreOptions) ([]Restored, error) {
	var scalers []Autoscaler
	var g errgroup.Group
	g.Go(func() error {
		scalers = c.kedaScalers(ctx)
		return nil
	})
	envs, err := c.environments(ctx, false)
	_ = g.Wait() // kedaScalers does not fail
	if err != nil {
		return nil, err
	}
	if !o.All {
		if envs, err = c.named(ctx, envs, o); err != nil {
			return nil, err
		}
	}
	var done []Restored
	var errs []error
	for i := range envs {
		if err := envs[i].unread; err != nil {
			// The clone stays: it tells of the original.
			errs = append(errs, err)
			continue
		}
		r, err := c.restore(ctx, &envs[i], scalers, o)
		done = append(done, r)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if o.All && o.Volumes {
		r, err := c.deleteClaims(ctx)
		done = append(done, r...)
		errs = append(errs, err)
	}
	return done, errors.Join(errs...)
}

// named returns the environments that are called so, or one that consists of
// no more than its name: claim and Lease may still be there.
func (c *Client) named(ctx context.Context, envs []Environment, o RestoreOptions) ([]Environment, error) {
	asked, name, err := c.parseRef(o.Name, manifest.Paths{})
	if err != nil {
		return nil, err
	}
	var match []Environment
	whole := false
	for _, e := range envs {
		if e.called(asked.kind, name) || o.Dev != "" && e.Dev == o.Dev {
			match = append(match, e)
			// One service may be ended alone, by its own name.
			whole = whole || !e.service() || e.Dev != cmp.Or(o.Dev, o.Name)
		}
	}
	if whole {
		return match, nil
	}
	e := Environment{Dev: o.Dev, Kind: asked.kind, Name: name}
	if e.Dev == "" {
		e.Dev = name
	}
	among := kinds()
	if asked.kind != "" {
		among = []traits{asked}
	}
	// The label may be gone while the annotations are there.
	for _, t := range among {
		w, err := c.get(ctx, t, name)
		if asked.kind == "" && t.kind != Deployment && apierrors.IsForbidden(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if w != nil && (marked(w) || e.Original == nil) {
			e.Kind, e.Original = t.kind, w
		}
	}
	return append(match, e), nil
}

// restore ends one environment: the original first, so that its pods start
// while the clone's end, then KEDA, which goes on from the original's count.
func (c *Client) restore(ctx context.Context, e *Environment, scalers []Autoscaler, o RestoreOptions) (Restored, error) {
	r := Restored{Dev: e.Dev, Workload: ref(e.Kind, e.Name), Missing: e.Original == nil}
	var replicas int32
	var errs []error
	switch w := e.Original; {
	case w == nil:
	case w.pod != nil:
		if err := c.remake(ctx, w, e.Clone, &r); err != nil {
			// The clone knows what the pod was.
			return r, err
		}
	case autocreated(w):
		gone, err := c.delete(ctx, w.Meta.Name, w.Meta.UID)
		r.Sandbox = gone
		errs = append(errs, err)
	default:
		n, err := c.restoreOriginal(ctx, w, &r)
		replicas = n
		errs = append(errs, err)
	}
	resumed, err := c.resume(ctx, r.Workload, scalers)
	r.Cleaned = r.Cleaned || resumed
	errs = append(errs, err)
	if e.Clone != nil {
		gone, err := c.delete(ctx, e.Clone.Name, e.Clone.UID)
		r.Clone = gone
		errs = append(errs, err)
	}
	if e.Dev != "" && !e.service() {
		gone, err := c.deleteSecret(ctx, e.Dev)
		r.Secret = gone
		errs = append(errs, err)
		gone, err = c.deleteLease(ctx, e.Dev)
		r.Lease = gone
		errs = append(errs, err)
		if o.Volumes {
			gone, err := c.deleteClaim(ctx, claimName(e.Dev))
			r.Claim = gone
			errs = append(errs, err)
		}
	}
	alone := ""
	if e.service() {
		alone = e.Name
	}
	gone, err := c.disarm(ctx, e.Dev, alone)
	r.Lease = r.Lease || gone
	// Who may not is not kept from a restore: the CronJob finds nothing to do
	// then, and ends itself.
	var forbidden *ForbiddenError
	if !errors.As(err, &forbidden) {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return r, err
	}
	if o.Wait > 0 && replicas > 0 && r.Clone {
		r.Ready = c.waitReady(ctx, e.Original, replicas, o.Wait)
	}
	return r, nil
}

// restoreOriginal takes the two steps of a restore. Each holds for one
// version of the object; when it changed meanwhile, the step is computed anew.
// The original's count of then is returned.
func (c *Client) restoreOriginal(ctx context.Context, w *Workload, r *Restored) (int32, error) {
	// What is restored does not tell where a custom resource had its gate.
	state := w.gate().state
	for range maxConflicts {
		n, _ := before(w)
		err := c.restoreOnce(ctx, &w, r)
		if apierrors.IsNotFound(err) {
			r.Missing = true
			return 0, nil
		}
		if !apierrors.IsConflict(err) {
			r.State = state(n)
			return n, err
		}
		now, err := c.get(ctx, w.traits(), w.Meta.Name)
		if err != nil {
			return 0, err
		}
		if now == nil {
			r.Missing = true
			return 0, nil
		}
		w = now
	}
	return 0, fmt.Errorf("%s changes faster than it can be written: another controller edits it", w)
}

func (c *Client) restoreOnce(ctx context.Context, w **Workload, r *Restored) error {
	body, err := openPatch(*w)
	if err != nil {
		return err
	}
	if body != nil {
		now, err := c.patch(ctx, *w, types.MergePatchType, body)
		if err != nil {
			return err
		}
		*w, r.Scaled = now, true
	}
	if body, err = cleanPatch(*w); err != nil || body == nil {
		return err
	}
	now, err := c.patch(ctx, *w, types.MergePatchType, body)
	if err != nil {
		return err
	}
	*w, r.Cleaned = now, true
	return nil
}

// delete deletes a Deployment of ours; false when it was gone already.
func (c *Client) delete(ctx context.Context, name string, uid types.UID) (bool, error) {
	err := c.Kube.AppsV1().Deployments(c.Namespace).Delete(ctx, name, deleteOptions(uid))
	return deleted(err), c.wrap(unlessGone(err), Deployment.rule("delete"), name)
}

// deleteLease deletes the Lease. Who may not is not kept from a restore: the
// Lease ends with the original, and expires.
func (c *Client) deleteLease(ctx context.Context, dev string) (bool, error) {
	err := c.Kube.CoordinationV1().Leases(c.Namespace).Delete(ctx, leaseName(dev), metav1.DeleteOptions{})
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	return deleted(err), c.wrap(unlessGone(err), leases("delete"), leaseName(dev))
}

// deleteClaim deletes a claim that a swap made, and no other of that name.
func (c *Client) deleteClaim(ctx context.Context, name string) (bool, error) {
	claims := c.Kube.CoreV1().PersistentVolumeClaims(c.Namespace)
	have, err := claims.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, c.wrap(err, core("get", "persistentvolumeclaims"), name)
	}
	if have.Labels[LabelInteractive] == "" {
		return false, nil
	}
	err = claims.Delete(ctx, name, deleteOptions(have.UID))
	return deleted(err), c.wrap(unlessGone(err), core("delete", "persistentvolumeclaims"), name)
}

// deleteClaims deletes the claims of environments that ended before.
func (c *Client) deleteClaims(ctx context.Context) ([]Restored, error) {
	l, err := c.Kube.CoreV1().PersistentVolumeClaims(c.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: LabelInteractive})
	if err != nil {
		return nil, c.wrap(err, core("list", "persistentvolumeclaims"), "")
	}
	var done []Restored
	var errs []error
	for _, claim := range l.Items {
		if claim.DeletionTimestamp != nil {
			continue
		}
		gone, err := c.deleteClaim(ctx, claim.Name)
		errs = append(errs, err)
		if gone {
			done = append(done, Restored{Dev: claim.Labels[LabelInteractive], Claim: true, Missing: true})
		}
	}
	return done, errors.Join(errs...)
}

// deleted tells whether a delete deleted something. A conflict is the UID's:
// another object has the name by now.
func deleted(err error) bool { return err == nil }

func unlessGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// waitReady waits until the original has n ready pods again, and returns how
// many it has in the end.
func (c *Client) waitReady(ctx context.Context, w *Workload, n int32, limit time.Duration) (ready int32) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	seen := make(chan sighting)
	go c.watchWorkload(w.traits(), w.Meta.Name).run(ctx, seen)
	for ready < n {
		select {
		case <-ctx.Done():
			return ready
		case s := <-seen:
			for _, o := range s.objs {
				if now := w.traits().api(c).of(o); now != nil && now.Meta.Name == w.Meta.Name {
					ready = now.Ready
				}
			}
		}
	}
	return ready
}
