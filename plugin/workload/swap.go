package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxConflicts bounds how often a write is tried anew because the object
// changed between reading and writing.
const maxConflicts = 8

// undoTimeout bounds the deletion of what a swap that failed has made.
const undoTimeout = 10 * time.Second

// Swapped is a workload in development.
type Swapped struct {
	Target
	// Created is true when there was no clone before.
	Created bool
	// Changed is true when the clone's template changed, so that its pod is
	// replaced.
	Changed bool
	// Authorized is false when the laptop's key is not in the template and
	// has to be added through Authorize.
	Authorized bool
	// Armed is after what time without a laptop the cluster gives the original
	// back; 0 for never.
	Armed time.Duration
	// Replicas is the original's count before the swap, Pods how many the
	// clone has.
	Replicas, Pods int32
	// Excluded are mount paths inside the sync roots that are not the roots'
	// own.
	Excluded []string
	// Warnings did not stop anything; each is a sentence.
	Warnings []string
}

// Swap puts the development clone in the workload's place. It writes, each by
// server-side apply: what gives the original back when no laptop is heard of,
// claim and Secret where the manifest asks for them, the clone, then the
// original's 0 replicas. The clone goes first because its pod is
// what one waits for, and because a clone that is refused must not leave the
// workload without pods. Stopped between any two of them, Restore finds what
// there is by its labels. Swapping again changes nothing where nothing
// changed.
func (c *Client) Swap(ctx context.Context, f *Found, s Spec) (_ *Swapped, err error) {
	w := f.Workload
	if w.Meta.UID == "" {
		made, err := c.createSandbox(ctx, &s)
		if err != nil {
			return nil, err
		}
		w = made
	}
	s.ImageUser, s.Least, s.Scalers = c.imageUser(ctx, f, &s.Dev), f.Least, pausable(w, f.Autoscalers)
	if _, err = Clone(w, f.Clone, s); err != nil {
		return nil, err // before anything is written
	}
	var applied *appsv1.Deployment
	defer func() {
		if err != nil && f.Clone == nil && ctx.Err() == nil && (applied == nil || w.pod == nil || refused(err)) {
			c.undo(ctx, applied, w, &s)
			_, _ = c.resume(ctx, w.String(), f.Autoscalers)
		}
	}()
	var warnings []string
	if warning := c.arm(ctx, w, f.Clone, &s); warning != "" {
		warnings = append(warnings, warning)
	}
	if wantsClaim(&s.Dev) {
		warning, err := c.ensureClaim(ctx, &s.Dev)
		if err != nil {
			return nil, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if len(s.Secrets) > 0 {
		if s.SecretUID, err = c.applySecret(ctx, w, &s); err != nil {
			return nil, err
		}
	}
	r, err := Clone(w, f.Clone, s)
	if err != nil {
		return nil, err
	}
	applied, err = c.applyClone(ctx, r.Clone)
	if s.ImageVolumes && AboutImageVolume(err) {
		s.ImageVolumes = false
		if r, err = Clone(w, f.Clone, s); err == nil {
			applied, err = c.applyClone(ctx, r.Clone)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(s.Secrets) == 0 && hasSecrets(f.Clone) {
		if _, err := c.deleteSecret(ctx, s.Dev.Name); err != nil {
			warnings = append(warnings, fmt.Sprintf("the secrets of before stay in the cluster until `down`: %v", err))
		}
	}
	out := &Swapped{
		Target: Target{
			Dev: s.Dev.Name, Service: s.Main != nil, Clone: r.Clone.Name, Container: r.Container,
			Hash: r.Hash, Generation: applied.Generation, Original: w.Selector,
		},
		Created:    f.Clone == nil,
		Armed:      s.Armed,
		Pods:       count(r.Clone.Spec.Replicas),
		Changed:    f.Clone == nil || f.Clone.Spec.Template.Annotations[AnnotationTemplate] != r.Hash,
		Authorized: r.Authorized,
		Excluded:   r.Excluded,
		Warnings:   warnings,
	}
	out.Replicas, _ = before(w)
	if autocreated(w) {
		out.Warnings = append(out.Warnings, c.serve(ctx, w, &s.Dev)...)
		return out, nil
	}
	if err := c.setAside(ctx, w, &s, f.Autoscalers); err != nil {
		return nil, err
	}
	return out, nil
}

// setAside takes the original out of service, and keeps KEDA from bringing it
// back before that. The clone is there already: by it Restore finds both.
func (c *Client) setAside(ctx context.Context, w *Workload, s *Spec, all []Autoscaler) error {
	c.pause(ctx, w, all)
	return c.scaleDown(ctx, w, s)
}

// createSandbox makes the workload of a dev environment that has none.
func (c *Client) createSandbox(ctx context.Context, s *Spec) (*Workload, error) {
	d, err := Sandbox(&s.Dev, c.Namespace)
	if err != nil {
		return nil, err
	}
	made, err := c.Kube.AppsV1().Deployments(c.Namespace).Create(ctx, d, metav1.CreateOptions{FieldManager: FieldManager})
	if err != nil {
		return nil, c.wrap(err, Deployment.rule("create"), d.Name)
	}
	return FromDeployment(made), nil
}

func (c *Client) applyClone(ctx context.Context, clone *appsv1.Deployment) (*appsv1.Deployment, error) {
	body, err := json.Marshal(clone)
	if err != nil {
		return nil, fmt.Errorf("rendering deployment %s: %w", clone.Name, err)
	}
	applied, err := c.Kube.AppsV1().Deployments(c.Namespace).
		Patch(ctx, clone.Name, types.ApplyPatchType, body, applyOptions())
	if err != nil {
		return nil, c.wrap(err, Deployment.rule("patch"), clone.Name)
	}
	return applied, nil
}

// scaleDown takes the original out of service. The object may change between
// reading and writing, then what is written is computed anew.
func (c *Client) scaleDown(ctx context.Context, w *Workload, s *Spec) error {
	if w.pod != nil {
		return c.deletePod(ctx, w)
	}
	for range maxConflicts {
		u, err := ScaledDown(w, &s.Dev)
		if err != nil {
			return err
		}
		body, err := u.MarshalJSON()
		if err != nil {
			return fmt.Errorf("rendering %s: %w", w, err)
		}
		_, err = c.patch(ctx, w, types.ApplyPatchType, body)
		if w.custom != nil && undeclared(err) {
			return w.shapeless()
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		now, err := c.get(ctx, w.traits(), w.Meta.Name)
		if err != nil {
			return err
		}
		if now == nil || now.Meta.UID != w.Meta.UID {
			return fmt.Errorf("%s was deleted while it was being swapped", w)
		}
		w = now
	}
	return fmt.Errorf("%s changes faster than it can be written: another controller edits it", w)
}

// refused tells that a request had no effect. Of a pod that may be deleted only
// the clone knows what it was.
func refused(err error) bool {
	var forbidden *ForbiddenError
	var refused *RefusedError
	return errors.As(err, &forbidden) || errors.As(err, &refused)
}

// undo deletes what a first swap that failed has made: the clone, where there
// is one, because two would serve side by side, the Secret, and what would have
// given the original back. What fails here is left to Restore.
func (c *Client) undo(ctx context.Context, clone *appsv1.Deployment, w *Workload, s *Spec) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if clone != nil {
		_ = c.Kube.AppsV1().Deployments(c.Namespace).Delete(ctx, clone.Name, deleteOptions(clone.UID))
	}
	if len(s.Secrets) > 0 {
		_, _ = c.deleteSecret(ctx, s.Dev.Name)
	}
	if s.Armed > 0 {
		_, _ = c.disarm(ctx, s.Dev.Name, w.Meta.Name)
	}
}

// deleteOptions deletes one object, not another of the same name, and what it
// owns after it.
func deleteOptions(uid types.UID) metav1.DeleteOptions {
	opts := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}
	if uid != "" {
		opts.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	return opts
}

// patch writes to a workload and returns it as it is then.
func (c *Client) patch(ctx context.Context, w *Workload, pt types.PatchType, body []byte) (*Workload, error) {
	opts := metav1.PatchOptions{FieldManager: FieldManager}
	if pt == types.ApplyPatchType {
		opts = applyOptions()
	}
	now, err := w.traits().api(c).patch(ctx, w.Meta.Name, pt, body, opts)
	return now, c.wrap(err, w.traits().rule("patch"), w.Meta.Name)
}
