package workload

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// testScaledObject scales a workload; kind is empty for a Deployment.
func testScaledObject(name, kind, of string, annotations map[string]string) *unstructured.Unstructured {
	target := map[string]any{"name": of}
	if kind != "" {
		target["kind"] = kind
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
		"spec": map[string]any{"scaleTargetRef": target},
	}}
	o.SetName(name)
	o.SetNamespace(testNamespace)
	o.SetAnnotations(annotations)
	return o
}

// withKEDA gives a client an API server that has ScaledObjects.
func withKEDA(c *Client, objects ...runtime.Object) *fake.FakeDynamicClient {
	r := scaledObjects("")
	lists := map[schema.GroupVersionResource]string{{Group: r.Group, Version: "v1alpha1", Resource: r.Resource}: "ScaledObjectList"}
	api := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, objects...)
	c.Dynamic = api
	return api
}

// TestKEDAIsPaused has a ScaledObject before, while and after its workload is in
// development, with what somebody does to it meanwhile.
func TestKEDAIsPaused(t *testing.T) {
	ours := map[string]string{kedaPaused: "true", AnnotationPaused: "deployment/api"}
	tests := map[string]struct {
		object *unstructured.Unstructured
		during map[string]string
		said   string
		edit   string
		after  map[string]string
	}{
		"ours": {
			testScaledObject("web", "", "api", nil), ours, "KEDA leaves deployment/api alone until down: its ScaledObject web is paused", "", nil,
		},
		"with annotations": {
			testScaledObject("web", "Deployment", "api", map[string]string{"team": "shop"}),
			map[string]string{kedaPaused: "true", AnnotationPaused: "deployment/api", "team": "shop"},
			"KEDA leaves deployment/api alone until down: its ScaledObject web is paused", "", map[string]string{"team": "shop"},
		},
		"another workload's": {
			testScaledObject("web", "", "shop", nil), nil, "", "", nil,
		},
		"another kind's": {
			testScaledObject("web", "StatefulSet", "api", nil), nil, "", "", nil,
		},
		"paused by its owner": {
			testScaledObject("web", "", "api", map[string]string{kedaPaused: "yes"}), map[string]string{kedaPaused: "yes"},
			"KEDA leaves deployment/api alone: its ScaledObject web is paused, and stays so after down", "", map[string]string{kedaPaused: "yes"},
		},
		"paused at nothing by its owner": {
			testScaledObject("web", "", "api", map[string]string{kedaPausedAt: "0"}), map[string]string{kedaPausedAt: "0"},
			"KEDA leaves deployment/api alone: its ScaledObject web is paused, and stays so after down", "", map[string]string{kedaPausedAt: "0"},
		},
		"paused at a number": {
			testScaledObject("web", "", "api", map[string]string{kedaPausedAt: "2", kedaPaused: "true"}), map[string]string{kedaPausedAt: "2", kedaPaused: "true"},
			"KEDA may start deployment/api again: the annotations of its ScaledObject web say so and are not ours to change",
			"", map[string]string{kedaPausedAt: "2", kedaPaused: "true"},
		},
		"explicitly not paused": {
			testScaledObject("web", "", "api", map[string]string{kedaPaused: "false"}), map[string]string{kedaPaused: "false"},
			"KEDA may start deployment/api again: the annotations of its ScaledObject web say so and are not ours to change",
			"", map[string]string{kedaPaused: "false"},
		},
		"edited meanwhile": {
			testScaledObject("web", "", "api", nil), ours, "KEDA leaves deployment/api alone until down: its ScaledObject web is paused",
			`{"metadata":{"annotations":{"` + kedaPaused + `":"false"}}}`, map[string]string{kedaPaused: "false"},
		},
		"removed meanwhile": {
			testScaledObject("web", "", "api", nil), ours, "KEDA leaves deployment/api alone until down: its ScaledObject web is paused",
			`{"metadata":{"annotations":{"` + kedaPaused + `":null}}}`, nil,
		},
		"of another workload by now": {
			testScaledObject("web", "", "api", nil), ours, "KEDA leaves deployment/api alone until down: its ScaledObject web is paused",
			`{"spec":{"scaleTargetRef":{"name":"shop"}}}`, nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(t, testDeployment("api"))
			api := withKEDA(c, tt.object)
			annotations := func() map[string]string {
				o, err := c.keda().Get(t.Context(), "web", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return maps.Clone(o.GetAnnotations())
			}
			for range 2 {
				f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Swap(t.Context(), f, testSpec("api")); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tt.during, annotations()); d != "" {
					t.Errorf("in development: %s", d)
				}
				if said := resting(f); said != tt.said {
					t.Errorf("said   %s\nwanted %s", said, tt.said)
				}
			}
			writes := 0
			for _, a := range api.Actions() {
				if a.Matches("patch", "scaledobjects") {
					writes++
				}
			}
			if most := len(tt.during) - len(tt.after); writes > min(1, most) {
				t.Errorf("%d writes", writes)
			}
			if tt.edit != "" {
				if _, err := c.keda().Patch(t.Context(), "web", types.MergePatchType, []byte(tt.edit), metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if _, err := c.Restore(t.Context(), RestoreOptions{Name: "api"}); err != nil {
					t.Fatal(err)
				}
			}
			if got := annotations(); len(got)+len(tt.after) > 0 && !maps.Equal(got, tt.after) {
				t.Errorf("after the restore: %v, want %v", got, tt.after)
			}
		})
	}
}

// resting is what the autoscalers of a workload do.
func resting(f *Found) string {
	var said []string
	for _, a := range f.Autoscalers {
		if a.Scales(f.Workload) {
			said = append(said, a.Resting(f.Workload))
		}
	}
	return strings.Join(said, "\n")
}

// TestKEDAMayNotBePaused swaps all the same, and says what is missing.
func TestKEDAMayNotBePaused(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"))
	api := withKEDA(c, testScaledObject("web", "", "api", nil))
	api.PrependReactor("patch", "scaledobjects", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "keda.sh", Resource: "scaledobjects"}, "web", errors.New("no"))
	})
	f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Swap(t.Context(), f, testSpec("api")); err != nil {
		t.Fatal(err)
	}
	want := `KEDA may start deployment/api again: you may not patch scaledobjects: a Role in namespace "shop" has to allow ` +
		`{apiGroups: ["keda.sh"], resources: ["scaledobjects"], verbs: ["patch"]}; ` +
		`without that, set the annotation autoscaling.keda.sh/paused: "true" on the ScaledObject web yourself`
	if said := resting(f); said != want || !f.Autoscalers[0].Wakes {
		t.Errorf("said   %s\nwanted %s", said, want)
	}
	if r, err := c.Restore(t.Context(), RestoreOptions{Name: "api"}); err != nil || !r[0].Cleaned {
		t.Errorf("restored %+v, %v", r, err)
	}
}

// TestKEDAGoesOnByItself checks that what gives the original back may resume what
// is paused before it is paused, also when another paused it; and that who may not
// grant that has the rest.
func TestKEDAGoesOnByItself(t *testing.T) {
	elsewhere := testScaledObject("moved", "", "shop", map[string]string{AnnotationPaused: "deployment/api"})
	for _, granted := range []bool{true, false} {
		c, kube := newClient(t, testDeployment("api"))
		api := withKEDA(c, testScaledObject("web", "", "api", nil), testScaledObject("other", "", "shop", nil), elsewhere)
		var may []string
		kube.PrependReactor("patch", "roles", func(a clienttesting.Action) (bool, runtime.Object, error) {
			var role rbacv1.Role
			if err := json.Unmarshal(a.(clienttesting.PatchAction).GetPatch(), &role); err != nil {
				t.Error(err)
			}
			may = nil
			for _, rule := range role.Rules {
				if rule.Resources[0] == "scaledobjects" {
					may = append(may, strings.Join(rule.Verbs, "+")+" "+strings.Join(rule.ResourceNames, "+"))
				}
			}
			if len(may) > 0 && !granted {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "roles"}, role.Name, errors.New("attempting to grant"))
			}
			return false, nil, nil
		})
		want := "patch moved, patch web"
		if !granted {
			want = ""
		}
		api.PrependReactor("patch", "scaledobjects", func(clienttesting.Action) (bool, runtime.Object, error) {
			if got := strings.Join(may, ", "); got != want {
				t.Errorf("when it is paused, the Role may %q, want %q", got, want)
			}
			return false, nil, nil
		})
		f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.Swap(t.Context(), f, autoDownSpec("api"))
		if err != nil || len(out.Warnings) > 0 {
			t.Fatalf("%v, warned of %q", err, out.Warnings)
		}
		if got := joined(autoDownParts(t, kube)); got != "account binding job role" {
			t.Errorf("there is %q", got)
		}
	}
}

// TestKEDAWritesMeanwhile has the object change between reading and writing, as
// its status does all the time.
func TestKEDAWritesMeanwhile(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"))
	api := withKEDA(c, testScaledObject("web", "", "api", nil))
	refusals := 3
	api.PrependReactor("patch", "scaledobjects", func(clienttesting.Action) (bool, runtime.Object, error) {
		refusals--
		if refusals < 0 {
			return false, nil, nil
		}
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "scaledobjects"}, "web", errors.New("changed"))
	})
	swap(t, c, "api", testSpec("api"))
	o, err := c.keda().Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || o.GetAnnotations()[kedaPaused] != "true" {
		t.Errorf("annotations %v, %v", o.GetAnnotations(), err)
	}
}

// TestFailedSwapResumesKEDA has the original refuse to be scaled down.
func TestFailedSwapResumesKEDA(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	withKEDA(c, testScaledObject("web", "", "api", nil))
	kube.PrependReactor("patch", "deployments", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.(clienttesting.PatchAction).GetName() != "api" {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "api", errors.New("no"))
	})
	f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Swap(t.Context(), f, testSpec("api")); err == nil {
		t.Fatal("the original cannot be scaled down, and nothing is said")
	}
	o, err := c.keda().Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || len(o.GetAnnotations()) > 0 {
		t.Errorf("annotations %v, %v", o.GetAnnotations(), err)
	}
}

// TestAutoscalersOfKEDA are KEDA's own: what becomes of them is said once.
func TestAutoscalersOfKEDA(t *testing.T) {
	hpa := func(name string, by ...metav1.OwnerReference) *autoscalingv2.HorizontalPodAutoscaler {
		return &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: testNamespace, OwnerReferences: by},
			Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "api"}},
		}
	}
	c, _ := newClient(t, testDeployment("api"), hpa("own"),
		hpa("keda-hpa-web", metav1.OwnerReference{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "web", Controller: new(true)}))
	withKEDA(c, testScaledObject("web", "", "api", nil))
	var names []string
	for _, a := range c.autoscalers(t.Context()) {
		names = append(names, a.Name)
	}
	if got := strings.Join(names, " "); got != "own web" {
		t.Errorf("the autoscalers are %q", got)
	}
}

// TestPlanPausesKEDA compares a plan with what is written.
func TestPlanPausesKEDA(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"))
	withKEDA(c, testScaledObject("web", "", "api", nil), testScaledObject("other", "", "shop", nil))
	f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := c.Plan(t.Context(), f, testSpec("api"), Claimant{Dev: "api", Holder: testHolder})
	if err != nil {
		t.Fatal(err)
	}
	last := plan[len(plan)-1]
	want := testScaledObject("web", "", "", map[string]string{kedaPaused: "true", AnnotationPaused: "deployment/api"})
	delete(want.Object, "spec")
	if d := cmp.Diff(want, last.Object); d != "" || plan[len(plan)-2].Object.GetKind() != "Deployment" {
		t.Errorf("planned: %s", d)
	}
}
