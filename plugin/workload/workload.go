// Package workload finds a workload, swaps it for its development clone,
// waits for the clone's pod, restores the workload, and holds the lease that
// says whose dev environment it is.
//
// What is written is computed by pure functions (inject.go, container.go,
// workspace.go, external.go, restore.go, ownership.go); the other files talk to the API
// server. The original is never edited beyond its replica count and a few
// labels and annotations, all of them owned by the field manager
// kubectl-okteto, so that Restore can give back exactly what it took.
package workload

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// FieldManager owns every field that this package writes.
const FieldManager = "kubectl-okteto"

// Labels and annotations. Where one means the same as Okteto's it has the
// same name.
const (
	// LabelDev is "true" on everything that a swap touches or makes.
	LabelDev = "dev.okteto.com"
	// LabelClone is on a clone, with the original's UID.
	LabelClone = "dev.okteto.com/clone"
	// LabelInteractive is the dev environment's name, on what a swap makes:
	// clone, pod, claim, Secret and Lease.
	LabelInteractive = "interactive.dev.okteto.com"

	// AnnotationReplicas is the original's replica count before the swap.
	AnnotationReplicas = "dev.okteto.com/replicas"
	// AnnotationMode is the mode of development, always ModeSync here.
	AnnotationMode = "dev.okteto.com/dev-mode"
	// AnnotationAutocreate marks a workload that Swap made itself.
	AnnotationAutocreate = "dev.okteto.com/auto-create"
	// AnnotationSwap is on the original: the record that Restore needs, in
	// JSON.
	AnnotationSwap = "dev.okteto.com/swap"
	// AnnotationTemplate is on the clone's pod template: a digest of the
	// template as it was rendered, by which Wait tells its pod from the one
	// before.
	AnnotationTemplate = "dev.okteto.com/template"
	// AnnotationSecrets is on the clone's pod template: a digest of the files
	// of the Secret.
	AnnotationSecrets = "dev.okteto.com/secrets"
	// annotationDefaultContainer is kubectl's: the container that is meant
	// where none is named, when a proxy comes before it.
	annotationDefaultContainer = "kubectl.kubernetes.io/default-container"
	// AnnotationHolder is on the clone: who applied it last.
	AnnotationHolder = "dev.okteto.com/holder"
	// AnnotationForwards is on the Lease: the open forwards, a JSON list of
	// strings.
	AnnotationForwards = "dev.okteto.com/forwards"

	// ModeSync is the value of AnnotationMode.
	ModeSync = "sync"
)

// nameSuffix follows the original's name in the clone's, and the dev
// environment's name in those of its claim, Secret and Lease.
const nameSuffix = "-okteto"

// Client does the work of this package in one namespace.
type Client struct {
	// Kube is the API server.
	Kube kubernetes.Interface
	// Config is the connection behind Kube; only Exec and DryRun need it.
	Config *rest.Config
	// Namespace is where everything happens.
	Namespace string
	// Now is the clock of leases; nil means time.Now.
	Now func() time.Time
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// Kind is the kind of a workload.
type Kind string

// The kinds that can be swapped.
const (
	Deployment  Kind = "Deployment"
	StatefulSet Kind = "StatefulSet"
)

// resource returns the plural name in the group apps.
func (k Kind) resource() string { return strings.ToLower(string(k)) + "s" }

// Workload is what a swap needs to know of a workload, whatever its kind.
type Workload struct {
	Kind Kind
	Meta metav1.ObjectMeta
	// Replicas is the wanted count as it stands in the object.
	Replicas int32
	Selector *metav1.LabelSelector
	Template corev1.PodTemplateSpec
	// Ready is the number of pods that are ready.
	Ready int32
	// Stateful is what only a StatefulSet has; nil otherwise.
	Stateful *Stateful
}

// Stateful is what only a StatefulSet has.
type Stateful struct {
	// Service is the governing Service; the pod's subdomain.
	Service string
	// Ordinal is the number of the pod that the clone stands for: the first.
	Ordinal int32
	// Claims are the volumeClaimTemplates.
	Claims []corev1.PersistentVolumeClaim
	// DeletesClaims is true when scaling down deletes the claims.
	DeletesClaims bool
}

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

// count returns what a nil replica count means to the API server.
func count(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// String returns kind and name as kubectl writes them: deployment/api.
func (w *Workload) String() string { return ref(w.Kind, w.Meta.Name) }

// CloneName returns the name of the workload's development clone.
func (w *Workload) CloneName() string { return w.Meta.Name + nameSuffix }

func ref(k Kind, name string) string { return strings.ToLower(string(k)) + "/" + name }

// parseRef splits `api`, `deploy/api` or `sts/api`; the kind is empty when
// none was given.
func parseRef(s string) (Kind, string, error) {
	kind, name, found := strings.Cut(s, "/")
	if !found {
		return "", s, nil
	}
	switch strings.ToLower(strings.TrimSuffix(kind, ".apps")) {
	case "deploy", "deployment", "deployments":
		return Deployment, name, nil
	case "sts", "statefulset", "statefulsets":
		return StatefulSet, name, nil
	}
	return "", "", fmt.Errorf("kind %q cannot be developed in: use deployment/%s or statefulset/%s", kind, name, name)
}
