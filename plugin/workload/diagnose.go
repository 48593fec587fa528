package workload

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// view is what Wait knows. It is pure: what was seen goes in, a verdict comes
// out.
type view struct {
	target Target
	pods   map[types.UID]*corev1.Pod
	clone  *appsv1.Deployment
	// cloneSeen is true once the clone, or that it is gone, was seen.
	cloneSeen bool
	facts     map[types.UID]*facts
	// had is the last pod that was on its way.
	had types.UID
	// trouble is the last that went wrong without ending the wait.
	trouble string
}

// facts are what events tell about a pod.
type facts struct {
	pulling string
	// held is true when a volume is attached to another node.
	held bool
	// scalesUp is true when the cluster makes room for the pod.
	scalesUp bool
	// failed is a failure that no waiting heals.
	failed *PodError
}

// verdict is what the view means.
type verdict struct {
	progress Progress
	pod      *corev1.Pod
	done     bool
	err      error
	// grace is how long err may heal by itself before it is a failure; 0 for not
	// at all.
	grace time.Duration
}

func newView(t Target) *view {
	return &view{target: t, pods: map[types.UID]*corev1.Pod{}, facts: map[types.UID]*facts{}}
}

// add takes in what a source saw.
func (v *view) add(s sighting) {
	switch s.rule.Resource {
	case "pods":
		if s.kind == listed {
			clear(v.pods)
		}
	case Deployment.rule("").Resource:
		if s.kind == listed {
			v.clone, v.cloneSeen = nil, true
		}
	}
	for _, o := range s.objs {
		switch o := o.(type) {
		case *corev1.Pod:
			switch {
			case !podOf(o, v.target.Clone):
			case s.kind == watch.Deleted:
				delete(v.pods, o.UID)
			default:
				v.pods[o.UID] = o
			}
		case *appsv1.Deployment:
			switch {
			case o.Name != v.target.Clone:
			case s.kind == watch.Deleted:
				v.clone, v.cloneSeen = nil, true
			default:
				v.clone, v.cloneSeen = o, true
			}
		case *corev1.Event:
			v.addEvent(o)
		}
	}
}

// podOf tells whether a pod is made by a ReplicaSet of the clone.
func podOf(p *corev1.Pod, clone string) bool {
	return slices.ContainsFunc(p.OwnerReferences, func(r metav1.OwnerReference) bool {
		return r.Kind == "ReplicaSet" && strings.HasPrefix(r.Name, clone+"-")
	})
}

func (v *view) addEvent(e *corev1.Event) {
	o := e.InvolvedObject
	if o.Kind == "PersistentVolumeClaim" && e.Type == corev1.EventTypeWarning && v.claims(o.Name) {
		v.trouble = e.Message
		return
	}
	if o.Kind != "Pod" || !strings.HasPrefix(o.Name, v.target.Clone+"-") {
		return
	}
	f := v.facts[o.UID]
	if f == nil {
		f = &facts{}
		v.facts[o.UID] = f
	}
	switch e.Reason {
	case "Pulling":
		f.pulling = quoted(e.Message)
	case "Pulled":
		f.pulling = ""
	case "TriggeredScaleUp":
		f.scalesUp = true
	case "Scheduled":
		v.trouble = ""
	case reasonFailedMount, "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume", "NotTriggerScaleUp":
		v.trouble = e.Message
		f.held = f.held || strings.HasPrefix(e.Message, "Multi-Attach error")
		if e.Reason == reasonFailedMount && (missingObject(e.Message) || unknownVolume(e.Message)) {
			f.failed = &PodError{Pod: o.Name, Reason: e.Reason, Message: e.Message}
		}
	}
}

// claims tells whether a pod that is waited for uses the claim.
func (v *view) claims(name string) bool {
	for _, p := range v.pods {
		for _, vol := range p.Spec.Volumes {
			if vol.PersistentVolumeClaim != nil && vol.PersistentVolumeClaim.ClaimName == name {
				return true
			}
		}
	}
	return false
}

// quoted returns the first quoted text of a message, which is the image in
// the kubelet's events.
func quoted(msg string) string {
	_, rest, _ := strings.Cut(msg, `"`)
	image, _, _ := strings.Cut(rest, `"`)
	return image
}

// missingObject tells that a mount fails because a Secret or ConfigMap does
// not exist.
func missingObject(msg string) bool {
	return regexp.MustCompile(`(secret|configmap) "[^"]+" not found`).MatchString(msg)
}

// verdict decides.
func (v *view) verdict(until Level) verdict {
	if v.cloneSeen && (v.clone == nil || v.clone.DeletionTimestamp != nil) {
		return verdict{err: &GoneError{Clone: v.target.Clone}}
	}
	pod := v.current()
	if pod == nil {
		return v.withoutPod()
	}
	v.had = pod.UID
	f := v.facts[pod.UID]
	if f == nil {
		f = &facts{}
	}
	p := Progress{Pod: pod.Name, Node: pod.Spec.NodeName}
	p.Stage = Starting
	if e := containerFailure(pod); e != nil {
		return verdict{progress: p, pod: pod, err: e}
	}
	if f.failed != nil && pod.Status.Phase == corev1.PodPending {
		return verdict{progress: p, pod: pod, err: f.failed}
	}
	sidecar := running(pod.Status.InitContainerStatuses, config.SidecarContainer)
	dev := running(pod.Status.ContainerStatuses, v.devContainer(pod))
	switch {
	case dev:
		p.Stage = DevRunning
		return verdict{progress: p, pod: pod, done: true}
	case sidecar:
		p.Stage = SidecarRunning
		if f.pulling != "" {
			p.Stage, p.Image = Pulling, f.pulling
		}
		return verdict{progress: p, pod: pod, done: until == Connectable}
	case pod.Spec.NodeName == "":
		return v.unscheduled(pod, f, p)
	case f.pulling != "":
		p.Stage, p.Image = Pulling, f.pulling
	case hasClaim(pod) && !sandboxed(pod):
		p.Stage = Attaching
		if f.held {
			p.Stage = Releasing
		}
	}
	return verdict{progress: p, pod: pod}
}

// current returns the newest pod of the target that is not being deleted and
// has not ended as a whole, as one does that its node evicts or refuses:
// another is made in its place.
func (v *view) current() *corev1.Pod {
	var newest *corev1.Pod
	for _, p := range v.pods {
		if v.target.Hash != "" && p.Annotations[AnnotationTemplate] != v.target.Hash {
			continue
		}
		if p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
			v.trouble = strings.TrimSpace(fmt.Sprintf("pod %s has ended: %s %s", p.Name, p.Status.Reason, p.Status.Message))
			continue
		}
		if p.DeletionTimestamp != nil {
			continue
		}
		if newest == nil || newest.CreationTimestamp.Before(&p.CreationTimestamp) {
			newest = p
		}
	}
	return newest
}

// withoutPod says why there is no pod yet.
func (v *view) withoutPod() verdict {
	if v.clone != nil && v.clone.Status.ObservedGeneration >= v.target.Generation {
		for _, c := range v.clone.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
				e := &RefusedError{By: refusalOf(c.Message), Message: c.Message}
				v.trouble = e.Error()
				r := verdict{progress: Progress{Stage: Creating}, err: e}
				switch {
				case e.By == RefusedQuota:
					r.grace = quotaGrace
				case v.target.Again:
					r.grace = settle
				}
				return r
			}
		}
	}
	switch {
	case v.had != "":
		return verdict{progress: Progress{Stage: Replacing}}
	case len(v.pods) > 0:
		return verdict{progress: Progress{Stage: Ending}}
	}
	return verdict{progress: Progress{Stage: Creating}}
}

// unscheduled says why the pod has no node yet.
func (v *view) unscheduled(pod *corev1.Pod, f *facts, p Progress) verdict {
	p.Stage = Scheduling
	if f.scalesUp {
		p.Stage = ScalingUp
		return verdict{progress: p, pod: pod}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse {
			continue
		}
		v.trouble = c.Message
		if strings.Contains(c.Message, "unbound immediate PersistentVolumeClaims") || strings.Contains(c.Message, "waiting for first consumer") {
			p.Stage = Attaching
			return verdict{progress: p, pod: pod}
		}
		if strings.Contains(c.Message, string(corev1.ReadWriteOncePod)) {
			p.Stage = Releasing
		}
		e := &PodError{Pod: pod.Name, Reason: c.Reason, Message: c.Message}
		return verdict{progress: p, pod: pod, err: e, grace: schedulingGrace}
	}
	return verdict{progress: p, pod: pod}
}

// containerFailure returns the first failure of a container.
func containerFailure(pod *corev1.Pod) *PodError {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		e := &PodError{Pod: pod.Name, Container: s.Name}
		if w := s.State.Waiting; w != nil {
			e.Reason, e.Message = w.Reason, w.Message
			switch w.Reason {
			case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
				"ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
				e.Container, e.Image = failedImage(pod, s.Name, w.Message)
				return e
			case "CreateContainerConfigError":
				if strings.Contains(w.Message, "failed to sync") {
					// The kubelet's cache is behind; it tries again.
					continue
				}
				return e
			case "CreateContainerError", "RunContainerError", "PostStartHookError", "PreCreateHookError", "PreStartHookError":
				e.crashed = w.Reason == "PostStartHookError"
				return e
			case "CrashLoopBackOff":
				e.crashed = true
				if t := s.LastTerminationState.Terminated; t != nil {
					e.Message = ended(t)
				}
				return e
			}
		}
		// Our own containers have no reason to fail at their first start. One
		// that is killed later is started again.
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 && s.RestartCount == 0 &&
			(s.Name == config.SidecarContainer || s.Name == config.SeedContainer) {
			e.Reason, e.Message, e.crashed, e.ran = t.Reason, ended(t), true, started(pod)
			return e
		}
	}
	return nil
}

// started tells whether a container of the pod ran, which comes after all that
// the init containers do.
func started(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.State.Running != nil || s.State.Terminated != nil || s.RestartCount > 0
	})
}

// ended says how a container ended.
func ended(t *corev1.ContainerStateTerminated) string {
	msg := fmt.Sprintf("exit status %d", t.ExitCode)
	if t.Reason != "" && t.Reason != "Error" {
		msg += " (" + t.Reason + ")"
	}
	if t.Message != "" {
		msg += ": " + strings.TrimSpace(t.Message)
	}
	return msg
}

// failedImage returns the image that cannot be pulled and the container that
// it is for. The sidecar also waits for the dev container's, which is one of
// its volumes.
func failedImage(pod *corev1.Pod, container, msg string) (name, image string) {
	for _, v := range pod.Spec.Volumes {
		if v.Image == nil || container != config.SidecarContainer || !strings.Contains(msg, v.Image.Reference) {
			continue
		}
		for _, c := range pod.Spec.Containers {
			if c.Image == v.Image.Reference {
				return c.Name, c.Image
			}
		}
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == container {
			return container, c.Image
		}
	}
	return container, ""
}

func running(statuses []corev1.ContainerStatus, name string) bool {
	return slices.ContainsFunc(statuses, func(s corev1.ContainerStatus) bool {
		return s.Name == name && s.State.Running != nil
	})
}

func (v *view) devContainer(pod *corev1.Pod) string {
	if v.target.Container == "" && len(pod.Spec.Containers) > 0 {
		return pod.Spec.Containers[0].Name
	}
	return v.target.Container
}

func hasClaim(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil })
}

// sandboxed tells whether the pod's volumes are mounted and its network is
// made.
func sandboxed(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue
	})
}
