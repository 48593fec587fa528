package workload

import (
	"maps"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FromJob returns the workload that a Job is. One that is not suspended counts
// as one replica, and as ready, because its pods may have ended.
func FromJob(j *batchv1.Job) *Workload {
	w := &Workload{
		Kind:     Job,
		Meta:     j.ObjectMeta,
		Replicas: unlessSuspended(j.Spec.Suspend),
		Selector: j.Spec.Selector,
		Template: j.Spec.Template,
	}
	w.Template.Labels = lessJobLabels(w.Template.Labels)
	w.Ready = w.Replicas
	return w
}

// FromCronJob returns the workload that a CronJob is. It has no pods of its
// own, and so neither a selector nor any to wait for.
func FromCronJob(j *batchv1.CronJob) *Workload {
	w := &Workload{
		Kind:     CronJob,
		Meta:     j.ObjectMeta,
		Replicas: unlessSuspended(j.Spec.Suspend),
		Template: j.Spec.JobTemplate.Spec.Template,
	}
	w.Ready = w.Replicas
	return w
}

func unlessSuspended(suspend *bool) int32 {
	if deref(suspend, false) {
		return 0
	}
	return 1
}

// lessJobLabels returns labels without those by which a Job finds its pods: the
// API server adds them to the Job's template, and its labels.
func lessJobLabels(labels map[string]string) map[string]string {
	added := []string{
		batchv1.ControllerUidLabel, batchv1.JobNameLabel,
		// What they were called before.
		"controller-uid", "job-name",
	}
	labels = maps.Clone(labels)
	maps.DeleteFunc(labels, func(k, _ string) bool { return slices.Contains(added, k) })
	return labels
}

// cloneSelector returns what a workload's selector asks of its clone's pods.
func cloneSelector(w *Workload) *metav1.LabelSelector {
	if w.Selector == nil {
		return &metav1.LabelSelector{}
	}
	s := w.Selector.DeepCopy()
	s.MatchLabels = lessJobLabels(s.MatchLabels)
	return s
}
