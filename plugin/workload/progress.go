package workload

import "fmt"

// Stage is how far a dev pod is.
type Stage int

// The stages, in their usual order.
const (
	// Creating means that there is no pod yet.
	Creating Stage = iota + 1
	// Looking means that there was one, and nobody has seen yet what became of it.
	Looking
	// Ending means that the pod of the template before is still there.
	Ending
	// Replacing means that the pod was deleted and another is on its way.
	Replacing
	// Scheduling means that the pod has no node yet.
	Scheduling
	// ScalingUp means that the cluster makes a node for the pod.
	ScalingUp
	// Attaching means that a volume is being bound, attached or mounted.
	Attaching
	// Releasing means that a volume is still the original's, and one pod or one
	// node at a time may have it.
	Releasing
	// Pulling means that an image is being pulled.
	Pulling
	// Starting means that the pod is on a node and its containers are not
	// there yet.
	Starting
	// SidecarRunning means that the agent's sidecar runs.
	SidecarRunning
	// DevRunning means that the dev container runs.
	DevRunning
)

// Progress is what Wait waits for.
type Progress struct {
	Stage Stage
	// Pod is empty until there is one, Node until it is scheduled.
	Pod, Node string
	// Image is what is pulled at the stage Pulling.
	Image string
	// Trouble is why it does not get further at the moment; empty when that is
	// known of nothing. Only a wait for a pod that ran before goes on then.
	Trouble string
}

// Whole is String with the trouble, if any.
func (p Progress) Whole() string {
	if p.Trouble == "" {
		return p.String()
	}
	return p.String() + ": " + p.Trouble
}

// String says it as the end of a sentence: "waiting for …".
func (p Progress) String() string {
	switch p.Stage {
	case Looking:
		return "looking for the pod"
	case Ending:
		return "waiting for the previous pod to end"
	case Replacing:
		return "waiting for a new pod, the last one was deleted"
	case Scheduling:
		return fmt.Sprintf("waiting for a node for pod %s", p.Pod)
	case ScalingUp:
		return fmt.Sprintf("waiting for the cluster to scale up for pod %s", p.Pod)
	case Attaching:
		return fmt.Sprintf("waiting for the volumes of pod %s", p.Pod)
	case Releasing:
		return fmt.Sprintf("waiting for the original's pods to end: a volume of pod %s is still theirs, and its access mode allows it one pod or node at a time", p.Pod)
	case Pulling:
		return fmt.Sprintf("pulling image %s", p.Image)
	case Starting:
		return fmt.Sprintf("waiting for pod %s to start", p.Pod)
	case SidecarRunning:
		return fmt.Sprintf("waiting for the dev container of pod %s", p.Pod)
	case DevRunning:
		return fmt.Sprintf("pod %s runs", p.Pod)
	}
	return "waiting for the pod to be created"
}
