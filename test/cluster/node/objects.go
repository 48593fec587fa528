//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// furnish makes the objects that a cluster has from the start, and waits until
// pods can be scheduled.
func (n starter) furnish(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", n.config.Kubeconfig())
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	_, err = client.StorageV1().StorageClasses().Create(ctx, storageClass(), metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making the storage class: %w", err)
	}
	if err := n.publishDNS(ctx, client); err != nil {
		return fmt.Errorf("making the Service of CoreDNS: %w", err)
	}
	return poll(ctx, func() (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, Context, metav1.GetOptions{})
		if err != nil || !ready(node) {
			return false, unexpected(err)
		}
		_, err = client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, unexpected(err)
	})
}

// unexpected leaves out the error for what is not there yet.
func unexpected(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// ready says whether a node is Ready and takes pods.
func ready(node *corev1.Node) bool {
	return len(node.Spec.Taints) == 0 && slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func storageClass() *storagev1.StorageClass {
	mode, policy := storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimDelete
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name: StorageClass, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner: provisioner, ReclaimPolicy: &policy, VolumeBindingMode: &mode,
	}
}

// publishDNS makes the Service that pods find CoreDNS by. It has no selector:
// CoreDNS runs on the node and not in a pod.
func (n starter) publishDNS(ctx context.Context, client kubernetes.Interface) error {
	meta := metav1.ObjectMeta{Name: "kube-dns", Namespace: metav1.NamespaceSystem, Labels: map[string]string{"k8s-app": "kube-dns"}}
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: n.config.dnsService().String()}}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{
		{Addresses: []string{n.config.nodeIP().String()}},
	}}
	slice.Labels = map[string]string{
		discoveryv1.LabelServiceName: meta.Name,
		discoveryv1.LabelManagedBy:   Context, // keeps the cluster's own controllers away
	}
	port := int32(53)
	for name, protocol := range map[string]corev1.Protocol{"dns": corev1.ProtocolUDP, "dns-tcp": corev1.ProtocolTCP} {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{
			Name: name, Protocol: protocol, Port: port, TargetPort: intstr.FromInt32(port),
		})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &port})
	}
	_, err1 := client.CoreV1().Services(meta.Namespace).Create(ctx, service, metav1.CreateOptions{})
	_, err2 := client.DiscoveryV1().EndpointSlices(meta.Namespace).Create(ctx, slice, metav1.CreateOptions{})
	return errors.Join(err1, err2)
}
