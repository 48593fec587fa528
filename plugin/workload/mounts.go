package workload

import (
	"context"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ObjectMounts returns where a container of a pod has what Kubernetes mounts there
// from its objects, sorted: of the pod as it is, with what admission added.
func (c *Client) ObjectMounts(ctx context.Context, pod, container string) ([]string, error) {
	p, err := c.Kube.CoreV1().Pods(c.Namespace).Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return nil, c.wrap(err, core("get", "pods"), pod)
	}
	return objectMounts(&p.Spec, container), nil
}

func objectMounts(spec *corev1.PodSpec, container string) []string {
	var paths []string
	for i := range spec.Containers {
		if container != "" && spec.Containers[i].Name != container {
			continue
		}
		for _, m := range spec.Containers[i].VolumeMounts {
			if slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name && ofObjects(&v) }) {
				paths = append(paths, path.Clean("/"+m.MountPath)) // as the kubelet takes it
			}
		}
		break
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// ofObjects tells whether the kubelet writes a volume from objects of the API.
func ofObjects(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}
