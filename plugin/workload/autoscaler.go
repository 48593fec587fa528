package workload

import (
	"context"
	"fmt"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/restore"
	"golang.org/x/sync/errgroup"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Autoscaler is a HorizontalPodAutoscaler, or a ScaledObject of KEDA.
type Autoscaler struct {
	Name string
	// Wakes is true when it scales a workload of 0 replicas too, and could
	// not be kept from it.
	Wakes bool

	kind Kind
	of   string
	// keda is the ScaledObject; nil for a HorizontalPodAutoscaler. refused is
	// why it could not be paused.
	keda    *unstructured.Unstructured
	refused error
}

// autoscalers returns the autoscalers of the namespace. They are an extra: who
// may not list them learns of none.
func (c *Client) autoscalers(ctx context.Context) []Autoscaler {
	var horizontal, keda []Autoscaler
	var g errgroup.Group
	g.Go(func() error {
		horizontal = c.horizontal(ctx)
		return nil
	})
	g.Go(func() error {
		keda = c.kedaScalers(ctx)
		return nil
	})
	_ = g.Wait() // neither fails
	return slices.Concat(horizontal, keda)
}

// horizontal returns the HorizontalPodAutoscalers, without those that KEDA has
// made: it deletes them where it is paused.
func (c *Client) horizontal(ctx context.Context) []Autoscaler {
	l, err := c.Kube.AutoscalingV2().HorizontalPodAutoscalers(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var found []Autoscaler
	for i := range l.Items {
		if by := metav1.GetControllerOf(&l.Items[i]); by == nil || by.Kind != scaledObject {
			found = append(found, autoscalerOf(&l.Items[i]))
		}
	}
	return found
}

func autoscalerOf(h *autoscalingv2.HorizontalPodAutoscaler) Autoscaler {
	target := h.Spec.ScaleTargetRef
	return Autoscaler{
		Name: h.Name, Wakes: deref(h.Spec.MinReplicas, 1) == 0,
		kind: kindOf(target.APIVersion, target.Kind), of: target.Name,
	}
}

// Scales tells whether the autoscaler is that of a workload.
func (a Autoscaler) Scales(w *Workload) bool { return a.kind == w.Kind && a.of == w.Meta.Name }

// Resting says what the autoscaler of an original at 0 replicas does.
func (a Autoscaler) Resting(w *Workload) string {
	switch {
	case a.keda == nil && a.Wakes:
		return fmt.Sprintf("autoscaler %s has minReplicas 0: it may start %s again beside the development container", a.Name, w)
	case a.keda == nil:
		return fmt.Sprintf("autoscaler %s rests while %s has 0 replicas, and goes on after down", a.Name, w)
	case a.refused != nil:
		return fmt.Sprintf("KEDA may start %s again: %v; without that, set the annotation %s: %q on the %s %s yourself",
			w, a.refused, kedaPaused, restore.KEDAPause, scaledObject, a.Name)
	case a.Wakes:
		return fmt.Sprintf("KEDA may start %s again: the annotations of its %s %s say so and are not ours to change", w, scaledObject, a.Name)
	case a.keda.GetAnnotations()[AnnotationPaused] == "":
		return fmt.Sprintf("KEDA leaves %s alone: its %s %s is paused, and stays so after down", w, scaledObject, a.Name)
	default:
		return fmt.Sprintf("KEDA leaves %s alone until down: its %s %s is paused", w, scaledObject, a.Name)
	}
}
