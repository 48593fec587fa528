package workload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTerminatedIgnoresEarlierEnds(t *testing.T) {
	// The kubelet's times are whole seconds, a runner's are not.
	ran := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	ended := func(at time.Time) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, FinishedAt: metav1.NewTime(at.Truncate(time.Second))}
	}
	for name, test := range map[string]struct {
		now, last *corev1.ContainerStateTerminated
		found     bool
	}{
		"never":                    {nil, nil, false},
		"now":                      {ended(ran.Add(time.Minute)), nil, true},
		"now, after an earlier":    {ended(ran.Add(time.Minute)), ended(ran.Add(-time.Minute)), true},
		"runs again":               {nil, ended(ran.Add(time.Minute)), true},
		"in the second it started": {nil, ended(ran.Add(100 * time.Millisecond)), true},
		"not told yet":             {nil, ended(ran.Add(-time.Minute)), false},
	} {
		p := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "other", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}},
			{
				Name: "main", State: corev1.ContainerState{Terminated: test.now},
				LastTerminationState: corev1.ContainerState{Terminated: test.last},
			},
		}}}
		if got := terminated(p, "main", ran); (got != nil) != test.found {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestEnding(t *testing.T) {
	now := metav1.Now()
	evicted := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting"}
	for want, p := range map[string]corev1.Pod{
		"":                         {Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{evicted}}},
		"its pod is being deleted": {ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}},
		"its pod is being deleted: Eviction API: evicting": {
			ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{evicted}},
		},
		"its pod has ended": {Status: corev1.PodStatus{Phase: corev1.PodSucceeded}},
		"its pod has failed: Evicted: The node was low on resource: memory": {
			Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory. "},
		},
	} {
		if got := ending(&p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestSidecarTakesTheImagesUser swaps a workload that must not run as root and
// leaves its user to the image: the sidecar is the user that the original's pod
// runs as, and stays so when that pod is gone.
func TestSidecarTakesTheImagesUser(t *testing.T) {
	d := testDeployment("api")
	d.Spec.Template.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true)}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "api-1", Namespace: testNamespace, Labels: d.Spec.Template.Labels}}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "proxy", User: &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: 1337}}},
		{Name: "web", User: &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: 1000}}},
	}
	c, _ := newClient(t, d, pod)
	for _, round := range []string{"first", "second"} {
		f, err := c.Find(t.Context(), Query{Name: "api", Dev: "api"})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := c.Plan(t.Context(), f, testSpec("api"), Claimant{Dev: "api", Holder: testHolder})
		if err != nil {
			t.Fatal(err)
		}
		var said string
		for _, p := range plan {
			said += fmt.Sprint(p.Object.Object)
		}
		if !strings.Contains(said, "runAsUser:1000") {
			t.Errorf("before the %s swap the plan says %s", round, said)
		}
		if _, err := c.Swap(t.Context(), f, testSpec("api")); err != nil {
			t.Fatal(err)
		}
		clone, err := c.Kube.AppsV1().Deployments(testNamespace).Get(t.Context(), "api-okteto", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(new(int64(1000)), clone.Spec.Template.Spec.InitContainers[0].SecurityContext.RunAsUser); diff != "" {
			t.Errorf("the sidecar's user after the %s swap: %s", round, diff)
		}
		if err := c.Kube.CoreV1().Pods(testNamespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWorkdir asks for the working directory of the container to develop in.
func TestWorkdir(t *testing.T) {
	d := testDeployment("api")
	d.Spec.Template.Annotations = map[string]string{annotationDefaultContainer: "web"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "proxy", WorkingDir: "/proxy"}, {Name: "web", WorkingDir: "/srv"}}
	c, _ := newClient(t, d)
	if got := c.Workdir(t.Context(), FromDeployment(d)); got != "/srv" {
		t.Errorf("got %q", got)
	}
}
