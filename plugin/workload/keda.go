package workload

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/kubectl-okteto/kubectl-okteto/restore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// scaledObject is the kind of KEDA's autoscalers.
const scaledObject = "ScaledObject"

// The annotations of a ScaledObject by which KEDA leaves the count alone: as it
// is, or at a number, which goes before the other.
const (
	kedaPaused   = restore.KEDAPaused
	kedaPausedAt = "autoscaling.keda.sh/paused-replicas"
)

// kedaVersion is the version of ScaledObjects in every release of KEDA.
const kedaVersion = "v1alpha1"

func scaledObjects(verb string) Rule {
	return Rule{Verb: verb, Group: "keda.sh", Resource: "scaledobjects"}
}

func (c *Client) keda() dynamic.ResourceInterface {
	r := scaledObjects("")
	return c.Dynamic.Resource(schema.GroupVersionResource{Group: r.Group, Version: kedaVersion, Resource: r.Resource}).Namespace(c.Namespace)
}

// kedaScalers returns the ScaledObjects of the namespace; none where KEDA is
// not installed, or they may not be listed.
func (c *Client) kedaScalers(ctx context.Context) []Autoscaler {
	if c.Dynamic == nil {
		return nil
	}
	l, err := c.keda().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var found []Autoscaler
	for i := range l.Items {
		found = append(found, kedaScalerOf(&l.Items[i]))
	}
	return found
}

func kedaScalerOf(o *unstructured.Unstructured) Autoscaler {
	a := Autoscaler{Name: o.GetName(), kind: Deployment, keda: o}
	if kind, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "kind"); kind != "" {
		version, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "apiVersion")
		a.kind = kindOf(cmp.Or(version, "apps/v1"), kind)
	}
	a.of, _, _ = unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "name")
	have := o.GetAnnotations()
	if at, there := have[kedaPausedAt]; there {
		a.Wakes = at != "0"
	} else if v, there := have[kedaPaused]; there {
		// KEDA takes what is no boolean for true.
		pauses, err := strconv.ParseBool(v)
		a.Wakes = err == nil && !pauses
	}
	return a
}

// pausing returns the annotations by which KEDA leaves a workload alone until
// down. There are none where somebody has said already what KEDA is to do.
func pausing(w *Workload, have map[string]string) map[string]any {
	_, at := have[kedaPausedAt]
	_, is := have[kedaPaused]
	if at || is {
		return nil
	}
	return map[string]any{kedaPaused: restore.KEDAPause, AnnotationPaused: w.String()}
}

// pausable names the ScaledObjects that are paused for a workload, or may be.
func pausable(w *Workload, all []Autoscaler) []string {
	var names []string
	for _, a := range all {
		if a.keda != nil && (a.Scales(w) || a.keda.GetAnnotations()[AnnotationPaused] == w.String()) {
			names = append(names, a.Name)
		}
	}
	return names
}

// pause keeps KEDA off a workload. Where that may not be, Resting tells.
func (c *Client) pause(ctx context.Context, w *Workload, all []Autoscaler) {
	for i := range all {
		a := &all[i]
		if a.keda == nil || !a.Scales(w) {
			continue
		}
		_, a.refused = c.annotate(ctx, a, func(have map[string]string) map[string]any { return pausing(w, have) })
		a.Wakes = a.Wakes || a.refused != nil
	}
}

// resume lets KEDA go on with what was paused for an original, kind/name. It
// tells whether there was any.
func (c *Client) resume(ctx context.Context, original string, all []Autoscaler) (resumed bool, err error) {
	for i := range all {
		if all[i].keda == nil {
			continue
		}
		changed, err := c.annotate(ctx, &all[i], func(have map[string]string) map[string]any { return restore.Resuming(original, have) })
		if err != nil {
			return resumed, err
		}
		resumed = resumed || changed
	}
	return resumed, nil
}

// annotate changes the annotations of a ScaledObject. KEDA writes its status
// all the time: when the object changed since it was read, the change is
// computed anew.
func (c *Client) annotate(ctx context.Context, a *Autoscaler, change func(have map[string]string) map[string]any) (changed bool, err error) {
	for range maxConflicts {
		patch := change(a.keda.GetAnnotations())
		if len(patch) == 0 {
			return false, nil
		}
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"resourceVersion": a.keda.GetResourceVersion(), "annotations": patch,
		}})
		if err != nil {
			return false, fmt.Errorf("rendering the annotations of %s %s: %w", scaledObject, a.Name, err)
		}
		now, err := c.keda().Patch(ctx, a.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: FieldManager})
		switch {
		case err == nil:
			a.keda = now
			return true, nil
		case apierrors.IsNotFound(err):
			return false, nil
		case !apierrors.IsConflict(err):
			return false, c.wrap(err, scaledObjects("patch"), a.Name)
		}
		l, err := c.keda().List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", a.Name).String()})
		if err != nil {
			return false, c.wrap(err, scaledObjects("list"), "")
		}
		if len(l.Items) == 0 {
			return false, nil
		}
		a.keda = &l.Items[0]
	}
	return false, fmt.Errorf("%s %s changes faster than it can be written", scaledObject, a.Name)
}

// plannedPauses returns what pause would write.
func (c *Client) plannedPauses(f *Found) []Planned {
	var plan []Planned
	for _, a := range f.Autoscalers {
		if a.keda == nil || !a.Scales(f.Workload) {
			continue
		}
		patch := pausing(f.Workload, a.keda.GetAnnotations())
		if len(patch) == 0 {
			continue
		}
		o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"annotations": patch}}}
		o.SetGroupVersionKind(a.keda.GroupVersionKind())
		o.SetName(a.Name)
		o.SetNamespace(c.Namespace)
		plan = append(plan, Planned{Object: o, rule: scaledObjects("patch"), patch: types.MergePatchType})
	}
	return plan
}
