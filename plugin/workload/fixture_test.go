package workload

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const (
	testNamespace = "shop"
	testKey       = "ssh-ed25519 AAAA ann@laptop"
	testHolder    = "ann@laptop/1"
)

func newClient(t *testing.T, objects ...runtime.Object) (*Client, *fake.Clientset) {
	t.Helper()
	kube := fake.NewClientset(objects...)
	// A server that has no kinds at all is none to discovery.
	kube.Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "pods", Kind: "Pod", Namespaced: true}}}}
	return &Client{Kube: kube, Mapper: NewMapper(kube.Discovery()), Namespace: testNamespace, Now: func() time.Time {
		return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	}}, kube
}

// testDeployment is a Deployment as the API server returns one that kubectl
// create made.
func testDeployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: testNamespace, UID: types.UID("uid-" + name),
			Labels: map[string]string{"team": "shop"},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(3)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "web", Image: "registry.local/shop:1",
				}}},
			},
		},
	}
}

func testStatefulSet(name string) *appsv1.StatefulSet {
	d := testDeployment(name)
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: d.ObjectMeta,
		Spec: appsv1.StatefulSetSpec{
			Replicas: d.Spec.Replicas, Selector: d.Spec.Selector, Template: d.Spec.Template,
			ServiceName: name + "-headless",
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
			}},
		},
	}
}

func testReplicaSet(name string) *appsv1.ReplicaSet {
	d := testDeployment(name)
	return &appsv1.ReplicaSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"},
		ObjectMeta: d.ObjectMeta,
		Spec:       appsv1.ReplicaSetSpec{Replicas: d.Spec.Replicas, Selector: d.Spec.Selector, Template: d.Spec.Template},
	}
}

// testDaemonSet runs on three nodes.
func testDaemonSet(name string) *appsv1.DaemonSet {
	d := testDeployment(name)
	d.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "edge"}
	return &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: d.ObjectMeta,
		Spec:       appsv1.DaemonSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template},
		Status:     appsv1.DaemonSetStatus{DesiredNumberScheduled: *d.Spec.Replicas},
	}
}

// testJob is a Job as the API server returns one: with a selector, and labels
// that it has added.
func testJob(name string) *batchv1.Job {
	d := testDeployment(name)
	added := map[string]string{
		"batch.kubernetes.io/controller-uid": string(d.UID), "batch.kubernetes.io/job-name": name,
		"controller-uid": string(d.UID), "job-name": name,
	}
	maps.Copy(d.Spec.Template.Labels, added)
	maps.Copy(d.Labels, added)
	d.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: d.ObjectMeta,
		Spec: batchv1.JobSpec{
			Suspend:  new(false),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"batch.kubernetes.io/controller-uid": string(d.UID)}},
			Template: d.Spec.Template,
		},
	}
}

func testCronJob(name string) *batchv1.CronJob {
	d := testDeployment(name)
	d.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	return &batchv1.CronJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"},
		ObjectMeta: d.ObjectMeta,
		Spec: batchv1.CronJobSpec{
			Schedule: "@daily", Suspend: new(false),
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: d.Spec.Template}},
		},
	}
}

// known is what is known of a kind that every cluster has.
func known(k Kind) traits {
	t, _ := k.traits()
	return t
}

// testObject returns an object of any kind.
func testObject(kind Kind, name string) runtime.Object {
	switch kind {
	case StatefulSet:
		return testStatefulSet(name)
	case ReplicaSet:
		return testReplicaSet(name)
	case DaemonSet:
		return testDaemonSet(name)
	case Job:
		return testJob(name)
	case CronJob:
		return testCronJob(name)
	}
	return testDeployment(name)
}

func testDev(name string) manifest.Dev {
	return manifest.Dev{Name: name, Sync: []manifest.SyncFolder{{Local: "/home/ann/shop", Remote: "/app"}}}
}

func testSpec(name string) Spec {
	return Spec{
		Dev: testDev(name), AgentImage: "agent:1", AuthorizedKey: testKey,
		Holder: testHolder, ImageVolumes: true,
	}
}

// swap finds and swaps a workload.
func swap(t *testing.T, c *Client, name string, s Spec) *Swapped {
	t.Helper()
	f, err := c.Find(t.Context(), Query{Name: name, Dev: s.Dev.Name})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Swap(t.Context(), f, s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newContext is for helpers that property tests share, which have no context
// of their own.
func newContext() context.Context { return context.Background() }

func joined(s []string) string { return strings.Join(s, " ") }

// stop is a plugin that is killed between two of its writes.
type stop struct {
	kube   *fake.Clientset
	chain  []clienttesting.Reactor // of before
	killed error
}

func newStop(kube *fake.Clientset) *stop {
	return &stop{kube: kube, chain: slices.Clone(kube.ReactionChain), killed: errors.New("killed")}
}

// after lets so many writes through, and none that follows.
func (s *stop) after(writes int) {
	s.kube.PrependReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if !slices.Contains([]string{"patch", "create", "delete"}, a.GetVerb()) {
			return false, nil, nil
		}
		if writes--; writes < 0 {
			return true, nil, s.killed
		}
		return false, nil, nil
	})
}

// completed tells whether all was written, by the error that came of it, and lets
// writes through again.
func (s *stop) completed(t *testing.T, err error) bool {
	t.Helper()
	s.kube.ReactionChain = s.chain
	if err != nil && !errors.Is(err, s.killed) {
		t.Fatal(err)
	}
	return err == nil
}
