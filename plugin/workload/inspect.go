package workload

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// Holder returns who holds the dev environment's Lease at the moment; empty
// when nobody does.
func (f *Found) Holder() string {
	if f.Lease == nil {
		return ""
	}
	return deref(f.Lease.Spec.HolderIdentity, "")
}

// The API server learns of a container's end from the kubelet, about a second
// later: how long to wait for that, and how often to ask.
const (
	terminationPatience = 10 * time.Second
	terminationInterval = 100 * time.Millisecond
	// evictionPatience is how long after the end of a container that was told to
	// end its pod may be said to have failed.
	evictionPatience = 2 * time.Second
)

// Termination says in a few words why a container ended that ran at a moment:
// OOMKilled, or its reason and exit code, or that its pod ends as a whole. It waits
// a moment for the kubelet to tell; empty when that does not, or cannot be asked.
func (c *Client) Termination(ctx context.Context, pod, container string, ran time.Time) (reason string, ends bool) {
	ctx, cancel := context.WithTimeout(ctx, terminationPatience)
	defer cancel()
	var good time.Time // when it was first seen to have ended well
	for {
		p, err := c.Kube.CoreV1().Pods(c.Namespace).Get(ctx, pod, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return "its pod was deleted", true
		case err != nil:
			return "", false
		}
		if reason := ending(p); reason != "" {
			if p.Status.Phase == corev1.PodSucceeded {
				reason += c.evicted(ctx, pod)
			}
			return reason, true
		}
		if t := terminated(p, container, ran); t != nil {
			if t.ExitCode == 0 && good.IsZero() {
				good = time.Now()
			}
			if t.ExitCode != 0 || time.Since(good) > evictionPatience {
				return fmt.Sprintf("%s, exit code %d", t.Reason, t.ExitCode), false
			}
		}
		select {
		case <-ctx.Done():
			return "", false
		case <-time.After(terminationInterval):
		}
	}
}

// evicted says, as the end of a sentence, why a pod was evicted of whose status that
// is no part any more; empty when it was not, or nobody may be told.
func (c *Client) evicted(ctx context.Context, pod string) string {
	of := fields.Set{"involvedObject.name": pod, "reason": "Evicted"}.String()
	l, err := c.Kube.CoreV1().Events(c.Namespace).List(ctx, metav1.ListOptions{FieldSelector: of})
	if err != nil || len(l.Items) == 0 {
		return ""
	}
	return ": Evicted: " + strings.TrimRight(l.Items[0].Message, ". ")
}

// ending says why a pod ends as a whole, in the words of whoever ends it where
// those are known, as an eviction's are; empty while it does not.
func ending(p *corev1.Pod) string {
	var by string
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			by = c.Message
		}
	}
	parts := []string{"its pod is being deleted", by}
	switch {
	case p.Status.Phase == corev1.PodFailed:
		parts = []string{"its pod has failed", p.Status.Reason, cmp.Or(p.Status.Message, by)}
	case p.Status.Phase == corev1.PodSucceeded: // all ended well when they were told to
		parts = []string{"its pod has ended"}
	case p.DeletionTimestamp == nil:
		return ""
	}
	said := slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.TrimRight(strings.Join(said, ": "), ". ")
}

// terminated finds the end of a container in what the kubelet has told; nil when it
// is not there.
func terminated(p *corev1.Pod, container string, ran time.Time) *corev1.ContainerStateTerminated {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if s.Name != container {
			continue
		}
		for _, t := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
			// The kubelet tells whole seconds. An older end is an earlier
			// container's.
			if t != nil && !t.FinishedAt.Time.Before(ran.Truncate(time.Second)) {
				return t
			}
		}
	}
	return nil
}

// Workdir returns the working directory of a workload's container, that in
// which one develops unless the manifest names another: the spec's, else what a
// running pod says when it is asked. Empty when neither tells: an image without
// the program pwd keeps it to itself.
func (c *Client) Workdir(ctx context.Context, w *Workload) string {
	i, err := containerIndex(w, "")
	if err != nil {
		return ""
	}
	container := &w.Template.Spec.Containers[i]
	if container.WorkingDir != "" {
		return container.WorkingDir
	}
	pod := c.runningPod(ctx, w)
	if pod == nil {
		return ""
	}
	out, err := c.Exec(ctx, pod.Name, container.Name, []string{"pwd"}, nil)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// runningPod returns a pod of the original that runs; nil when none is found.
func (c *Client) runningPod(ctx context.Context, w *Workload) *corev1.Pod {
	if w.pod != nil {
		p, err := c.Kube.CoreV1().Pods(c.Namespace).Get(ctx, w.Meta.Name, metav1.GetOptions{})
		if err != nil || p.Status.Phase != corev1.PodRunning {
			return nil
		}
		return p
	}
	if w.Selector == nil {
		return nil
	}
	pods, err := c.Kube.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: metav1.FormatLabelSelector(w.Selector),
	})
	if err != nil {
		return nil
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && p.Labels[LabelInteractive] == "" {
			return p
		}
	}
	return nil
}

// imageUser returns the user by number that the image of the dev container
// has, where that decides as whom the sidecar has to run: the kubelet tells of
// the original's pod, from Kubernetes 1.33. nil when it is not needed or known.
func (c *Client) imageUser(ctx context.Context, f *Found, dev *manifest.Dev) *int64 {
	w := f.Workload
	i, err := containerIndex(w, dev.Container)
	if err != nil || f.Clone != nil || dev.Image != "" {
		return nil
	}
	container := &w.Template.Spec.Containers[i]
	if !userLeftToImage(mergeSecurity(container.SecurityContext, dev.Pod.SecurityContext), w.Template.Spec.SecurityContext) {
		return nil
	}
	pod := c.runningPod(ctx, w)
	if pod == nil {
		return nil
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container.Name && s.User != nil && s.User.Linux != nil {
			return &s.User.Linux.UID
		}
	}
	return nil
}

// ServiceByLabels returns the name of the first Service that has the labels.
func (c *Client) ServiceByLabels(ctx context.Context, labels map[string]string) (string, error) {
	selector := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels})
	services, err := c.Kube.CoreV1().Services(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return "", c.wrap(err, core("list", "services"), "")
	}
	if len(services.Items) == 0 {
		return "", fmt.Errorf("no service in namespace %q has the labels %s", c.Namespace, selector)
	}
	return services.Items[0].Name, nil
}
