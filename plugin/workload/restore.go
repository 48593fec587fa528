package workload

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// record is what AnnotationSwap holds.
type record struct {
	// Dev is the dev environment that the workload was swapped for.
	Dev string `json:"dev"`
	// Owners are the managers that owned the gate before the swap.
	Owners []metav1.ManagedFieldsEntry `json:"replicasOwners,omitempty"`
	// Pauses are the annotations that keep a GitOps tool off the workload.
	Pauses []string `json:"pauses,omitempty"`
	// Unset is true when the gate's field was not there before the swap.
	Unset bool `json:"unset,omitempty"`
	// Paths are where the parts of a custom resource are; nil for others.
	Paths *manifest.Paths `json:"paths,omitempty"`
}

// recordOf returns the record of a swapped workload, empty where it has none
// or an unreadable one: a restore works without.
func recordOf(w *Workload) record {
	var r record
	if err := json.Unmarshal([]byte(w.Meta.Annotations[AnnotationSwap]), &r); err != nil {
		return record{}
	}
	return r
}

// marked tells whether the workload carries the annotations of a swap.
func marked(w *Workload) bool {
	_, replicas := w.Meta.Annotations[AnnotationReplicas]
	_, swap := w.Meta.Annotations[AnnotationSwap]
	return replicas || swap
}

// before returns the workload's replica count before the swap. A count other
// than 0 is somebody's wish of after the swap and goes before the recorded
// one. ok is false when the workload is swapped and the record is lost.
func before(w *Workload) (n int32, ok bool) {
	if w.Replicas != 0 || !marked(w) {
		return w.Replicas, true
	}
	v, err := strconv.ParseInt(w.Meta.Annotations[AnnotationReplicas], 10, 32)
	if err != nil || v < 0 {
		return 0, !w.gate().counted
	}
	return int32(v), true
}

// lost says that nobody knows how a workload was before its swap.
func lost(w *Workload) error {
	return fmt.Errorf("%s is out of service, and its annotation %s, which says how it was before, is damaged or gone: set %s to what it should be",
		w, AnnotationReplicas, strings.Join(w.gate().path, "."))
}

// ScaledDown returns the apply configuration that takes the original out of
// service: its gate shut, and in the same request all that Restore has to know,
// and what keeps a GitOps tool off it.
// Of the manifest's metadata only those keys are set that the original does
// not have, so that nothing has to be remembered to undo it. It holds as long
// as the object is at the resource version that it was computed from.
func ScaledDown(w *Workload, dev string, md manifest.Metadata) (*unstructured.Unstructured, error) {
	n, ok := before(w)
	if !ok {
		return nil, lost(w)
	}
	labels := added(w.Meta.Labels, md.Labels, ownKeys(w.Meta.ManagedFields, "labels", false))
	labels[LabelDev] = "true"
	annotations := added(w.Meta.Annotations, merged(md.Annotations, pauses(&w.Meta)), ownKeys(w.Meta.ManagedFields, "annotations", false))
	r := record{Dev: dev, Owners: ownersOf(w.Meta.ManagedFields, w.gate().path), Pauses: pausesIn(w, annotations)}
	if w.custom != nil {
		r.Unset, r.Paths = w.custom.unset, &w.custom.paths
	}
	if marked(w) && w.Replicas == 0 {
		// It is swapped already: this is of before that swap.
		r.Owners, r.Unset = recordOf(w).Owners, recordOf(w).Unset
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("rendering the record of %s: %w", w, err)
	}
	annotations[AnnotationReplicas] = strconv.Itoa(int(n))
	annotations[AnnotationMode] = ModeSync
	annotations[AnnotationSwap] = string(raw)
	u := &unstructured.Unstructured{Object: w.gate().nested(w.gate().shut(w))}
	u.SetAPIVersion(w.traits().apiVersion())
	u.SetKind(w.Kind.name())
	u.SetName(w.Meta.Name)
	u.SetNamespace(w.Meta.Namespace)
	u.SetUID(w.Meta.UID)
	u.SetResourceVersion(w.Meta.ResourceVersion)
	u.SetLabels(labels)
	u.SetAnnotations(annotations)
	return u, nil
}

// added returns what of want the object has not, or has from us.
func added(have, want map[string]string, own []string) map[string]string {
	m := map[string]string{}
	for k, v := range want {
		if _, there := have[k]; !there {
			m[k] = v
		}
	}
	for _, k := range own {
		if v, there := want[k]; there {
			m[k] = v
		}
	}
	return m
}

// openPatch returns the merge patch that is the first step of a restore: the
// gate as it was. It is nil when it is open already, or is somebody else's
// wish.
func openPatch(w *Workload) ([]byte, error) {
	n, ok := before(w)
	if !ok {
		return nil, lost(w)
	}
	v, ok := w.gate().open(w, n)
	if !ok {
		return nil, nil
	}
	patch := w.gate().nested(v)
	patch["metadata"] = map[string]any{"resourceVersion": w.Meta.ResourceVersion}
	return json.Marshal(patch)
}

// cleanPatch returns the merge patch that is the second step: it removes what
// we added and hands the ownership of the gate back. It comes last
// because a restore that was stopped before it starts anew, while after it
// nothing is left to do. It is nil when there is nothing of ours.
func cleanPatch(w *Workload) ([]byte, error) {
	var fixed, pauses []string
	if !hasOurs(w.Meta.ManagedFields) && marked(w) {
		// Somebody reset the managed fields; the labels can only be ours, and
		// the record tells of the rest.
		fixed, pauses = []string{LabelDev, LabelDetached}, stillPaused(w)
	}
	labels := removals(w.Meta.Labels, fixed, ownKeys(w.Meta.ManagedFields, "labels", true))
	annotations := removals(w.Meta.Annotations,
		[]string{AnnotationReplicas, AnnotationMode, AnnotationSwap}, pauses,
		ownKeys(w.Meta.ManagedFields, "annotations", true))
	entries, err := handBack(w.Meta.ManagedFields, recordOf(w).Owners, w.gate().path)
	if err != nil {
		return nil, fmt.Errorf("reading the field managers of %s: %w", w, err)
	}
	if len(labels) == 0 && len(annotations) == 0 && !hasOurs(w.Meta.ManagedFields) {
		return nil, nil
	}
	md := map[string]any{"resourceVersion": w.Meta.ResourceVersion}
	if len(labels) > 0 {
		md["labels"] = labels
	}
	if len(annotations) > 0 {
		md["annotations"] = annotations
	}
	switch {
	case len(entries) > 0:
		md["managedFields"] = entries
	case len(w.Meta.ManagedFields) > 0:
		// An empty list would mean "unchanged" to the API server, one empty
		// entry means "none".
		md["managedFields"] = []metav1.ManagedFieldsEntry{{}}
	}
	return json.Marshal(map[string]any{"metadata": md})
}

func hasOurs(entries []metav1.ManagedFieldsEntry) bool {
	for _, e := range entries {
		if ours(e) {
			return true
		}
	}
	return false
}

// removals returns a merge patch of a map that deletes those of the keys that
// it has.
func removals(have map[string]string, keys ...[]string) map[string]any {
	m := map[string]any{}
	for _, list := range keys {
		for _, k := range list {
			if _, there := have[k]; there {
				m[k] = nil
			}
		}
	}
	return m
}
