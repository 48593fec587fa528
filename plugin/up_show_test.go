package plugin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestMask shows no content of a Secret, but which of them differ.
func TestMask(t *testing.T) {
	secret := func(data map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"kind": "Secret", "data": data}}
	}
	live := secret(map[string]any{"same": "c2FtZQ==", "old": "b2xk", "gone": "Z29uZQ=="})
	after := secret(map[string]any{"same": "c2FtZQ==", "old": "bmV3", "new": "bmV3"})
	mask(live, after)
	if d := cmp.Diff(live, secret(map[string]any{"same": "***", "old": "***", "gone": "***"})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(after, secret(map[string]any{"same": "***", "old": "*** (other content)", "new": "***"})); d != "" {
		t.Error(d)
	}
	first := secret(map[string]any{"key": "dmFsdWU="})
	mask(nil, first)
	if d := cmp.Diff(first, secret(map[string]any{"key": "***"})); d != "" {
		t.Error(d)
	}
}
