package workload

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
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

// barePod is a pod that somebody has applied, as it is when it runs.
func barePod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: testNamespace, UID: types.UID("uid-" + name),
			Labels:      map[string]string{"app": name},
			Annotations: map[string]string{"note": "hello", lastApplied: "{}"},
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "kubectl-client-side-apply", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1",
					FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:app":{}}}}`)},
				{Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Subresource: "status",
					FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:phase":{}}}`)},
			},
		},
		Spec: corev1.PodSpec{
			NodeName: "node-1", RestartPolicy: corev1.RestartPolicyNever,
			Containers:          []corev1.Container{{Name: "web", Image: "registry.local/shop:1"}},
			EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.9"},
	}
}

// podNow is a pod without what differs of one that is made again; empty when
// there is none.
func podNow(t *testing.T, kube *fake.Clientset, name string) string {
	t.Helper()
	l, err := kube.CoreV1().Pods(testNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(l.Items, func(p corev1.Pod) bool { return p.Name == name })
	if i < 0 {
		return ""
	}
	p := &l.Items[i]
	p.TypeMeta = metav1.TypeMeta{}
	p.UID, p.ResourceVersion, p.ManagedFields, p.Status = "", "", nil, corev1.PodStatus{}
	p.Spec.NodeName, p.Spec.EphemeralContainers = "", nil
	b, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPodComesBack stops the swap and the restore of a pod at every write: it
// is never lost.
func TestPodComesBack(t *testing.T) {
	for _, stopRestore := range []bool{false, true} {
		for allowed := 0; ; allowed++ {
			c, kube := newClient(t, barePod("web"))
			before := podNow(t, kube, "web")
			stop := newStop(kube)
			f, err := c.Find(t.Context(), Query{Name: "pod/web"})
			if err != nil {
				t.Fatal(err)
			}
			if !stopRestore {
				stop.after(allowed)
			}
			_, err = c.Swap(t.Context(), f, testSpec("web"))
			if stopRestore {
				if again := swap(t, c, "web", testSpec("web")); again.Changed || podNow(t, kube, "web") != "" {
					t.Errorf("swapped again %+v, with a pod %s", again, podNow(t, kube, "web"))
				}
				stop.after(allowed)
				_, err = c.Restore(t.Context(), RestoreOptions{Name: "web"})
			}
			completed := stop.completed(t, err)
			done, err := c.Restore(t.Context(), RestoreOptions{Name: "pod/web"})
			if err != nil || len(done) != 1 || done[0].Workload != "pod/web" {
				t.Fatalf("restored %+v, %v", done, err)
			}
			if diff := cmp.Diff(before, podNow(t, kube, "web")); diff != "" {
				t.Errorf("stopped after %d writes (-before +after):\n%s", allowed, diff)
			}
			if left, err := kube.AppsV1().Deployments(testNamespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(left.Items) != 0 {
				t.Errorf("stopped after %d writes: %d deployments are left, %v", allowed, len(left.Items), err)
			}
			if completed {
				if allowed < 2 {
					t.Errorf("completed after %d writes: the test stops nothing", allowed)
				}
				break
			}
		}
	}
}

// TestPodOwners checks that the fields of a pod that is made again belong to
// whom they belonged, and that a node which somebody chose stays chosen.
func TestPodOwners(t *testing.T) {
	for _, chosen := range []bool{false, true} {
		p := barePod("web")
		if chosen {
			p.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{"f:nodeName":{}}}`)
		}
		c, kube := newClient(t, p)
		swap(t, c, "po/web", testSpec("web"))
		clone, err := c.getClone(t.Context(), "web")
		if err != nil || len(clone.OwnerReferences) != 0 || clone.Spec.Template.Annotations[lastApplied] != "" ||
			clone.Spec.Template.Labels["app"] != "web" || clone.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyAlways {
			t.Errorf("clone %+v, %v", clone, err)
		}
		if _, err := c.Restore(t.Context(), RestoreOptions{All: true}); err != nil {
			t.Fatal(err)
		}
		now, err := kube.CoreV1().Pods(testNamespace).Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil || (now.Spec.NodeName == "node-1") != chosen || len(now.ManagedFields) != 1 || now.ManagedFields[0].Manager != "kubectl-client-side-apply" {
			t.Errorf("made again on %q, %+v, %v", now.Spec.NodeName, now.ManagedFields, err)
		}
	}
}

// TestPodThatIsThere checks that a pod which has ended is left, and one that
// somebody has made meanwhile too.
func TestPodThatIsThere(t *testing.T) {
	p := barePod("web")
	p.Status.Phase = corev1.PodSucceeded
	c, kube := newClient(t, p)
	swap(t, c, "pod/web", testSpec("web"))
	if done, err := c.Restore(t.Context(), RestoreOptions{Name: "web"}); err != nil || done[0].Scaled || !done[0].Clone {
		t.Errorf("restored %+v, %v", done, err)
	}
	if now, err := kube.CoreV1().Pods(testNamespace).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || now.UID != p.UID {
		t.Errorf("the pod that had ended is %v, %v", now, err)
	}

	c, kube = newClient(t, barePod("web"))
	swap(t, c, "pod/web", testSpec("web"))
	other := barePod("web")
	other.UID, other.Spec.Containers[0].Image = "uid-other", "registry.local/shop:2"
	if _, err := kube.CoreV1().Pods(testNamespace).Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if done, err := c.Restore(t.Context(), RestoreOptions{Name: "web"}); err != nil || done[0].Scaled || !done[0].Clone {
		t.Errorf("restored %+v, %v", done, err)
	}
	if now, err := kube.CoreV1().Pods(testNamespace).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || now.UID != "uid-other" {
		t.Errorf("somebody's pod is %v, %v", now, err)
	}
}

// TestPodInAFullQuota has no room for a pod beside the clone's; in the end it never
// has.
func TestPodInAFullQuota(t *testing.T) {
	for _, roomy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c, kube := newClient(t, barePod("web"))
			before := podNow(t, kube, "web")
			swap(t, c, "pod/web", testSpec("web"))
			tries := 0
			kube.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
				clone, err := kube.Tracker().Get(appsv1.SchemeGroupVersion.WithResource("deployments"), testNamespace, "web-okteto")
				if err != nil {
					t.Error(err)
				} else if *clone.(*appsv1.Deployment).Spec.Replicas == 0 {
					tries++
				}
				full := !roomy || tries < 3
				return full, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "web", errors.New("exceeded quota: room"))
			})
			done, err := c.Restore(t.Context(), RestoreOptions{Name: "web"})
			if roomy {
				if diff := cmp.Diff(before, podNow(t, kube, "web")); err != nil || !done[0].Scaled || diff != "" {
					t.Errorf("restored %+v, %v (-before +after):\n%s", done, err, diff)
				}
				return
			}
			var quota *RefusedError
			if clone, _ := c.getClone(t.Context(), "web"); !errors.As(err, &quota) || quota.By != RefusedQuota || clone == nil {
				t.Errorf("failed with %v, and the clone is %v", err, clone)
			}
		})
	}
}

// TestPodAsService checks that a pod which runs the code of a dev environment by
// itself is one pod, also when it is swapped again, and comes back.
func TestPodAsService(t *testing.T) {
	c, kube := newClient(t, testDeployment("api"), barePod("web"))
	before := podNow(t, kube, "web")
	main := testDev("api")
	for range 2 {
		f, err := c.Find(t.Context(), Query{Name: "pod/web"})
		if err != nil {
			t.Fatal(err)
		}
		s := ServiceSpec(&main, &manifest.Dev{Name: "api", Workload: "pod/web"}, testHolder)
		if plan, err := c.PlanService(f, s); err != nil || len(plan) != 1 {
			t.Errorf("planned %v, %v", plan, err)
		}
		if out, err := c.Swap(t.Context(), f, s); err != nil || out.Pods != 1 || podNow(t, kube, "web") != "" {
			t.Errorf("swapped %+v, %v, with a pod %s", out, err, podNow(t, kube, "web"))
		}
	}
	done, err := c.Restore(t.Context(), RestoreOptions{All: true})
	if err != nil || len(done) != 1 || done[0].Workload != "pod/web" {
		t.Errorf("restored %+v, %v", done, err)
	}
	if diff := cmp.Diff(before, podNow(t, kube, "web")); diff != "" {
		t.Error(diff)
	}
}

// TestPodOfAController names the topmost of those that made a pod.
func TestPodOfAController(t *testing.T) {
	rs, pod := testReplicaSet("api-5d"), barePod("api-5d-x")
	rs.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "api", Controller: new(true)}}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "api-5d", Controller: new(true)}}
	static := barePod("etcd")
	static.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "node-1", Controller: new(true)}}
	c, _ := newClient(t, testDeployment("api"), rs, pod, static)
	for name, by := range map[string]string{"pod/api-5d-x": "deployment/api", "po/etcd": "node/node-1"} {
		var e *MadeError
		if _, err := c.Find(t.Context(), Query{Name: name}); !errors.As(err, &e) || e.By != by {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
