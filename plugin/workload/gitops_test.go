package workload

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestFluxIsPaused has Flux's annotation on the original while it is in
// development, whatever happens to it or to the managed fields meanwhile.
func TestFluxIsPaused(t *testing.T) {
	const key = "kustomize.toolkit.fluxcd.io/reconcile"
	tests := map[string]struct {
		patch string
		after string
	}{
		"untouched":            {"", ""},
		"edited":               {`{"metadata":{"annotations":{"` + key + `":"enabled"}}}`, "enabled"},
		"removed":              {`{"metadata":{"annotations":{"` + key + `":null}}}`, ""},
		"managed fields reset": {`{"metadata":{"managedFields":[{}]}}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := testDeployment("api")
			d.Labels[fluxKustomization] = "shop"
			c, kube := newClient(t, d)
			api := kube.AppsV1().Deployments(testNamespace)
			swap(t, c, "api", testSpec("api"))
			swapped, err := api.Get(t.Context(), "api", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if swapped.Annotations[key] != disabled {
				t.Errorf("annotations %v", swapped.Annotations)
			}
			if tt.patch != "" {
				if _, err := api.Patch(t.Context(), "api", types.MergePatchType, []byte(tt.patch), metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Restore(t.Context(), RestoreOptions{Name: "api"}); err != nil {
				t.Fatal(err)
			}
			restored, err := api.Get(t.Context(), "api", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if restored.Annotations[key] != tt.after || tt.after == "" && len(restored.Annotations) > 0 {
				t.Errorf("after the restore: annotations %v, want %q", restored.Annotations, tt.after)
			}
		})
	}
}

func TestManaged(t *testing.T) {
	w := FromDeployment(testDeployment("api"))
	if said := w.Managed(); said != nil {
		t.Errorf("nobody manages it: %q", said)
	}
	w.Meta.Labels = map[string]string{fluxKustomization: "shop", fluxHelmRelease: "shop"}
	w.Meta.Annotations = map[string]string{argoTracking: "shop:apps/Deployment:shop/api", "kustomize.toolkit.fluxcd.io/reconcile": "enabled"}
	got := strings.Join(w.Managed(), "\n")
	if want := "Flux leaves deployment/api alone until down: the annotation helm.toolkit.fluxcd.io/driftDetection is disabled\n" +
		"Flux may start deployment/api again: the annotation kustomize.toolkit.fluxcd.io/reconcile is \"enabled\" and not ours to change\n" +
		"Argo CD manages deployment/api: where it heals by itself, its Application needs /spec/replicas in ignoreDifferences"; got != want {
		t.Errorf("said:\n%s\nwant:\n%s", got, want)
	}
	ds := FromDaemonSet(testDaemonSet("logs"))
	ds.Meta.Annotations = map[string]string{argoTracking: "shop:apps/DaemonSet:shop/logs"}
	if said := ds.Managed(); len(said) != 1 || !strings.Contains(said[0], " /spec/template/spec/nodeSelector ") {
		t.Errorf("of a DaemonSet: %q", said)
	}
}
