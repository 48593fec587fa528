package restore

import (
	"encoding/json"
	"fmt"
	"slices"
)

// AnnotationPod is on the clone of a pod that no controller made: the pod as it is
// made again, in JSON. That has its UID and field managers, and its phase where it
// had ended.
const AnnotationPod = "dev.okteto.com/pod"

// Pod is a pod as its clone remembers it.
type Pod struct {
	// Body is what is sent to make it again.
	Body []byte
	// Owners are the field managers that it had.
	Owners []Entry
	// Ended is true when it had ended: made again, it would run again.
	Ended bool
}

// PodIn returns the pod that a clone remembers. One that tells of none is an error:
// to delete it would be to forget the pod.
func PodIn(annotations map[string]string) (*Pod, error) {
	text := []byte(annotations[AnnotationPod])
	var p struct {
		Metadata Meta
		Status   struct{ Phase string }
	}
	var all struct {
		APIVersion string                     `json:"apiVersion"`
		Kind       string                     `json:"kind"`
		Metadata   map[string]json.RawMessage `json:"metadata"`
		Spec       json.RawMessage            `json:"spec"`
	}
	if json.Unmarshal(text, &p) != nil || json.Unmarshal(text, &all) != nil || len(all.Spec) == 0 {
		return nil, fmt.Errorf("the annotation %s, which says how the pod was, is damaged or gone", AnnotationPod)
	}
	delete(all.Metadata, "uid")
	delete(all.Metadata, "managedFields")
	body, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("rendering the pod: %w", err)
	}
	return &Pod{Body: body, Owners: p.Metadata.ManagedFields, Ended: p.Status.Phase != ""}, nil
}

// OwnersPatch returns the merge patch by which the fields of a pod that was made
// again belong to whom they belonged, nil where they do, or it is another's pod.
func (m *Meta) OwnersPatch(former []Entry) ([]byte, error) {
	if !HasOurs(m.ManagedFields) {
		return nil, nil
	}
	others := slices.DeleteFunc(slices.Clone(m.ManagedFields), ours)
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": m.ResourceVersion, "managedFields": Managers(slices.Concat(former, others)),
	}})
}
