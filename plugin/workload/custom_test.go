package workload

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// customWorkload is the workload that a custom resource is, whose plural is that
// of kubebuilder's.
func customWorkload(t *testing.T, object string, paths manifest.Paths) *Workload {
	t.Helper()
	u := &unstructured.Unstructured{}
	raw, err := yaml.YAMLToJSON([]byte(object))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	gvk := u.GroupVersionKind()
	return fromCustom(u, traits{kind: kindOf(u.GetAPIVersion(), u.GetKind()), group: gvk.Group, version: gvk.Version}, paths)
}

const podOfCustom = "{spec: {containers: [{name: main, image: shop:1}]}}"

// TestCustomLayout reads custom resources of all shapes.
func TestCustomLayout(t *testing.T) {
	tests := []struct {
		name, spec string
		paths      manifest.Paths
		replicas   int32
		selector   map[string]string
		problem    string
	}{
		{name: "as most are", spec: "{replicas: 3, selector: {matchLabels: {app: x}}, template: " + podOfCustom + "}",
			replicas: 3, selector: map[string]string{"app": "x"}},
		{name: "no count", spec: "{selector: {app: x}, template: " + podOfCustom + "}",
			replicas: 1, selector: map[string]string{"app": "x"}},
		{name: "elsewhere", spec: "{a: {b: " + podOfCustom + "}, size: 4}",
			paths: manifest.Paths{Template: "spec.a.b", Replicas: "spec.size"}, replicas: 4},
		{name: "suspended", spec: "{template: " + podOfCustom + ", paused: true}",
			paths: manifest.Paths{Suspend: "spec.paused"}, replicas: 0},
		{name: "not suspended", spec: "{template: " + podOfCustom + ", paused: false}",
			paths: manifest.Paths{Suspend: "spec.paused"}, replicas: 1},
		{name: "no template", spec: "{replicas: 2}", replicas: 2,
			problem: "widget.example.com/w has no pod template at spec.template"},
		{name: "a text for a template", spec: "{replicas: 2, template: none}", replicas: 2,
			problem: "widget.example.com/w has no pod template at spec.template"},
		{name: "something else for a template", spec: "{replicas: 2, template: {spec: {containers: {a: b}}}}", replicas: 2,
			problem: "widget.example.com/w has no pod template at spec.template"},
		{name: "through a text", spec: "{template: " + podOfCustom + ", x: y}", paths: manifest.Paths{Replicas: "spec.x.y"}, replicas: 1,
			problem: "widget.example.com/w has no number of pods at spec.x.y"},
		{name: "a text for a count", spec: `{template: ` + podOfCustom + `, replicas: "2"}`, replicas: 1,
			problem: "widget.example.com/w has no number of pods at spec.replicas"},
		{name: "a count for a switch", spec: "{template: " + podOfCustom + ", paused: 1}", paths: manifest.Paths{Suspend: "spec.paused"}, replicas: 1,
			problem: "widget.example.com/w has no switch at spec.paused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := customWorkload(t, "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: "+tt.spec+"}", tt.paths)
			problem := ""
			if err := w.check(tt.paths); err != nil {
				problem = err.Error()
			}
			var selector map[string]string
			if w.Selector != nil {
				selector = w.Selector.MatchLabels
			}
			if w.Replicas != tt.replicas || problem != tt.problem || cmp.Diff(tt.selector, selector) != "" {
				t.Errorf("%d replicas, selector %v, problem %q", w.Replicas, selector, problem)
			}
		})
	}
}

// TestCustomComesBack checks that a field which was not there is not there
// again, and that the way back needs nothing but the object.
func TestCustomComesBack(t *testing.T) {
	for _, tt := range []struct {
		name, spec string
		paths      manifest.Paths
		open       string
	}{
		{"a count", "{replicas: 3, template: " + podOfCustom + "}", manifest.Paths{}, `{"metadata":{"resourceVersion":""},"spec":{"replicas":3}}`},
		{"no count", "{template: " + podOfCustom + "}", manifest.Paths{}, `{"metadata":{"resourceVersion":""},"spec":{"replicas":null}}`},
		{"a switch", "{job: {pause: false}, template: " + podOfCustom + "}", manifest.Paths{Suspend: "spec.job.pause"},
			`{"metadata":{"resourceVersion":""},"spec":{"job":{"pause":false}}}`},
		{"no switch", "{template: " + podOfCustom + "}", manifest.Paths{Suspend: "spec.job.pause"},
			`{"metadata":{"resourceVersion":""},"spec":{"job":{"pause":null}}}`},
		{"already shut", "{replicas: 0, template: " + podOfCustom + "}", manifest.Paths{}, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: "
			w := customWorkload(t, head+tt.spec+"}", tt.paths)
			for range 2 { // the second swap must not lose what the first recorded
				u, err := ScaledDown(w, &manifest.Dev{Name: "dev"})
				if err != nil {
					t.Fatal(err)
				}
				raw, err := u.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				// What was applied, without the paths of the manifest.
				w = customWorkload(t, string(raw), manifest.Paths{})
			}
			if w.Replicas != 0 {
				t.Errorf("it has %d replicas", w.Replicas)
			}
			patch, err := openPatch(w)
			if err != nil || string(patch) != tt.open {
				t.Errorf("patch  %s, %v\nwanted %s", patch, err, tt.open)
			}
		})
	}
}

// TestUnknownKind checks that a cluster without a kind says so.
func TestUnknownKind(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"))
	var e *UnknownKindError
	for _, word := range []string{"widget", "Widgets.example.com", "widgets.v1.example.com"} {
		if _, err := c.Find(t.Context(), Query{Name: word + "/api"}); !errors.As(err, &e) || e.Word != word {
			t.Errorf("%s: error %v", word, err)
		}
	}
	_, err := c.Find(t.Context(), Query{Name: "deploy/api", Paths: manifest.Paths{Suspend: "spec.paused"}})
	if want := "deployment/api has its parts where every Deployment has them: remove `paths` from the manifest"; err == nil || err.Error() != want {
		t.Errorf("error  %v\nwanted %s", err, want)
	}
}

// TestKindOf checks that kinds of one name and several groups are several.
func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		apiVersion, name string
		want             Kind
	}{
		{"apps/v1", "Deployment", Deployment},
		{"batch/v1", "Job", Job},
		{"batch.volcano.sh/v1alpha1", "Job", "Job.batch.volcano.sh"},
		{"argoproj.io/v1alpha1", "Rollout", "Rollout.argoproj.io"},
		{"v1", "ReplicationController", "ReplicationController"},
	} {
		if got := kindOf(tt.apiVersion, tt.name); got != tt.want || got.name() != tt.name {
			t.Errorf("%s %s is %s", tt.apiVersion, tt.name, got)
		}
	}
	if got := ownerOf(&Workload{Kind: "Job.batch.volcano.sh", custom: &custom{traits: traits{group: "batch.volcano.sh", version: "v1alpha1"}}}); cmp.Diff(
		metav1.OwnerReference{APIVersion: "batch.volcano.sh/v1alpha1", Kind: "Job"}, got) != "" {
		t.Errorf("owner %+v", got)
	}
}
