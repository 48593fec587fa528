package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/pace"
)

// leaseSeconds is how long a holder counts after its last sign of life, and
// renewals are how often it gives one in that time.
const (
	leaseSeconds = 45
	renewals     = 3
)

func leaseName(dev string) string { return dev + nameSuffix }

// Claimant is who wants a dev environment, and what for.
type Claimant struct {
	// Dev is the dev environment.
	Dev string
	// Holder is user@host/<id>; the id tells two sessions of one laptop
	// apart.
	Holder string
	// TakeOver takes it from a holder that is still there.
	TakeOver bool
	// Forwards are shown by `status`, one line each.
	Forwards []string
}

// Lease is a dev environment that this session holds.
type Lease struct {
	// Unavailable says why there is no Lease in the cluster: the right to
	// write it is missing. The session works without. nil when there is one.
	Unavailable error

	c   *Client
	who Claimant
	now *coordinationv1.Lease
}

// Acquire takes the dev environment's Lease, or tells by HeldError who holds
// it. f is what Find found with this environment's name: no request is made
// to read what it has read.
func (c *Client) Acquire(ctx context.Context, f *Found, who Claimant) (*Lease, error) {
	l := &Lease{c: c, who: who, now: f.Lease}
	for range maxConflicts {
		err := l.acquire(ctx, f.Workload)
		if err == nil {
			return l, nil
		}
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
			if l.now, err = c.getLease(ctx, who.Dev); err == nil {
				continue
			}
		}
		var forbidden *ForbiddenError
		if errors.As(err, &forbidden) {
			return &Lease{Unavailable: err, c: c, who: who}, nil
		}
		return nil, err
	}
	return nil, fmt.Errorf("the lease of %q changes faster than it can be written", who.Dev)
}

func (l *Lease) acquire(ctx context.Context, w *Workload) error {
	now := l.c.now()
	want := leaseFor(w, l.now, l.who, now)
	if l.now == nil {
		made, err := l.c.Kube.CoordinationV1().Leases(l.c.Namespace).
			Create(ctx, want, metav1.CreateOptions{FieldManager: FieldManager})
		if err != nil {
			return l.c.wrap(err, leases("create"), want.Name)
		}
		l.now = made
		return nil
	}
	holder := deref(l.now.Spec.HolderIdentity, "")
	if holder != "" && holder != l.who.Holder && !l.who.TakeOver && !expired(l.now, now) {
		since := deref(l.now.Spec.AcquireTime, metav1.MicroTime{}).Time
		return &HeldError{Dev: l.who.Dev, Holder: holder, Since: since}
	}
	return l.write(ctx, map[string]any{"annotations": want.Annotations, "ownerReferences": want.OwnerReferences}, want.Spec)
}

// leaseFor returns the Lease of a claimant, made from the one that there is.
func leaseFor(w *Workload, have *coordinationv1.Lease, who Claimant, now time.Time) *coordinationv1.Lease {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name:   leaseName(who.Dev),
		Labels: map[string]string{LabelDev: "true", LabelInteractive: who.Dev},
	}}
	if have != nil {
		l = have.DeepCopy()
		l.ManagedFields = nil
		l.Spec.LeaseTransitions = new(deref(have.Spec.LeaseTransitions, 0) + 1)
	}
	l.TypeMeta = metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"}
	l.Annotations = merged(l.Annotations, map[string]string{AnnotationForwards: list(who.Forwards)})
	l.OwnerReferences = owners(w)
	l.Spec.HolderIdentity = &who.Holder
	l.Spec.LeaseDurationSeconds = new(int32(leaseSeconds))
	l.Spec.AcquireTime = &metav1.MicroTime{Time: now}
	l.Spec.RenewTime = &metav1.MicroTime{Time: now}
	return l
}

// owners makes the Lease end with the original. A sandbox that Swap has not
// made yet cannot be named; Restore deletes its Lease.
func owners(w *Workload) []metav1.OwnerReference {
	if w == nil || w.Meta.UID == "" {
		return nil
	}
	return owned(w)
}

// list renders an annotation's list.
func list(s []string) string {
	b, err := json.Marshal(s)
	if err != nil || s == nil {
		return "[]"
	}
	return string(b)
}

// expired tells whether a Lease's holder has not been heard of for too long.
func expired(l *coordinationv1.Lease, now time.Time) bool {
	if l.Spec.RenewTime == nil {
		return true
	}
	lasts := time.Duration(deref(l.Spec.LeaseDurationSeconds, leaseSeconds)) * time.Second
	return now.After(l.Spec.RenewTime.Add(lasts))
}

// write changes the Lease, unless somebody else did since it was read.
func (l *Lease) write(ctx context.Context, md map[string]any, spec any) error {
	md["resourceVersion"] = l.now.ResourceVersion
	body, err := json.Marshal(map[string]any{"metadata": md, "spec": spec})
	if err != nil {
		return fmt.Errorf("rendering lease %s: %w", l.now.Name, err)
	}
	now, err := l.c.Kube.CoordinationV1().Leases(l.c.Namespace).
		Patch(ctx, l.now.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: FieldManager})
	if err != nil {
		return l.c.wrap(err, leases("patch"), l.now.Name)
	}
	l.now = now
	return nil
}

// getLease returns the Lease, or nil when there is none.
func (c *Client) getLease(ctx context.Context, dev string) (*coordinationv1.Lease, error) {
	l, err := c.Kube.CoordinationV1().Leases(c.Namespace).Get(ctx, leaseName(dev), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.wrap(err, leases("get"), leaseName(dev))
	}
	return l, nil
}

// Renew keeps the Lease until ctx ends, which is no error, or until somebody
// else has it: TakenOverError. A connection that is lost does not end it; the
// Lease expires then, and whether somebody took it shows when the connection
// is back.
func (l *Lease) Renew(ctx context.Context) error {
	if l.Unavailable != nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(leaseSeconds * time.Second / renewals)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var lost *TakenOverError
		if err := l.renew(ctx); errors.As(err, &lost) {
			return err
		}
	}
}

// Check asks whether the Lease is still this session's, until somebody answers:
// TakenOverError when it is not. A refusal to tell is no answer to that.
func (l *Lease) Check(ctx context.Context) error {
	if l.Unavailable != nil {
		return nil
	}
	ctx = eager(ctx)
	for pauses := (pace.Pace{}); ; {
		now, err := l.c.getLease(ctx, l.who.Dev)
		switch {
		case err == nil:
			return l.lost(now)
		case pace.Answered(err):
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pauses.Next(time.Now(), false)):
		}
	}
}

// lost is a TakenOverError unless the Lease is this session's.
func (l *Lease) lost(now *coordinationv1.Lease) error {
	switch {
	case now == nil:
		return &TakenOverError{Dev: l.who.Dev, Ended: true}
	case deref(now.Spec.HolderIdentity, "") != l.who.Holder:
		return &TakenOverError{Dev: l.who.Dev, By: deref(now.Spec.HolderIdentity, "")}
	}
	return nil
}

// renew gives one sign of life.
func (l *Lease) renew(ctx context.Context) error {
	return l.change(ctx, map[string]any{}, map[string]any{"renewTime": metav1.MicroTime{Time: l.c.now()}})
}

// Release gives the Lease up: it has no holder and no forwards, and keeps the
// rest. A Lease that is somebody else's by now is left alone.
func (l *Lease) Release(ctx context.Context) error {
	if l.Unavailable != nil {
		return nil
	}
	err := l.change(ctx, map[string]any{"annotations": map[string]any{AnnotationForwards: nil}}, map[string]any{"holderIdentity": nil})
	var lost *TakenOverError
	if errors.As(err, &lost) {
		return nil
	}
	return err
}

// Discard deletes the Lease: nothing came of what it was taken for. A Lease
// that is somebody else's by now is left alone.
func (l *Lease) Discard(ctx context.Context) error {
	if l.Unavailable != nil {
		return nil
	}
	version := l.now.ResourceVersion
	err := l.c.Kube.CoordinationV1().Leases(l.c.Namespace).
		Delete(ctx, l.now.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}})
	return l.c.wrap(unlessGone(err), leases("delete"), l.now.Name)
}

// change writes to the Lease while it is this session's. When it changed
// since it was read, it is read again.
func (l *Lease) change(ctx context.Context, md, spec map[string]any) error {
	for range maxConflicts {
		err := l.write(ctx, md, spec)
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
		now, err := l.c.getLease(ctx, l.who.Dev)
		if err != nil {
			return err
		}
		if err := l.lost(now); err != nil {
			return err
		}
		l.now = now
	}
	return fmt.Errorf("the lease of %q changes faster than it can be written", l.who.Dev)
}
