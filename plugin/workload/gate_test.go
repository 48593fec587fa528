package workload

import (
	"maps"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestDaemonSetComesBack checks that the way back needs no record, and leaves
// what others have made of the node selector.
func TestDaemonSetComesBack(t *testing.T) {
	for _, tt := range []struct {
		name, patch string
		want        map[string]string
	}{
		{"untouched", `{}`, map[string]string{"pool": "edge"}},
		{"record lost", `{"metadata":{"annotations":{"dev.okteto.com/replicas":"?","dev.okteto.com/swap":"?"}}}`,
			map[string]string{"pool": "edge"}},
		{"moved by others", `{"spec":{"template":{"spec":{"nodeSelector":{"pool":"core","disk":"fast"}}}}}`,
			map[string]string{"pool": "core", "disk": "fast"}},
		{"opened by others", `{"spec":{"template":{"spec":{"nodeSelector":{"dev.okteto.com/nowhere":null}}}}}`,
			map[string]string{"pool": "edge"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, kube := newClient(t, testDaemonSet("api"))
			swap(t, c, "api", testSpec("api"))
			again := swap(t, c, "ds/api", testSpec("api"))
			clone, err := c.getClone(t.Context(), "api")
			if err != nil || again.Changed || again.Replicas != 3 || !maps.Equal(clone.Spec.Template.Spec.NodeSelector, map[string]string{"pool": "edge"}) {
				t.Errorf("swapped again: %+v, %v", again, err)
			}
			sets := kube.AppsV1().DaemonSets(testNamespace)
			now, err := sets.Patch(t.Context(), "api", types.MergePatchType, []byte(tt.patch), metav1.PatchOptions{FieldManager: "somebody"})
			if err != nil {
				t.Fatal(err)
			}
			if _, shut := now.Spec.Template.Spec.NodeSelector[nowhere]; shut != (tt.name != "opened by others") {
				t.Errorf("in development it runs on %v", now.Spec.Template.Spec.NodeSelector)
			}
			if _, err := c.Restore(t.Context(), RestoreOptions{Name: "api"}); err != nil {
				t.Fatal(err)
			}
			now, err = sets.Get(t.Context(), "api", metav1.GetOptions{})
			if err != nil || !maps.Equal(now.Spec.Template.Spec.NodeSelector, tt.want) || hasOurs(now.ManagedFields) {
				t.Errorf("restored to %v, %v", now.Spec.Template.Spec.NodeSelector, err)
			}
		})
	}
}
