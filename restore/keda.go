package restore

import "encoding/json"

// KEDAPaused is the annotation by which KEDA leaves the count of what it scales as
// it is; KEDAPause is its value where a swap has set it.
const (
	KEDAPaused = "autoscaling.keda.sh/paused"
	KEDAPause  = "true"
)

// AnnotationPaused is on a ScaledObject of KEDA that a swap has paused: the
// original as kind/name.
const AnnotationPaused = "dev.okteto.com/paused-for"

// Resuming returns a merge patch of the annotations of a ScaledObject that lets
// KEDA go on, when it was paused for the original, kind/name. What somebody else
// has made of it meanwhile stays.
func Resuming(original string, have map[string]string) map[string]any {
	if have[AnnotationPaused] != original {
		return nil
	}
	patch := map[string]any{AnnotationPaused: nil}
	if have[KEDAPaused] == KEDAPause {
		patch[KEDAPaused] = nil
	}
	return patch
}

// ResumePatch returns the merge patch of a ScaledObject that Resuming asks for,
// nil when there is nothing to resume. It holds for the version that it was
// computed from.
func (m *Meta) ResumePatch(original string) ([]byte, error) {
	annotations := Resuming(original, m.Annotations)
	if annotations == nil {
		return nil, nil
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": m.ResourceVersion, "annotations": annotations}})
}
