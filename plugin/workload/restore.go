package workload

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/restore"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// metaOf returns what a restore has to know of the workload's metadata.
func metaOf(w *Workload) *restore.Meta {
	return &restore.Meta{
		ResourceVersion: w.Meta.ResourceVersion,
		Labels:          w.Meta.Labels,
		Annotations:     w.Meta.Annotations,
		ManagedFields:   entriesOf(w.Meta.ManagedFields),
	}
}

func entriesOf(fields []metav1.ManagedFieldsEntry) []restore.Entry {
	entries := make([]restore.Entry, len(fields))
	for i, f := range fields {
		entries[i] = restore.Entry{
			Manager: f.Manager, Operation: string(f.Operation), APIVersion: f.APIVersion,
			FieldsType: f.FieldsType, Subresource: f.Subresource,
		}
		if f.Time != nil {
			entries[i].Time = f.Time.UTC().Format(time.RFC3339)
		}
		if f.FieldsV1 != nil {
			entries[i].FieldsV1 = f.FieldsV1.GetRawBytes()
		}
	}
	return entries
}

// marked tells whether the workload carries the annotations of a swap.
func marked(w *Workload) bool { return restore.MarkedBy(w.Meta.Annotations) }

// recordOf returns what a swap recorded on the workload.
func recordOf(w *Workload) restore.Record { return restore.RecordIn(w.Meta.Annotations) }

// shutGate returns the gate of a workload as it is out of service, for who knows
// nothing of its kind; n is its replica count before, unset whether the field was
// not there.
func shutGate(w *Workload, n int32, unset bool) restore.Gate {
	out := *w
	out.Replicas, out.Nowhere = 0, true
	g := w.gate()
	v, ok := g.open(&out, n)
	switch {
	case !ok:
		return restore.Gate{Path: g.path}
	case unset:
		v = nil
	}
	return restore.Gate{Path: g.path, Shut: g.shut(w), Open: v}
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
func ScaledDown(w *Workload, dev *manifest.Dev) (*unstructured.Unstructured, error) {
	n, ok := before(w)
	if !ok {
		return nil, lost(w)
	}
	m := metaOf(w)
	labels := added(w.Meta.Labels, dev.Metadata.Labels, restore.OwnKeys(m.ManagedFields, "labels", false))
	labels[LabelDev] = "true"
	annotations := added(w.Meta.Annotations, merged(dev.Metadata.Annotations, pauses(&w.Meta)), restore.OwnKeys(m.ManagedFields, "annotations", false))
	r := restore.Record{Dev: dev.Name, Owners: restore.OwnersOf(m.ManagedFields, w.gate().path), Pauses: pausesIn(w, annotations)}
	if w.custom != nil {
		r.Unset = w.custom.unset
		paths, err := json.Marshal(w.custom.paths)
		if err != nil {
			return nil, fmt.Errorf("rendering the record of %s: %w", w, err)
		}
		r.Paths = paths
	}
	if marked(w) && w.Replicas == 0 {
		// It is swapped already: this is of before that swap.
		was := recordOf(w)
		r.Owners, r.Unset = was.Owners, was.Unset
	}
	r.Gate = shutGate(w, n, r.Unset)
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("rendering the record of %s: %w", w, err)
	}
	annotations[AnnotationReplicas] = strconv.Itoa(int(n))
	annotations[AnnotationMode] = modeOf(dev)
	annotations[AnnotationSwap] = string(raw)
	u := &unstructured.Unstructured{Object: restore.Nested(w.gate().path, w.gate().shut(w))}
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
	return metaOf(w).OpenPatch(w.gate().path, v)
}

// cleanPatch returns the merge patch that is the second step; nil when there is
// nothing of ours.
func cleanPatch(w *Workload) ([]byte, error) {
	body, err := metaOf(w).CleanPatch(w.gate().path)
	if err != nil {
		return nil, fmt.Errorf("restoring %s: %w", w, err)
	}
	return body, nil
}
