// Package restore computes what gives an original back that was taken out of
// service for development. Both programs do that: the plugin when it is asked,
// the agent when no laptop has been heard of for too long. It is pure, and knows
// objects as the API server tells of them in JSON.
package restore

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// FieldManager owns every field that a swap writes.
const FieldManager = "kubectl-okteto"

// What a swap puts on an original, beside what the manifest asks for.
const (
	// LabelDev is "true" on everything that a swap touches or makes.
	LabelDev = "dev.okteto.com"
	// LabelDetached is the dev environment's name on the original of a service.
	LabelDetached = "detached.dev.okteto.com"
	// AnnotationReplicas is the original's replica count before the swap.
	AnnotationReplicas = "dev.okteto.com/replicas"
	// AnnotationMode is the mode of development.
	AnnotationMode = "dev.okteto.com/dev-mode"
	// AnnotationSwap holds a Record, in JSON.
	AnnotationSwap = "dev.okteto.com/swap"
)

// Disabled is the value of the annotations that keep a GitOps tool off an
// original.
const Disabled = "disabled"

// Record is what has to be known of an original beside what it is.
type Record struct {
	// Dev is the dev environment that it was swapped for.
	Dev string `json:"dev"`
	// Owners are the managers that owned the gate before the swap, without
	// their sets of fields.
	Owners []Entry `json:"replicasOwners,omitempty"`
	// Pauses are the annotations that keep a GitOps tool off it.
	Pauses []string `json:"pauses,omitempty"`
	// Unset is true when the gate's field was not there before the swap.
	Unset bool `json:"unset,omitempty"`
	// Paths are where the parts of a custom resource are; only the plugin reads
	// them.
	Paths json.RawMessage `json:"paths,omitempty"`
	// Gate is the field by which it is out of service.
	Gate Gate `json:"gate,omitzero"`
}

// Gate is the one field of an object by which it is out of service.
type Gate struct {
	// Path leads to the field, from the top of the object.
	Path []string `json:"path,omitempty"`
	// Shut is the field's value while the object is out of service; nil when it
	// was so before. Open is what a merge patch sets it to again: nil removes it.
	Shut any `json:"shut,omitempty"`
	Open any `json:"open,omitempty"`
}

// Meta is what a restore has to know of an object's metadata.
type Meta struct {
	ResourceVersion string            `json:"resourceVersion"`
	Labels          map[string]string `json:"labels"`
	Annotations     map[string]string `json:"annotations"`
	ManagedFields   []Entry           `json:"managedFields"`
}

// RecordIn returns the record that is among the annotations of a swapped object,
// empty where there is none or an unreadable one: much of a restore works without.
func RecordIn(annotations map[string]string) Record {
	var r Record
	if err := json.Unmarshal([]byte(annotations[AnnotationSwap]), &r); err != nil {
		return Record{}
	}
	return r
}

// MarkedBy tells whether annotations are those of a swapped object.
func MarkedBy(annotations map[string]string) bool {
	_, replicas := annotations[AnnotationReplicas]
	_, swap := annotations[AnnotationSwap]
	return replicas || swap
}

// StillPaused returns those of the recorded annotations that have our value.
func (m *Meta) StillPaused() []string {
	return slices.DeleteFunc(RecordIn(m.Annotations).Pauses, func(key string) bool { return m.Annotations[key] != Disabled })
}

// Nested returns the object that has nothing but the field at a path.
func Nested(path []string, v any) map[string]any {
	for i := len(path) - 1; i > 0; i-- {
		v = map[string]any{path[i]: v}
	}
	return map[string]any{path[0]: v}
}

// OpenPatch returns the merge patch that is the first step of a restore: it sets
// the field at a path. It holds for the version that it was computed from.
func (m *Meta) OpenPatch(path []string, v any) ([]byte, error) {
	patch := Nested(path, v)
	patch["metadata"] = map[string]any{"resourceVersion": m.ResourceVersion}
	return json.Marshal(patch)
}

// ReopenPatch returns the OpenPatch that the record of an object asks for, nil
// when there is nothing to open, or when somebody else has set the field
// meanwhile, whose wish it is then. A swapped object without a good record is an
// error: to clean it would be to forget what it was.
func (m *Meta) ReopenPatch(object map[string]any) ([]byte, error) {
	g := RecordIn(m.Annotations).Gate
	switch {
	case !MarkedBy(m.Annotations):
		return nil, nil
	case len(g.Path) == 0:
		return nil, fmt.Errorf("the annotation %s, which says how the workload was before, is damaged or gone: run `kubectl okteto down`", AnnotationSwap)
	case g.Shut == nil:
		return nil, nil
	}
	var now any = object
	for _, p := range g.Path {
		fields, _ := now.(map[string]any)
		now = fields[p]
	}
	if !still(now, g.Shut, g.Open) {
		return nil, nil
	}
	return m.OpenPatch(g.Path, g.Open)
}

// still tells whether what a patch would change is as it was shut.
func still(now, shut, open any) bool {
	changes, ok := open.(map[string]any)
	if !ok {
		return reflect.DeepEqual(now, shut)
	}
	have, _ := now.(map[string]any)
	was, _ := shut.(map[string]any)
	for key, v := range changes {
		if !still(have[key], was[key], v) {
			return false
		}
	}
	return true
}

// CleanPatch returns the merge patch that is the second step: it removes what a
// swap added and hands the ownership of the field at the path back. It comes
// last because a restore that was stopped before it starts anew, while after it
// nothing is left to do. It is nil when there is nothing of ours.
func (m *Meta) CleanPatch(path []string) ([]byte, error) {
	var fixed, pauses []string
	if !HasOurs(m.ManagedFields) && MarkedBy(m.Annotations) {
		// Somebody reset the managed fields; the labels can only be ours, and
		// the record tells of the rest.
		fixed, pauses = []string{LabelDev, LabelDetached}, m.StillPaused()
	}
	labels := removals(m.Labels, fixed, OwnKeys(m.ManagedFields, "labels", true))
	annotations := removals(m.Annotations,
		[]string{AnnotationReplicas, AnnotationMode, AnnotationSwap}, pauses,
		OwnKeys(m.ManagedFields, "annotations", true))
	entries, err := handBack(m.ManagedFields, RecordIn(m.Annotations).Owners, path)
	if err != nil {
		return nil, fmt.Errorf("reading the field managers: %w", err)
	}
	if len(labels) == 0 && len(annotations) == 0 && !HasOurs(m.ManagedFields) {
		return nil, nil
	}
	md := map[string]any{"resourceVersion": m.ResourceVersion}
	if len(labels) > 0 {
		md["labels"] = labels
	}
	if len(annotations) > 0 {
		md["annotations"] = annotations
	}
	if len(entries)+len(m.ManagedFields) > 0 {
		md["managedFields"] = Managers(entries)
	}
	return json.Marshal(map[string]any{"metadata": md})
}

// Managers returns field managers' entries as a patch sets them: an empty list
// would mean "unchanged" to the API server, one empty entry means "none".
func Managers[E any](entries []E) []E {
	if len(entries) == 0 {
		return make([]E, 1)
	}
	return entries
}

// removals returns a merge patch of a map that deletes those of the keys that
// it has.
func removals(have map[string]string, keys ...[]string) map[string]any {
	m := map[string]any{}
	for _, k := range slices.Concat(keys...) {
		if _, there := have[k]; there {
			m[k] = nil
		}
	}
	return m
}
