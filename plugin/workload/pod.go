package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/restore"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// A pod that no controller has made cannot be scaled: a swap deletes it, and a
// restore makes it again of what its clone remembers. Nothing owns such a clone,
// because it would go with its owner.

// AnnotationPod is on the clone of a pod: the pod as it is made again, in JSON.
const AnnotationPod = restore.AnnotationPod

// lastApplied is kubectl's memory of what it applied to an object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// podPatience bounds the wait until a pod that was deleted is gone; quotaPause is
// between two looks whether a quota knows.
const (
	podPatience = 2 * time.Minute
	quotaPause  = time.Second
)

// FromPod returns the workload that a pod is.
func FromPod(p *corev1.Pod) *Workload {
	w := &Workload{Kind: Pod, Meta: p.ObjectMeta, Replicas: 1, pod: remade(p)}
	if len(p.Labels) > 0 {
		w.Selector = &metav1.LabelSelector{MatchLabels: p.Labels}
	}
	w.Template.Labels = p.Labels
	w.Template.Annotations = merged(p.Annotations)
	delete(w.Template.Annotations, lastApplied)
	w.Template.Spec = w.pod.Spec
	return w
}

// remade returns a pod as it is made again: without what only one that runs has.
// Its UID stays for the records, and who owned its fields to be told again; its
// phase where it has ended. It may go to another node unless somebody has chosen
// its node.
func remade(p *corev1.Pod) *corev1.Pod {
	again := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: string(Pod)},
		ObjectMeta: metav1.ObjectMeta{
			Name: p.Name, GenerateName: p.GenerateName, Namespace: p.Namespace, UID: p.UID,
			Labels: p.Labels, Annotations: p.Annotations, Finalizers: p.Finalizers, OwnerReferences: p.OwnerReferences,
		},
		Spec: *p.Spec.DeepCopy(),
	}
	for _, e := range p.ManagedFields {
		if e.Subresource == "" && e.Manager != FieldManager {
			again.ManagedFields = append(again.ManagedFields, e)
		}
	}
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		again.Status.Phase = p.Status.Phase
	}
	again.Spec.EphemeralContainers = nil
	if len(restore.OwnersOf(entriesOf(p.ManagedFields), []string{"spec", "nodeName"})) == 0 {
		again.Spec.NodeName = ""
	}
	return again
}

// memoryOf is what the clone of a pod remembers.
func memoryOf(p *corev1.Pod) string {
	raw, _ := json.Marshal(p) // what was read can be written
	return string(raw)
}

// remembered returns the pod that a clone remembers; nil for other clones.
func remembered(clone *metav1.ObjectMeta) *Workload {
	p := &corev1.Pod{}
	if json.Unmarshal([]byte(clone.Annotations[AnnotationPod]), p) != nil || p.Name == "" {
		return nil
	}
	w := FromPod(p)
	w.Replicas = 0
	return w
}

// lastSeen returns a pod, or what its clone remembers when it is gone or ends.
func lastSeen(now *Workload, clone *metav1.ObjectMeta) *Workload {
	if now != nil && (now.pod == nil || now.Meta.DeletionTimestamp == nil) {
		return now
	}
	if w := remembered(clone); w != nil {
		return w
	}
	return now
}

// deletePod is how a pod is taken out of service. Its clone has to be there. One
// that has ended is out of service, and made again it would run again.
func (c *Client) deletePod(ctx context.Context, w *Workload) error {
	if w.Replicas == 0 || w.pod.Status.Phase != "" {
		return nil
	}
	err := c.Kube.CoreV1().Pods(c.Namespace).Delete(ctx, w.Meta.Name, deleteOptions(w.Meta.UID))
	return c.wrap(unlessGone(err), core("delete", "pods"), w.Meta.Name)
}

// remake gives a pod back, unless there is one of its name: it was never
// deleted, or somebody has made a new one. The one that was deleted may take a
// moment to end.
func (c *Client) remake(ctx context.Context, w *Workload, clone *appsv1.Deployment, r *Restored) error {
	r.State = "made again"
	if w.Replicas != 0 {
		return nil
	}
	pods := c.Kube.CoreV1().Pods(c.Namespace)
	again := w.pod.DeepCopy()
	again.UID, again.ManagedFields = "", nil
	for {
		err := c.createPod(ctx, again, clone)
		if err == nil {
			break
		}
		if !apierrors.IsAlreadyExists(err) {
			return c.wrap(err, core("create", "pods"), again.Name)
		}
		if ends, err := c.awaitEnd(ctx, w); err != nil || !ends {
			return err
		}
	}
	r.Scaled = true
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"managedFields": restore.Managers(w.pod.ManagedFields)}})
	if err != nil {
		return fmt.Errorf("rendering the field managers of %s: %w", w, err)
	}
	_, err = pods.Patch(ctx, again.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: FieldManager})
	return c.wrap(unlessGone(err), core("patch", "pods"), again.Name)
}

// createPod makes a pod. A quota may have no room for it beside the clone's: that
// goes first then.
func (c *Client) createPod(ctx context.Context, p *corev1.Pod, clone *appsv1.Deployment) error {
	create := func() (full bool, err error) {
		_, err = c.Kube.CoreV1().Pods(c.Namespace).Create(ctx, p, metav1.CreateOptions{FieldManager: FieldManager})
		return err != nil && refusalOf(message(err)) == RefusedQuota, err
	}
	full, err := create()
	if !full || clone == nil {
		return err
	}
	_, stays := c.Kube.AppsV1().Deployments(c.Namespace).
		Patch(ctx, clone.Name, types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{FieldManager: FieldManager})
	if unlessGone(stays) != nil {
		return c.wrap(stays, Deployment.rule("patch"), clone.Name)
	}
	// Nobody tells of a quota who may not read it.
	patience, cancel := context.WithTimeout(ctx, podPatience)
	defer cancel()
	for full {
		select {
		case <-patience.Done():
			return err
		case <-time.After(quotaPause):
		}
		full, err = create()
	}
	return err
}

// awaitEnd waits until a pod that is being deleted is gone; false when it is
// not being deleted.
func (c *Client) awaitEnd(ctx context.Context, w *Workload) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, podPatience)
	defer cancel()
	seen := make(chan sighting)
	go c.watchWorkload(w.traits(), w.Meta.Name).run(ctx, seen)
	for {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("%s has not ended within %v: run down again when it has", w, podPatience)
		case s := <-seen:
			if s.final || apierrors.IsUnauthorized(s.err) {
				return false, c.wrap(s.err, s.rule, w.Meta.Name)
			}
			if s.kind == watch.Deleted || s.kind == listed && len(s.objs) == 0 {
				return true, nil
			}
			stays := func(o any) bool { p, ok := o.(*corev1.Pod); return ok && p.DeletionTimestamp == nil }
			for _, o := range s.objs {
				if stays(o) {
					return false, nil
				}
			}
		}
	}
}

// maker returns who has made a workload and would undo a swap, the topmost of
// several; ok is false when nobody has.
func (c *Client) maker(ctx context.Context, w *Workload) (by string, ok bool) {
	const levels = 8
	if maker(w) == nil {
		return "", false
	}
	for range levels {
		owner := metav1.GetControllerOf(&w.Meta)
		if owner == nil {
			break
		}
		kind := kindOf(owner.APIVersion, owner.Kind)
		by = ref(kind, owner.Name)
		t, err := c.known(kind)
		if err != nil {
			break
		}
		// Who may not read it is told of what was made by it.
		if w, err = c.get(ctx, t, owner.Name); err != nil || w == nil {
			break
		}
	}
	return by, true
}
