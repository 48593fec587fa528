package workload

import (
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Autoscaler is a HorizontalPodAutoscaler.
type Autoscaler struct {
	Name string
	// Wakes is true when it scales a workload of 0 replicas too.
	Wakes bool

	kind Kind
	of   string
}

// autoscalers returns the HorizontalPodAutoscalers of the namespace. They are
// an extra: who may not list them learns of none.
func (c *Client) autoscalers(ctx context.Context) []Autoscaler {
	l, err := c.Kube.AutoscalingV2().HorizontalPodAutoscalers(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var found []Autoscaler
	for i := range l.Items {
		found = append(found, autoscalerOf(&l.Items[i]))
	}
	return found
}

func autoscalerOf(h *autoscalingv2.HorizontalPodAutoscaler) Autoscaler {
	target := h.Spec.ScaleTargetRef
	return Autoscaler{
		Name: h.Name, Wakes: deref(h.Spec.MinReplicas, 1) == 0,
		kind: Kind(target.Kind), of: target.Name,
	}
}

// Scales tells whether the autoscaler is that of a workload.
func (a Autoscaler) Scales(w *Workload) bool { return a.kind == w.Kind && a.of == w.Meta.Name }

// Resting says what the autoscaler of an original at 0 replicas does.
func (a Autoscaler) Resting(w *Workload) string {
	if a.Wakes {
		return fmt.Sprintf("autoscaler %s has minReplicas 0: it may start %s again beside the development container", a.Name, w)
	}
	return fmt.Sprintf("autoscaler %s rests while %s has 0 replicas, and goes on after down", a.Name, w)
}
