package workload

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// least returns the least that a container of the namespace may have, by its
// LimitRanges; nothing where they may not be listed.
func (c *Client) least(ctx context.Context) (corev1.ResourceList, error) {
	l, err := c.Kube.CoreV1().LimitRanges(c.Namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.wrap(err, core("list", "limitranges"), "")
	}
	var least corev1.ResourceList
	for _, r := range l.Items {
		for _, item := range r.Spec.Limits {
			if item.Type == corev1.LimitTypeContainer {
				least = raised(mergeList(least, item.Min), least)
			}
		}
	}
	return least, nil
}

// raised returns a list with what is below another list's raised to that.
func raised(have, least corev1.ResourceList) corev1.ResourceList {
	out := have.DeepCopy()
	for name, q := range least {
		if h, there := out[name]; there && h.Cmp(q) < 0 {
			out[name] = q
		}
	}
	return out
}
