package workload

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// Replaced waits until another pod of the target, which has a node, has taken the
// place of the one of that name, or returns why ctx ended. The API server tells
// so when a pod is asked to end, which may take it long.
func (c *Client) Replaced(ctx context.Context, t Target, pod string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := make(chan sighting)
	go c.watchPods(t.label()+"="+t.Dev).run(ctx, seen)
	for v := newView(t); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-seen:
			if s.err == nil {
				v.add(s)
			}
			if v.replaced(pod) {
				return nil
			}
		}
	}
}

// replaced tells whether another pod has taken the place of the one of that name.
func (v *view) replaced(pod string) bool {
	for _, p := range v.pods {
		if p.Name == pod && p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodFailed {
			return false
		}
	}
	now := v.current()
	return now != nil && now.Spec.NodeName != ""
}
