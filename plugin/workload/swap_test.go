package workload

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/restore"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestRestoreGivesBack swaps and restores workloads that were made in
// different ways.
func TestRestoreGivesBack(t *testing.T) {
	apply := func(manager string, op metav1.ManagedFieldsOperationType, sub string) func(*metav1.ObjectMeta, traits) {
		return func(m *metav1.ObjectMeta, of traits) {
			m.ManagedFields = append(m.ManagedFields, metav1.ManagedFieldsEntry{
				Manager: manager, Operation: op, APIVersion: of.apiVersion(), Subresource: sub, FieldsType: "FieldsV1",
				FieldsV1: metav1.NewFieldsV1(fieldsAt(of.gate)),
			})
		}
	}
	tests := []struct {
		name  string
		edit  func(*metav1.ObjectMeta, traits)
		owner string
	}{
		{"update", apply("kubectl-create", metav1.ManagedFieldsOperationUpdate, ""), "kubectl-create"},
		{"apply", apply("helm", metav1.ManagedFieldsOperationApply, ""), "helm"},
		{"scale", apply("kubectl", metav1.ManagedFieldsOperationUpdate, "scale"), "kubectl"},
		{"two owners", func(m *metav1.ObjectMeta, of traits) {
			apply("helm", metav1.ManagedFieldsOperationApply, "")(m, of)
			apply("argo", metav1.ManagedFieldsOperationApply, "")(m, of)
		}, "argo helm"},
		{"nobody", func(*metav1.ObjectMeta, traits) {}, ""},
		{"empty maps", func(m *metav1.ObjectMeta, _ traits) {
			m.Labels, m.Annotations = map[string]string{}, map[string]string{}
		}, ""},
		{"annotations", func(m *metav1.ObjectMeta, _ traits) {
			m.Annotations = map[string]string{"deployment.kubernetes.io/revision": "4"}
		}, ""},
		{"flux", func(m *metav1.ObjectMeta, _ traits) {
			m.Labels = map[string]string{fluxKustomization: "shop", fluxHelmRelease: "shop"}
		}, ""},
		{"flux paused before", func(m *metav1.ObjectMeta, _ traits) {
			m.Labels = map[string]string{fluxKustomization: "shop"}
			m.Annotations = map[string]string{"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}
		}, ""},
	}
	for _, tt := range tests {
		for _, traits := range kinds() {
			kind := traits.kind
			if kind == Pod {
				continue // is made again: pod_test.go
			}
			t.Run(tt.name+"/"+string(kind), func(t *testing.T) {
				o := testObject(kind, "api")
				tt.edit(o.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta), traits)
				c, kube := newClient(t, o)
				checkRoundTrip(t, c, kube, kind, "api", tt.owner)
			})
		}
	}
}

// fieldsAt returns the set of fields that has nothing but the gate.
func fieldsAt(g gate) string {
	return `{"f:` + strings.Join(g.path, `":{"f:`) + `":{` + strings.Repeat("}", len(g.path)+1)
}

// checkRoundTrip swaps a workload, checks that it is out of service, restores
// it and compares.
func checkRoundTrip(t interface {
	Helper()
	Fatal(...any)
	Errorf(string, ...any)
}, c *Client, kube *fake.Clientset, kind Kind, name, owners string) {
	t.Helper()
	ctx := newContext()
	before := jsonOf(t, kube, kind, name)
	s := testSpec("dev-" + name)
	s.Dev.Metadata = manifest.Metadata{
		Labels:      map[string]string{"team": "changed", "new": "label"},
		Annotations: map[string]string{"new": "annotation"},
	}
	for range 2 { // the second swap must not lose what the first recorded
		f, err := c.Find(ctx, Query{Name: name, Dev: s.Dev.Name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Swap(ctx, f, s); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.get(ctx, known(kind), name)
	if err != nil {
		t.Fatal(err)
	}
	if w.Replicas != 0 || w.Meta.Labels[LabelDev] != "true" || w.Meta.Annotations[AnnotationMode] != string(manifest.ModeSync) || w.Meta.Labels["new"] == "" && !strings.Contains(before, `"new": ""`) {
		t.Errorf("after the swap: %d replicas, labels %v, annotations %v", w.Replicas, w.Meta.Labels, w.Meta.Annotations)
	}
	done, err := c.Restore(ctx, RestoreOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if len(done) != 1 || !done[0].Cleaned || !done[0].Clone {
		t.Errorf("restored %+v", done)
	}
	if diff := cmp.Diff(before, jsonOf(t, kube, kind, name)); diff != "" {
		t.Errorf("the restored %s differs (-before +after):\n%s", kind, diff)
	}
	w, err = c.get(ctx, known(kind), name)
	if err != nil {
		t.Fatal(err)
	}
	if restore.HasOurs(entriesOf(w.Meta.ManagedFields)) {
		t.Errorf("we still own fields: %v", w.Meta.ManagedFields)
	}
	if g := joined(managersOf(w)); g != owners {
		t.Errorf("the gate is owned by %q, want %q", g, owners)
	}
	if again, err := c.Restore(ctx, RestoreOptions{Name: name}); err != nil || len(again) != 1 || !again[0].Nothing() {
		t.Errorf("a second restore did %+v, %v", again, err)
	}
}

// managersOf returns the names of who owns the gate, sorted. An object
// without managed fields gets an owner of all when it is applied to for the
// first time, which does not count.
func managersOf(w *Workload) []string {
	var names []string
	for _, e := range restore.OwnersOf(entriesOf(w.Meta.ManagedFields), w.gate().path) {
		if e.Manager != "before-first-apply" {
			names = append(names, e.Manager)
		}
	}
	slices.Sort(names)
	return names
}

// jsonOf returns an object as JSON, without what a restore may change.
func jsonOf(t interface{ Fatal(...any) }, kube *fake.Clientset, kind Kind, name string) string {
	c := &Client{Kube: kube, Namespace: testNamespace}
	all, err := known(kind).api(c).list(newContext(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(o runtime.Object) bool { return o.(metav1.Object).GetName() == name })
	o := all[i].DeepCopyObject()
	m := o.(metav1.Object)
	m.SetResourceVersion("")
	m.SetGeneration(0)
	m.SetManagedFields(nil)
	b, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRestoreKeepsWhatOthersChanged(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	swap(t, c, "api", testSpec("api"))
	patch := `{"metadata":{"labels":{"theirs":"yes"}},"spec":{"replicas":5,"template":{"spec":{"serviceAccountName":"other"}}}}`
	if _, err := kube.AppsV1().Deployments(testNamespace).Patch(t.Context(), "api", types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	done, err := c.Restore(t.Context(), RestoreOptions{Name: "api"})
	if err != nil {
		t.Fatal(err)
	}
	if done[0].Scaled || done[0].State != "5 replicas" {
		t.Errorf("restored %+v, want somebody's 5 replicas untouched", done[0])
	}
	d, err := kube.AppsV1().Deployments(testNamespace).Get(t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *d.Spec.Replicas != 5 || d.Labels["theirs"] != "yes" || d.Spec.Template.Spec.ServiceAccountName != "other" || d.Labels[LabelDev] != "" {
		t.Errorf("somebody's change is lost: %+v", d)
	}
	if got := restore.OwnersOf(entriesOf(d.ManagedFields), known(Deployment).gate.path); len(got) != 1 || got[0].Manager != "somebody" {
		t.Errorf("spec.replicas is owned by %v", got)
	}
}

// TestRestoreKeepsSharedLabels checks that a label which somebody else applied
// too, with the same value, stays theirs.
func TestRestoreKeepsSharedLabels(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	s := testSpec("api")
	s.Dev.Metadata.Labels = map[string]string{"shared": "yes", "alone": "yes"}
	swap(t, c, "api", s)
	apply := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api","labels":{"shared":"yes"}}}`
	if _, err := kube.AppsV1().Deployments(testNamespace).Patch(t.Context(), "api", types.ApplyPatchType, []byte(apply),
		metav1.PatchOptions{FieldManager: "helm"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Restore(t.Context(), RestoreOptions{Name: "api"}); err != nil {
		t.Fatal(err)
	}
	d, err := kube.AppsV1().Deployments(testNamespace).Get(t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"team": "shop", "shared": "yes"}, d.Labels); diff != "" {
		t.Error(diff)
	}
}

// TestRestoreFromAnyPoint stops the swap and the restore at every write.
func TestRestoreFromAnyPoint(t *testing.T) {
	spec := testSpec("api")
	spec.Dev.PersistentVolume.Enabled = true
	for _, stopRestore := range []bool{false, true} {
		for allowed := 0; ; allowed++ {
			c, kube := newClient(t, testDeployment("api"))
			before := jsonOf(t, kube, Deployment, "api")
			f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
			if err != nil {
				t.Fatal(err)
			}
			stop := newStop(kube)
			if stopRestore {
				if _, err = c.Swap(t.Context(), f, spec); err != nil {
					t.Fatal(err)
				}
				stop.after(allowed)
				_, err = c.Restore(t.Context(), RestoreOptions{Name: "api", Volumes: true})
			} else {
				stop.after(allowed)
				_, err = c.Swap(t.Context(), f, spec)
			}
			completed := stop.completed(t, err)
			if _, err := c.Restore(t.Context(), RestoreOptions{Name: "api", Volumes: true}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, jsonOf(t, kube, Deployment, "api")); diff != "" {
				t.Errorf("stopped after %d writes: %s", allowed, diff)
			}
			left, err := kube.AppsV1().Deployments(testNamespace).List(t.Context(), metav1.ListOptions{})
			if err != nil || len(left.Items) != 1 {
				t.Errorf("stopped after %d writes: %d deployments are left, %v", allowed, len(left.Items), err)
			}
			claims, err := kube.CoreV1().PersistentVolumeClaims(testNamespace).List(t.Context(), metav1.ListOptions{})
			if err != nil || len(claims.Items) != 0 {
				t.Errorf("stopped after %d writes: %d claims are left, %v", allowed, len(claims.Items), err)
			}
			if completed {
				if allowed < 3 {
					t.Errorf("completed after %d writes: the test stops nothing", allowed)
				}
				break
			}
		}
	}
}

func TestSwapRefused(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "api",
		errors.New(`User "ann" cannot patch resource "deployments" in API group "apps" in the namespace "shop"`))
	c, kube := newClient(t, testDeployment("api"))
	kube.PrependReactor("patch", "deployments", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return a.(clienttesting.PatchAction).GetName() == "api", nil, forbidden
	})
	f, err := c.Find(t.Context(), Query{Name: "api"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Swap(t.Context(), f, testSpec("api"))
	var fe *ForbiddenError
	if !errors.As(err, &fe) || fe.Rule != (Rule{Verb: "patch", Group: "apps", Resource: "deployments", Namespace: testNamespace}) {
		t.Fatalf("error %v", err)
	}
	want := `you may not patch deployments: a Role in namespace "shop" has to allow {apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]}`
	if err.Error() != want {
		t.Errorf("error  %s\nwanted %s", err, want)
	}
	if _, err := kube.AppsV1().Deployments(testNamespace).Get(t.Context(), "api-okteto", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the clone is left behind: %v", err)
	}
}

func TestSwapRetriesConflicts(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	conflicts := 2
	kube.PrependReactor("patch", "deployments", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.(clienttesting.PatchAction).GetName() != "api" || conflicts == 0 {
			return false, nil, nil
		}
		conflicts--
		return true, nil, apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "deployments"}, "api", errors.New("changed"))
	})
	swap(t, c, "api", testSpec("api"))
	conflicts = 2
	if _, err := c.Restore(t.Context(), RestoreOptions{Name: "api"}); err != nil {
		t.Fatal(err)
	}
	d, err := kube.AppsV1().Deployments(testNamespace).Get(t.Context(), "api", metav1.GetOptions{})
	if err != nil || *d.Spec.Replicas != 3 {
		t.Errorf("restored %+v, %v", d, err)
	}
}

func TestAutocreate(t *testing.T) {
	c, kube := newClient(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: testNamespace}})
	s := testSpec("sandbox")
	s.Dev.Image = "golang:1"
	f, err := c.Find(t.Context(), Query{Name: "sandbox", Dev: "sandbox", Autocreate: &s.Dev})
	if err != nil {
		t.Fatal(err)
	}
	kube.PrependReactor("create", "deployments", func(a clienttesting.Action) (bool, runtime.Object, error) {
		a.(clienttesting.CreateAction).GetObject().(*appsv1.Deployment).UID = "made"
		return false, nil, nil
	})
	out, err := c.Swap(t.Context(), f, s)
	if err != nil {
		t.Fatal(err)
	}
	if out.Clone != "sandbox-okteto" || out.Container != "sandbox" || !out.Created {
		t.Errorf("swapped %+v", out)
	}
	clone, err := c.getClone(t.Context(), "sandbox")
	if err != nil || clone == nil || clone.OwnerReferences[0].UID != "made" {
		t.Fatalf("clone %+v, %v", clone, err)
	}
	service, err := kube.CoreV1().Services(testNamespace).Get(t.Context(), "sandbox", metav1.GetOptions{})
	if err != nil || service.OwnerReferences[0].UID != "made" || service.Spec.Selector["app"] != "sandbox" || service.Spec.Ports[0].Port != 8080 {
		t.Errorf("service %+v, %v", service, err)
	}
	swap(t, c, "sandbox", s)
	done, err := c.Restore(t.Context(), RestoreOptions{Name: "sandbox"})
	if err != nil || len(done) != 1 || !done[0].Sandbox || !done[0].Clone {
		t.Errorf("restored %+v, %v", done, err)
	}
	left, err := kube.AppsV1().Deployments(testNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("%d deployments are left, %v", len(left.Items), err)
	}
}

// TestSandbox has a golden file of all that stands for a workload that is not there.
func TestSandbox(t *testing.T) {
	s := testSpec("box")
	s.Dev.Image, s.Dev.Container = "golang:1", "tools"
	s.Dev.Metadata = manifest.Metadata{Labels: map[string]string{"team": "shop"}, Annotations: map[string]string{"note": "hello"}}
	s.Dev.Forward = []manifest.Forward{{Local: 8080, Remote: 80}}
	d, err := Sandbox(&s.Dev, testNamespace)
	if err != nil {
		t.Fatal(err)
	}
	made := d.DeepCopy()
	made.UID = "uid-box"
	w := FromDeployment(made)
	r, err := Clone(w, nil, s)
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, filepath.Join("testdata", "sandbox.golden.yaml"), d, r.Clone, sandboxService(w, &s.Dev))
}

// TestPortsOfASandbox are those of the pod that the manifest forwards, each once.
func TestPortsOfASandbox(t *testing.T) {
	for name, tt := range map[string]struct {
		forward []manifest.Forward
		want    []int32
	}{
		"none":      {nil, []int32{8080}},
		"the pod's": {[]manifest.Forward{{Local: 1, Remote: 80}, {Local: 2, Remote: 9090}, {Local: 3, Remote: 80}}, []int32{80, 9090}},
		"of others": {[]manifest.Forward{{Local: 1, Remote: 5432, Service: "db"}, {Local: 2, Remote: 80, Labels: map[string]string{"a": "b"}}}, []int32{8080}},
		"of UDP":    {[]manifest.Forward{{Local: 1, Remote: 53, Protocol: manifest.UDP}, {Local: 1, Remote: 53}}, []int32{53, 53}},
		"a socket":  {[]manifest.Forward{{Local: 1, RemoteSocket: "/run/s"}}, []int32{8080}},
	} {
		t.Run(name, func(t *testing.T) {
			dev := testDev("sandbox")
			dev.Image, dev.Forward = "golang:1", tt.forward
			d, err := Sandbox(&dev, testNamespace)
			if err != nil {
				t.Fatal(err)
			}
			var got []int32
			names := map[string]bool{}
			for _, p := range sandboxService(FromDeployment(d), &dev).Spec.Ports {
				got = append(got, p.Port)
				names[p.Name] = true
			}
			if len(names) != len(got) {
				t.Errorf("%d ports have the names %v", len(got), names)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("ports %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRestoreHalf(t *testing.T) {
	tests := []struct {
		name string
		lose func(*testing.T, *fake.Clientset)
		want Restored
	}{
		{"no clone", func(t *testing.T, k *fake.Clientset) {
			mustDelete(t, k, "api-okteto")
		}, Restored{Dev: "web", Workload: "deployment/api", State: "3 replicas", Scaled: true, Cleaned: true}},
		{"no original", func(t *testing.T, k *fake.Clientset) {
			mustDelete(t, k, "api")
		}, Restored{Dev: "web", Workload: "deployment/api", Missing: true, Clone: true}},
		{"no label", func(t *testing.T, k *fake.Clientset) {
			mustDelete(t, k, "api-okteto")
			mustPatch(t, k, "api", `{"metadata":{"labels":{"dev.okteto.com":null}}}`)
		}, Restored{Dev: "api", Workload: "deployment/api", State: "3 replicas", Scaled: true, Cleaned: true}},
		{"nothing", func(t *testing.T, k *fake.Clientset) {
			mustDelete(t, k, "api-okteto")
			mustDelete(t, k, "api")
		}, Restored{Dev: "api", Workload: "/api", Missing: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, kube := newClient(t, testDeployment("api"))
			swap(t, c, "api", testSpec("web"))
			tt.lose(t, kube)
			done, err := c.Restore(t.Context(), RestoreOptions{Name: "api"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Restored{tt.want}, done); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRestoreLostCount(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"))
	swap(t, c, "api", testSpec("api"))
	mustPatch(t, kube, "api", `{"metadata":{"annotations":{"dev.okteto.com/replicas":"many"}}}`)
	done, err := c.Restore(t.Context(), RestoreOptions{Name: "api"})
	if err == nil || !done[0].Clone {
		t.Errorf("restored %+v, %v; want the clone gone and an error about the count", done, err)
	}
}

func TestRestoreAll(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"), testStatefulSet("db"), testDeployment("bystander"))
	api := testSpec("api")
	api.Dev.PersistentVolume.Enabled = true
	swap(t, c, "api", api)
	swap(t, c, "db", testSpec("database"))
	if envs, err := c.List(t.Context()); err != nil || len(envs) != 2 || envs[0].Dev != "api" || envs[1].Dev != "database" {
		t.Errorf("listed %+v, %v", envs, err)
	}
	done, err := c.Restore(t.Context(), RestoreOptions{All: true, Volumes: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []Restored{
		{Dev: "api", Workload: "deployment/api", State: "3 replicas", Scaled: true, Cleaned: true, Clone: true, Claim: true},
		{Dev: "database", Workload: "statefulset/db", State: "3 replicas", Scaled: true, Cleaned: true, Clone: true},
	}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Error(diff)
	}
	if l, err := kube.AppsV1().Deployments(testNamespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(l.Items) != 2 {
		t.Errorf("%d deployments are left, %v", len(l.Items), err)
	}
}

func mustDelete(t *testing.T, kube *fake.Clientset, name string) {
	t.Helper()
	if err := kube.AppsV1().Deployments(testNamespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func mustPatch(t *testing.T, kube *fake.Clientset, name, patch string) {
	t.Helper()
	if _, err := kube.AppsV1().Deployments(testNamespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
