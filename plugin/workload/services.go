package workload

import (
	"context"
	"errors"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PlanService returns what Swap would write for a service, as Plan does.
func (c *Client) PlanService(f *Found, s Spec) ([]Planned, error) {
	s.Armed, s.Least, s.Scalers = s.Dev.AutoDown, f.Least, pausable(f.Workload, f.Autoscalers)
	r, err := Clone(f.Workload, f.Clone, s)
	if err != nil {
		return nil, err
	}
	clone, err := planned(r.Clone, Planned{rule: Deployment.rule("patch"), patch: types.ApplyPatchType})
	if err != nil {
		return nil, err
	}
	plan, err := planAutoDown(f.Workload, &s)
	if err != nil {
		return nil, err
	}
	original, err := c.planOriginal(f, &s)
	return slices.Concat(plan, []Planned{clone}, original), err
}

// TiedToOneNode tells of a failed wait for a service's pod whether it has no node
// and may be on no other than the dev environment's.
func TiedToOneNode(err error, s *Spec) bool {
	var e *PodError
	return errors.As(err, &e) && e.Reason == corev1.PodReasonUnschedulable && forOneNode(s.Main) && shares(s)
}

// shares tells whether a service has folders of the dev environment's claim.
func shares(s *Spec) bool {
	return len(s.Dev.Shared) > 0 || slices.ContainsFunc(s.Beside, func(d *manifest.Dev) bool { return len(d.Shared) > 0 })
}

// ServiceState is how a service of a dev environment is.
type ServiceState struct {
	// Workload is the original as kind/name.
	Workload string `json:"workload"`
	// Ready is the number of its pods that are ready, of the wanted Replicas.
	Ready    int32 `json:"ready"`
	Replicas int32 `json:"replicas"`
}

// servicesOf returns the services among environments that belong to one.
func servicesOf(envs []Environment, dev string) []ServiceState {
	var all []ServiceState
	for _, e := range envs {
		if e.service() && e.Dev == dev && e.Clone != nil {
			all = append(all, ServiceState{
				Workload: ref(e.Kind, e.Name), Ready: e.Clone.Status.ReadyReplicas, Replicas: count(e.Clone.Spec.Replicas),
			})
		}
	}
	return all
}

// RestartServices deletes the pods of a dev environment's services, for which
// others are made, and returns how many they were.
func (c *Client) RestartServices(ctx context.Context, dev string) (int, error) {
	pods := c.Kube.CoreV1().Pods(c.Namespace)
	l, err := pods.List(ctx, metav1.ListOptions{LabelSelector: LabelDetached + "=" + dev})
	if err != nil {
		return 0, c.wrap(err, core("list", "pods"), "")
	}
	n := 0
	for _, p := range l.Items {
		if p.DeletionTimestamp != nil {
			continue
		}
		err := pods.Delete(ctx, p.Name, deleteOptions(p.UID))
		if unlessGone(err) != nil {
			return n, c.wrap(err, core("delete", "pods"), p.Name)
		}
		if deleted(err) {
			n++
		}
	}
	return n, nil
}
