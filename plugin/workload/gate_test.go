package workload

import (
	"maps"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/restore"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestSuspensionComesBack checks that what was suspended before stays so, and
// that somebody's wish of meanwhile goes before.
func TestSuspensionComesBack(t *testing.T) {
	for _, kind := range []Kind{Job, CronJob} {
		for _, tt := range []struct {
			name, patch   string
			before, after bool
			state, fails  string
		}{
			{"untouched", `{}`, false, false, "not suspended", ""},
			{"suspended before", `{}`, true, true, "suspended", ""},
			{"resumed by others", `{"spec":{"suspend":false}}`, true, false, "not suspended", ""},
			{"record lost", `{"metadata":{"annotations":{"dev.okteto.com/replicas":"?"}}}`, false, true, "suspended",
				" is out of service, and its annotation dev.okteto.com/replicas, which says how it was before, is damaged or gone: set spec.suspend to what it should be"},
		} {
			t.Run(string(kind)+"/"+tt.name, func(t *testing.T) {
				o := testObject(kind, "api")
				switch o := o.(type) {
				case *batchv1.Job:
					o.Spec.Suspend = &tt.before
				case *batchv1.CronJob:
					o.Spec.Suspend = &tt.before
				}
				c, _ := newClient(t, o)
				swap(t, c, "api", testSpec("api"))
				w, err := c.get(t.Context(), known(kind), "api")
				if err != nil || w.Replicas != 0 {
					t.Fatalf("swapped to %+v, %v", w, err)
				}
				if _, err := c.patch(t.Context(), w, types.MergePatchType, []byte(tt.patch)); err != nil {
					t.Fatal(err)
				}
				done, err := c.Restore(t.Context(), RestoreOptions{Name: "api"})
				if err == nil && tt.fails != "" || err != nil && err.Error() != w.String()+tt.fails {
					t.Errorf("error %v", err)
				}
				if w, err = c.get(t.Context(), known(kind), "api"); err != nil || (w.Replicas == 0) != tt.after || done[0].State != tt.state {
					t.Errorf("restored to %d, %+v, %v", w.Replicas, done, err)
				}
			})
		}
	}
}

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
			if err != nil || !maps.Equal(now.Spec.Template.Spec.NodeSelector, tt.want) || restore.HasOurs(entriesOf(now.ManagedFields)) {
				t.Errorf("restored to %v, %v", now.Spec.Template.Spec.NodeSelector, err)
			}
		})
	}
}
