package workload

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// written lists what a fake API server was sent, in order, as JSON.
func written(t *testing.T, kube *fake.Clientset) []any {
	t.Helper()
	var all []any
	for _, a := range kube.Actions() {
		var raw []byte
		switch a := a.(type) {
		case clienttesting.PatchAction:
			raw = a.GetPatch()
		case clienttesting.CreateAction:
			var err error
			if raw, err = json.Marshal(a.GetObject()); err != nil {
				t.Fatal(err)
			}
		default:
			continue
		}
		var object any
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatal(err)
		}
		all = append(all, object)
	}
	return all
}

// TestPlanIsWhatIsWritten compares a plan with what Acquire and Swap send.
func TestPlanIsWhatIsWritten(t *testing.T) {
	who := Claimant{Dev: "api", Holder: testHolder, Forwards: []string{"80 -> 80"}}
	withClaim := testSpec("api")
	withClaim.Dev.PersistentVolume.Enabled = true
	sandbox := testSpec("new")
	sandbox.Dev.Autocreate, sandbox.Dev.Image = true, "registry.local/tools:1"
	tests := map[string]struct {
		spec  Spec
		query Query
		kinds []string
	}{
		"deployment": {testSpec("api"), Query{Name: "api"}, []string{"Lease", "Deployment", "Deployment"}},
		"claim":      {withClaim, Query{Name: "api"}, []string{"Lease", "PersistentVolumeClaim", "Deployment", "Deployment"}},
		"statefulset": {testSpec("api"), Query{Name: "sts/db"},
			[]string{"Lease", "Deployment", "StatefulSet"}},
		"autocreate": {sandbox, Query{Name: "new", Autocreate: &sandbox.Dev}, []string{"Lease", "Deployment", "Deployment", "Service"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, kube := newClient(t, testDeployment("api"), testStatefulSet("db"),
				&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: testNamespace}})
			tt.query.Dev = "api"
			found, err := c.Find(t.Context(), tt.query)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := c.Plan(t.Context(), found, tt.spec, who)
			if err != nil {
				t.Fatal(err)
			}
			if sent := written(t, kube); len(sent) > 0 {
				t.Fatalf("a plan has written %v", sent)
			}
			var planned []any
			var kinds []string
			for _, p := range plan {
				raw, err := json.Marshal(p.Object)
				if err != nil {
					t.Fatal(err)
				}
				var object any
				if err := json.Unmarshal(raw, &object); err != nil {
					t.Fatal(err)
				}
				planned, kinds = append(planned, object), append(kinds, p.Object.GetKind())
			}
			if !slices.Equal(kinds, tt.kinds) {
				t.Errorf("kinds %v, want %v", kinds, tt.kinds)
			}
			if _, err := c.Acquire(t.Context(), found, who); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Swap(t.Context(), found, tt.spec); err != nil {
				t.Fatal(err)
			}
			opts := cmp.FilterPath(func(p cmp.Path) bool {
				key, ok := p.Last().(cmp.MapIndex)
				// Who creates through a typed client lets it fill in the namespace.
				return ok && key.Key().String() == "namespace"
			}, cmp.Ignore())
			if d := cmp.Diff(planned, written(t, kube), opts); d != "" {
				t.Errorf("planned (-) is not what was written (+):\n%s", d)
			}
		})
	}
}

// TestPlanOfALeaseThatExists has the Lease as a takeover leaves it.
func TestPlanOfALeaseThatExists(t *testing.T) {
	c, _ := newClient(t, testDeployment("api"))
	first := Claimant{Dev: "api", Holder: "bob@desk/1"}
	found, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Acquire(t.Context(), found, first); err != nil {
		t.Fatal(err)
	}
	if found, err = c.Find(t.Context(), Query{Name: "api", Dev: "api"}); err != nil {
		t.Fatal(err)
	}
	mine := Claimant{Dev: "api", Holder: testHolder, TakeOver: true}
	plan, err := c.Plan(t.Context(), found, Spec{Dev: manifest.Dev{Name: "api"}}, mine)
	if err != nil {
		t.Fatal(err)
	}
	lease, err := c.Acquire(t.Context(), found, mine)
	if err != nil {
		t.Fatal(err)
	}
	var planned struct{ Spec any }
	raw, err := json.Marshal(plan[0].Object)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &planned); err != nil {
		t.Fatal(err)
	}
	if raw, err = json.Marshal(lease.now.Spec); err != nil {
		t.Fatal(err)
	}
	var stored any
	if err := json.Unmarshal(raw, &stored); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(planned.Spec, stored); d != "" {
		t.Errorf("planned (-) is not what was stored (+):\n%s", d)
	}
}
