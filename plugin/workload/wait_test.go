package workload

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// script is a cluster whose watches show what a test tells them to.
type script struct {
	*Client
	kube                 *fake.Clientset
	pods, clones, events *watch.FakeWatcher
}

func newScript(t *testing.T, objects ...runtime.Object) *script {
	c, kube := newClient(t, append(objects, testClone())...)
	s := &script{
		Client: c, kube: kube,
		pods: watch.NewFake(), clones: watch.NewFake(), events: watch.NewFake(),
	}
	for resource, w := range map[string]*watch.FakeWatcher{"pods": s.pods, "deployments": s.clones, "events": s.events} {
		kube.PrependWatchReactor(resource, clienttesting.DefaultWatchReactor(w, nil))
	}
	return s
}

// wait runs Wait while the steps are played, and returns what it returned
// and how long it took.
func (s *script) wait(t *testing.T, o WaitOptions, steps ...func(*script)) (*corev1.Pod, time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	go func() {
		for _, step := range steps {
			// Wait has to have taken in the step before.
			synctest.Wait()
			step(s)
		}
	}()
	target := Target{Dev: "api", Clone: "api-okteto", Container: "web", Hash: "h1", Generation: 2, Original: testDeployment("api").Spec.Selector}
	pod, err := s.Wait(ctx, target, o)
	return pod, time.Since(start), err
}

func testClone(edit ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := testDeployment("api-okteto")
	d.Generation = 2
	d.Status.ObservedGeneration = 2
	for _, e := range edit {
		e(d)
	}
	return d
}

func testPod(edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "api-okteto-5d8f-x1", Namespace: testNamespace, UID: "pod-1",
			Labels:          map[string]string{LabelInteractive: "api", "app": "api"},
			Annotations:     map[string]string{AnnotationTemplate: "h1"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "api-okteto-5d8f"}},
		},
		Spec: corev1.PodSpec{
			NodeName:       "node-1",
			InitContainers: []corev1.Container{{Name: config.SidecarContainer, Image: "agent:1"}},
			Containers:     []corev1.Container{{Name: "web", Image: "shop:1"}},
			Volumes: []corev1.Volume{{Name: volumeImage, VolumeSource: corev1.VolumeSource{
				Image: &corev1.ImageVolumeSource{Reference: "shop:1"},
			}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

func initStatus(name string, s corev1.ContainerStatus) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		s.Name = name
		p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, s)
	}
}

func devStatus(s corev1.ContainerStatus) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		s.Name = "web"
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, s)
	}
}

func isRunning() corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func isWaiting(reason, msg string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: msg}}}
}

func hasEnded(code, restarts int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{RestartCount: restarts, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"},
	}}
}

func crashLoop() corev1.ContainerStatus {
	s := isWaiting("CrashLoopBackOff", "back-off 10s restarting failed container")
	s.RestartCount = 1
	s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
	return s
}

func unschedulable(msg string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName = ""
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: msg,
		}}
	}
}

func replicaFailure(msg string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		d.Status.Conditions = []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: msg,
		}}
	}
}

func showPod(edit ...func(*corev1.Pod)) func(*script) {
	return func(s *script) { s.pods.Modify(testPod(edit...)) }
}

func showClone(edit ...func(*appsv1.Deployment)) func(*script) {
	return func(s *script) { s.clones.Modify(testClone(edit...)) }
}

func showEvent(reason, msg string) func(*script) {
	return func(s *script) {
		s.events.Add(&corev1.Event{
			Reason: reason, Message: msg, Type: corev1.EventTypeWarning,
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "api-okteto-5d8f-x1", UID: "pod-1"},
		})
	}
}

func originalPod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: testNamespace, Labels: map[string]string{"app": "api"},
	}}
}

func TestWaitReaches(t *testing.T) {
	sidecar := initStatus(config.SidecarContainer, isRunning())
	tests := []struct {
		name  string
		until Level
		steps []func(*script)
		want  []Stage
	}{
		{"sidecar", Connectable, []func(*script){
			showPod(unscheduledYet), showPod(), showPod(sidecar),
		}, []Stage{Creating, Scheduling, Starting, SidecarRunning}},
		{"dev container", Running, []func(*script){
			showPod(), showPod(sidecar), showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Starting, SidecarRunning, DevRunning}},
		{"pulling", Running, []func(*script){
			showPod(), showEvent("Pulling", `Pulling image "shop:1"`), showEvent("Pulled", `Successfully pulled image "shop:1" in 2s`),
			showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Starting, Pulling, Starting, DevRunning}},
		{"volume", Running, []func(*script){
			showPod(withClaim), showPod(withClaim, sandboxReady), showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Attaching, Starting, DevRunning}},
		{"the pod before", Running, []func(*script){
			showPod(otherTemplate, sidecar, devStatus(isRunning())),
			func(s *script) { s.pods.Delete(testPod(otherTemplate)) },
			showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Ending, Creating, DevRunning}},
		{"deleted in the middle", Running, []func(*script){
			showPod(sidecar), showPod(sidecar, deleting), func(s *script) { s.pods.Delete(testPod(sidecar)) },
			showPod(named("api-okteto-5d8f-x2"), sidecar, devStatus(isRunning())),
		}, []Stage{Creating, SidecarRunning, Replacing, DevRunning}},
		{"evicted", Running, []func(*script){
			showPod(func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" }),
			showPod(named("api-okteto-5d8f-x2"), sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Ending, DevRunning}},
		{"scaled up", Running, []func(*script){
			showPod(unschedulable("0/1 nodes are available")), showEvent("TriggeredScaleUp", "pod triggered scale-up"),
			func(*script) { <-time.After(time.Minute) },
			showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Scheduling, ScalingUp, DevRunning}},
		{"waits for its claim", Running, []func(*script){
			showPod(unschedulable("pod has unbound immediate PersistentVolumeClaims")),
			func(*script) { <-time.After(time.Minute) },
			showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Attaching, DevRunning}},
		{"a volume of another pod", Running, []func(*script){
			addOriginal,
			showPod(unschedulable("0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode.")),
			func(*script) { <-time.After(30 * time.Second) },
			showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Releasing, DevRunning}},
		{"a volume on another node", Running, []func(*script){
			showPod(withClaim),
			showEvent("FailedAttachVolume", `Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) api-7f9c-x0`),
			showPod(withClaim, sandboxReady),
			showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, Attaching, Releasing, Starting, DevRunning}},
		{"old news of the clone", Running, []func(*script){
			showClone(replicaFailure("exceeded quota: pods"), func(d *appsv1.Deployment) { d.Status.ObservedGeneration = 1 }),
			showPod(sidecar, devStatus(isRunning())),
		}, []Stage{Creating, DevRunning}},
		{"watch lost", Running, []func(*script){
			showPod(),
			func(s *script) {
				if err := s.kube.Tracker().Add(testPod(sidecar, devStatus(isRunning()))); err != nil {
					panic(err)
				}
				s.pods.Stop()
			},
		}, []Stage{Creating, Starting, DevRunning}},
		{"watch expired", Running, []func(*script){
			showPod(),
			func(s *script) {
				if err := s.kube.Tracker().Add(testPod(sidecar, devStatus(isRunning()))); err != nil {
					panic(err)
				}
				s.pods.Error(&metav1.Status{Status: metav1.StatusFailure, Code: 410, Reason: metav1.StatusReasonExpired})
			},
		}, []Stage{Creating, Starting, DevRunning}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stages []Stage
				var pods []string
				s := newScript(t)
				pod, _, err := s.wait(t, WaitOptions{Until: tt.until, Progress: func(p Progress) {
					stages, pods = append(stages, p.Stage), append(pods, p.Pod)
				}}, tt.steps...)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, stages); diff != "" {
					t.Errorf("stages: %s", diff)
				}
				if pods[len(pods)-1] != pod.Name {
					t.Errorf("pod %s, last reported %v", pod.Name, pods)
				}
			})
		})
	}
}

func addOriginal(s *script) {
	_, err := s.kube.CoreV1().Pods(testNamespace).Create(context.Background(), originalPod("api-1"), metav1.CreateOptions{})
	must(err)
}

func unscheduledYet(p *corev1.Pod) { p.Spec.NodeName = "" }
func otherTemplate(p *corev1.Pod) {
	p.Annotations[AnnotationTemplate], p.Name, p.UID = "h0", "api-okteto-1111-x0", "pod-0"
}
func deleting(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
func withClaim(p *corev1.Pod) {
	v := corev1.Volume{Name: volumeWorkspace}
	v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "api-okteto"}
	p.Spec.Volumes = append(p.Spec.Volumes, v)
}
func sandboxReady(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
}
func named(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Name, p.UID = name, types.UID(name) }
}

func TestWaitFails(t *testing.T) {
	sidecar := initStatus(config.SidecarContainer, isRunning())
	quota := replicaFailure(`pods "api-okteto-5d8f-x1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1`)
	tests := []struct {
		name    string
		objects []runtime.Object
		steps   []func(*script)
		want    string
		after   time.Duration
	}{
		{name: "dev image", steps: []func(*script){showPod(sidecar, devStatus(isWaiting("ErrImagePull", "not found")))},
			want: `pod api-okteto-5d8f-x1, container web: ErrImagePull "shop:1": not found`},
		{name: "agent image", steps: []func(*script){showPod(initStatus(config.SidecarContainer, isWaiting("ImagePullBackOff", "agent:1 not found")))},
			want: `pod api-okteto-5d8f-x1, container okteto-agent: ImagePullBackOff "agent:1": agent:1 not found`},
		{name: "image volume", steps: []func(*script){showPod(initStatus(config.SidecarContainer, isWaiting("ErrImagePull", "failed to pull shop:1")))},
			want: `pod api-okteto-5d8f-x1, container web: ErrImagePull "shop:1": failed to pull shop:1`},
		{name: "image name", steps: []func(*script){showPod(devStatus(isWaiting("InvalidImageName", "bad")))},
			want: `pod api-okteto-5d8f-x1, container web: InvalidImageName "shop:1": bad`},
		{name: "never pull", steps: []func(*script){showPod(devStatus(isWaiting("ErrImageNeverPull", "absent")))},
			want: `pod api-okteto-5d8f-x1, container web: ErrImageNeverPull "shop:1": absent`},
		{name: "missing secret", steps: []func(*script){showPod(devStatus(isWaiting("CreateContainerConfigError", `secret "s" not found`)))},
			want: `pod api-okteto-5d8f-x1, container web: CreateContainerConfigError: secret "s" not found`},
		{name: "missing config map", steps: []func(*script){
			showPod(), showEvent("FailedMount", `MountVolume.SetUp failed for volume "c": configmap "c" not found`)},
			want: `pod api-okteto-5d8f-x1: FailedMount: MountVolume.SetUp failed for volume "c": configmap "c" not found`},
		{name: "crash loop", steps: []func(*script){showPod(sidecar, devStatus(crashLoop()))},
			want: "pod api-okteto-5d8f-x1, container web: CrashLoopBackOff: exit status 137 (OOMKilled)\nfake logs"},
		{name: "init container", steps: []func(*script){showPod(sidecar, initStatus("migrate", crashLoop()))},
			want: "pod api-okteto-5d8f-x1, container migrate: CrashLoopBackOff: exit status 137 (OOMKilled)\nfake logs"},
		{name: "sidecar ends", steps: []func(*script){showPod(initStatus(config.SidecarContainer, hasEnded(2, 0)))},
			want: "pod api-okteto-5d8f-x1, container okteto-agent: Error: exit status 2\nfake logs"},
		{name: "seed ends", steps: []func(*script){showPod(sidecar, initStatus(config.SeedContainer, hasEnded(1, 0)))},
			want: "pod api-okteto-5d8f-x1, container okteto-seed: Error: exit status 1\nfake logs"},
		{name: "quota", steps: []func(*script){showClone(quota)},
			want:  `refused by the quota: pods "api-okteto-5d8f-x1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1`,
			after: quotaGrace},
		{name: "quota, after the original has gone", objects: []runtime.Object{originalPod("api-1")}, steps: []func(*script){
			showClone(quota), func(s *script) { <-time.After(20 * time.Second) },
			func(s *script) {
				must(s.kube.CoreV1().Pods(testNamespace).Delete(context.Background(), "api-1", metav1.DeleteOptions{}))
			},
		}, want: `refused by the quota: pods "api-okteto-5d8f-x1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1`,
			after: 40 * time.Second},
		{name: "PodSecurity", steps: []func(*script){showClone(replicaFailure(`pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`))},
			want: `refused by the PodSecurity admission: pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`},
		{name: "LimitRange", steps: []func(*script){showClone(replicaFailure(`pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`))},
			want: `refused by the LimitRange: pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`},
		{name: "webhook", steps: []func(*script){showClone(replicaFailure(`admission webhook "policy" denied the request: no`))},
			want: `refused by the admission webhook: admission webhook "policy" denied the request: no`},
		{name: "unschedulable", steps: []func(*script){showPod(unschedulable("0/1 nodes are available: 1 Insufficient cpu"))},
			want: "pod api-okteto-5d8f-x1: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu", after: schedulingGrace},
		{name: "clone deleted", steps: []func(*script){showPod(), func(s *script) { s.clones.Delete(testClone()) }},
			want: "deployment/api-okteto was deleted while waiting for its pod"},
		{name: "deadline", steps: []func(*script){showPod(withClaim), showEvent("FailedAttachVolume", "Multi-Attach error")},
			want: "timed out after 2m0s, waiting for the original's pods to end: a volume of pod api-okteto-5d8f-x1 is still theirs, " +
				"and its access mode allows it one pod or node at a time: Multi-Attach error", after: DefaultWait},
		{name: "no pod", want: "timed out after 2m0s, waiting for the pod to be created", after: DefaultWait},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, took, err := newScript(t, tt.objects...).wait(t, WaitOptions{Until: Running}, tt.steps...)
				if err == nil || err.Error() != tt.want {
					t.Errorf("error  %v\nwanted %s", err, tt.want)
				}
				if took.Truncate(time.Second) != tt.after {
					t.Errorf("it took %s, want %s", took, tt.after)
				}
			})
		})
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestWaitForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		for _, r := range []string{"pods", "events"} {
			s.kube.PrependReactor("list", r, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: r}, "", errors.New(`cannot list resource "`+r+`" in API group ""`))
			})
		}
		_, _, err := s.wait(t, WaitOptions{})
		var f *ForbiddenError
		if !errors.As(err, &f) || f.Rule != (Rule{Verb: "list", Resource: "pods", Namespace: testNamespace}) {
			t.Errorf("error %v", err)
		}
	})
}

// TestWaitForQuota refuses the pod, though the original has gone: the quota does
// not know of it yet.
func TestWaitForQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := newScript(t).wait(t, WaitOptions{Until: Running},
			showClone(replicaFailure("exceeded quota: pods")), func(*script) { <-time.After(time.Second) },
			showPod(initStatus(config.SidecarContainer, isRunning()), devStatus(isRunning())))
		if err != nil {
			t.Error(err)
		}
	})
}

// TestWaitForKilledSidecar starts up in a pod whose containers were killed after
// both had started.
func TestWaitForKilledSidecar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := newScript(t).wait(t, WaitOptions{Until: Running},
			showPod(initStatus(config.SidecarContainer, hasEnded(137, 0)), devStatus(hasEnded(137, 0))),
			showPod(initStatus(config.SidecarContainer, isRunning()), devStatus(isRunning())))
		if err != nil {
			t.Error(err)
		}
	})
}

// TestWaitForRestart checks that a container which ran before may crash: the
// kubelet restarts it.
func TestWaitForRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := newScript(t).wait(t, WaitOptions{Until: Running, Ran: true},
			showPod(initStatus(config.SidecarContainer, hasEnded(137, 0)), devStatus(isRunning())),
			showPod(initStatus(config.SidecarContainer, crashLoop()), devStatus(isRunning())),
			showPod(initStatus(config.SidecarContainer, isRunning()), devStatus(isRunning())))
		if err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, took, err := newScript(t).wait(t, WaitOptions{Until: Running, Ran: true, Timeout: time.Minute},
			showPod(initStatus(config.SidecarContainer, crashLoop())))
		var late *TimeoutError
		if !errors.As(err, &late) || took != time.Minute || !strings.Contains(late.Trouble, "OOMKilled") || late.Blind {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestWaitForWhatMayHeal checks that what keeps a pod from coming back that ran
// before is told, and waited out.
func TestWaitForWhatMayHeal(t *testing.T) {
	for want, step := range map[string]func(*script){
		"waiting for a node for pod api-okteto-5d8f-x1: Unschedulable: 0/1 nodes are available":        showPod(unschedulable("0/1 nodes are available")),
		`waiting for pod api-okteto-5d8f-x1 to start: container web: ErrImagePull "shop:1": not found`: showPod(devStatus(isWaiting("ErrImagePull", "not found"))),
		"waiting for the pod to be created: refused by the quota: exceeded quota: pods":                showClone(replicaFailure("exceeded quota: pods")),
	} {
		synctest.Test(t, func(t *testing.T) {
			var told []string
			options := WaitOptions{Until: Running, Ran: true, Progress: func(p Progress) { told = append(told, p.Whole()) }}
			_, took, err := newScript(t).wait(t, options, step,
				func(*script) { time.Sleep(time.Minute) },
				showClone(), showPod(initStatus(config.SidecarContainer, isRunning()), devStatus(isRunning())))
			if err != nil || took != time.Minute {
				t.Errorf("after %v: %v", took, err)
			}
			if !slices.Contains(told, want) {
				t.Errorf("told was %q, not %q", told, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		_, _, err := newScript(t).wait(t, WaitOptions{Until: Running, Ran: true}, showPod(unschedulable("0/1 nodes are available")))
		var late *TimeoutError
		if !errors.As(err, &late) || !strings.Contains(late.Trouble, "0/1 nodes") {
			t.Errorf("error %v", err)
		}
	})
}

// TestWaitWithoutEvents checks that events are an extra.
func TestWaitWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.kube.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errors.New("no"))
		})
		if _, _, err := s.wait(t, WaitOptions{Until: Running}, showPod(devStatus(isRunning()))); err != nil {
			t.Error(err)
		}
	})
}

// TestWaitServerAway checks that a lost API server is asked again, and named
// at the deadline.
func TestWaitServerAway(t *testing.T) {
	for _, comesBack := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			until := time.Now().Add(10 * time.Second)
			s.kube.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
				return !comesBack || time.Now().Before(until), nil, errors.New("connection refused")
			})
			if comesBack {
				must(s.kube.Tracker().Add(testPod(devStatus(isRunning()))))
			}
			_, _, err := s.wait(t, WaitOptions{Until: Running, Ran: !comesBack})
			if comesBack && err != nil {
				t.Error(err)
			}
			var late *TimeoutError
			if !comesBack && (!errors.As(err, &late) || !late.Blind || !strings.HasSuffix(err.Error(), "looking for the pod: connection refused")) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestWaitUnknownUser ends at once when the server does not know the user, who
// may log in again and wait anew.
func TestWaitUnknownUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.kube.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewUnauthorized("who?")
		})
		if _, took, err := s.wait(t, WaitOptions{Ran: true}); !apierrors.IsUnauthorized(err) || took != 0 {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func TestWaitCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if _, err := s.Wait(ctx, Target{Dev: "api", Clone: "api-okteto"}, WaitOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// TestWaitAgain waits for a clone whose earlier template was refused: what is
// said of that one is no failure, unless it stays.
func TestWaitAgain(t *testing.T) {
	old := showClone(replicaFailure(`admission webhook "policy" denied the request: no such volume`))
	target := Target{Dev: "api", Clone: "api-okteto", Container: "web", Hash: "h1", Generation: 2, Again: true}
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		go func() {
			old(s)
			time.Sleep(time.Second)
			showClone()(s)
			showPod(initStatus(config.SidecarContainer, isRunning()), devStatus(isRunning()))(s)
		}()
		if _, err := s.Wait(t.Context(), target, WaitOptions{Until: Running}); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		go old(s)
		start := time.Now()
		_, err := s.Wait(t.Context(), target, WaitOptions{Until: Running})
		var refused *RefusedError
		if !errors.As(err, &refused) || time.Since(start) != settle {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
