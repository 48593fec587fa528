package workload

import (
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// labelApp is the label by which a Service finds a sandbox's pod.
const labelApp = "app"

// Sandbox returns the Deployment that stands for a dev environment without a
// workload: it never runs a pod itself, only its clone does, and Restore
// deletes it. The manifest has to name an image.
func Sandbox(dev *manifest.Dev, namespace string) (*appsv1.Deployment, error) {
	if dev.Image == "" {
		return nil, fmt.Errorf("dev %q: autocreate needs an image", dev.Name)
	}
	labels := map[string]string{labelApp: dev.Name}
	name := dev.Container
	if name == "" {
		name = dev.Name
	}
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: string(Deployment)},
		ObjectMeta: metav1.ObjectMeta{
			Name:      dev.Name,
			Namespace: namespace,
			Labels:    merged(labels, dev.Metadata.Labels, map[string]string{LabelDev: "true"}),
			Annotations: merged(dev.Metadata.Annotations, map[string]string{
				AnnotationAutocreate: "up",
				AnnotationReplicas:   "0",
				AnnotationMode:       ModeSync,
			}),
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(0)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: dev.Image}}},
			},
		},
	}, nil
}

// autocreated tells whether Swap made the workload.
func autocreated(w *Workload) bool { return w.Meta.Annotations[AnnotationAutocreate] != "" }
