package workload

import appsv1 "k8s.io/api/apps/v1"

// FromDeployment returns the workload that a Deployment is.
func FromDeployment(d *appsv1.Deployment) *Workload {
	return &Workload{
		Kind:     Deployment,
		Meta:     d.ObjectMeta,
		Replicas: count(d.Spec.Replicas),
		Selector: d.Spec.Selector,
		Template: d.Spec.Template,
		Ready:    d.Status.ReadyReplicas,
	}
}

// FromStatefulSet returns the workload that a StatefulSet is.
func FromStatefulSet(s *appsv1.StatefulSet) *Workload {
	st := &Stateful{Service: s.Spec.ServiceName, Claims: s.Spec.VolumeClaimTemplates}
	if s.Spec.Ordinals != nil {
		st.Ordinal = s.Spec.Ordinals.Start
	}
	if p := s.Spec.PersistentVolumeClaimRetentionPolicy; p != nil {
		st.DeletesClaims = p.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	}
	return &Workload{
		Kind:     StatefulSet,
		Meta:     s.ObjectMeta,
		Replicas: count(s.Spec.Replicas),
		Selector: s.Spec.Selector,
		Template: s.Spec.Template,
		Ready:    s.Status.ReadyReplicas,
		Stateful: st,
	}
}

// FromReplicaSet returns the workload that a ReplicaSet is.
func FromReplicaSet(s *appsv1.ReplicaSet) *Workload {
	return &Workload{
		Kind:     ReplicaSet,
		Meta:     s.ObjectMeta,
		Replicas: count(s.Spec.Replicas),
		Selector: s.Spec.Selector,
		Template: s.Spec.Template,
		Ready:    s.Status.ReadyReplicas,
	}
}

// FromDaemonSet returns the workload that a DaemonSet is. Its replicas are the
// nodes that it runs on, as far as its controller has told.
func FromDaemonSet(s *appsv1.DaemonSet) *Workload {
	w := &Workload{
		Kind:     DaemonSet,
		Meta:     s.ObjectMeta,
		Replicas: s.Status.DesiredNumberScheduled,
		Selector: s.Spec.Selector,
		Template: s.Spec.Template,
		Ready:    s.Status.NumberReady,
	}
	w.Template.Spec.NodeSelector, w.Nowhere = lessNowhere(s.Spec.Template.Spec.NodeSelector)
	if w.Nowhere {
		w.Replicas = 0
	}
	return w
}

// count returns what a nil replica count means to the API server.
func count(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
