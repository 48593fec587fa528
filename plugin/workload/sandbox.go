package workload

import (
	"context"
	"fmt"
	"strconv"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// labelApp is the label by which a Service finds a sandbox's pod.
const labelApp = "app"

// sandboxPort is the port of a sandbox's Service where the manifest forwards none
// of the pod.
const sandboxPort = 8080

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
				AnnotationMode:       modeOf(dev),
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

// sandboxService returns the Service by which others in the cluster reach a
// sandbox's pod: on the ports that the manifest forwards. It ends with the sandbox.
func sandboxService(w *Workload, dev *manifest.Dev) *corev1.Service {
	service := &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{
			Name: w.Meta.Name, Namespace: w.Meta.Namespace, OwnerReferences: owned(w), Annotations: dev.Metadata.Annotations,
			Labels: merged(dev.Metadata.Labels, map[string]string{labelApp: dev.Name, LabelDev: "true", LabelInteractive: dev.Name}),
		},
		Spec: corev1.ServiceSpec{Selector: w.Selector.MatchLabels},
	}
	names := map[string]bool{}
	add := func(port int, protocol manifest.Protocol) {
		p := corev1.ServicePort{
			Name: "port-" + strconv.Itoa(port), Port: int32(port), TargetPort: intstr.FromInt(port), Protocol: corev1.ProtocolTCP,
		}
		if protocol == manifest.UDP {
			p.Name, p.Protocol = p.Name+"-udp", corev1.ProtocolUDP
		}
		if !names[p.Name] {
			names[p.Name] = true
			service.Spec.Ports = append(service.Spec.Ports, p)
		}
	}
	for _, f := range dev.Forward {
		if f.Service == "" && len(f.Labels) == 0 && f.RemoteSocket == "" {
			add(f.Remote, f.Protocol)
		}
	}
	if len(names) == 0 {
		add(sandboxPort, "")
	}
	return service
}

// serve makes a sandbox's Service. Who may not make it, or has another one of its
// name, develops without: the warning says why.
func (c *Client) serve(ctx context.Context, w *Workload, dev *manifest.Dev) (warnings []string) {
	_, err := applyOwn(ctx, c, c.Kube.CoreV1().Services(c.Namespace), core("", "services"), sandboxService(w, dev))
	if err != nil {
		warnings = append(warnings, fmt.Sprintf("no Service leads to %s: %v", w, err))
	}
	return warnings
}

// planService returns the Service that serve would write.
func (c *Client) planService(ctx context.Context, w *Workload, dev *manifest.Dev) ([]Planned, error) {
	have, err := c.Kube.CoreV1().Services(c.Namespace).Get(ctx, w.Meta.Name, metav1.GetOptions{})
	if unlessGone(err) != nil || err == nil && have.Labels[LabelInteractive] != dev.Name {
		return nil, nil
	}
	p, err := planned(sandboxService(w, dev), Planned{rule: core("patch", "services"), patch: types.ApplyPatchType, dispensable: true})
	return []Planned{p}, err
}
