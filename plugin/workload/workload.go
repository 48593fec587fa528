// Package workload finds a workload, swaps it for its development clone,
// waits for the clone's pod, restores the workload, and holds the lease that
// says whose dev environment it is.
//
// What is written is computed by pure functions (inject.go, service.go, container.go,
// workspace.go, external.go, restore.go, autodown.go) and package restore; the other files talk to the API
// server. The original is never edited beyond its gate, most often the replica
// count, and a few labels and annotations, all of them owned by the field manager
// kubectl-okteto, so that Restore can give back exactly what it took.
package workload

import (
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/restore"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// FieldManager owns every field that this package writes.
const FieldManager = restore.FieldManager

// Labels and annotations. Where one means the same as Okteto's it has the
// same name.
const (
	// LabelDev is "true" on everything that a swap touches or makes.
	LabelDev = restore.LabelDev
	// LabelClone is on a clone, with the original's UID.
	LabelClone = "dev.okteto.com/clone"
	// LabelInteractive is the dev environment's name, on what a swap makes:
	// clone, pod, claim, Secret and Lease.
	LabelInteractive = "interactive.dev.okteto.com"
	// LabelDetached is the dev environment's name on what it has of a service:
	// original, clone and pods.
	LabelDetached = restore.LabelDetached
	// LabelVolume is the dev environment's name on pods that share its claim,
	// where that is for one node.
	LabelVolume = "dev.okteto.com/volume"

	// AnnotationReplicas is the original's Replicas before the swap.
	AnnotationReplicas = restore.AnnotationReplicas
	// AnnotationMode is the mode of development, a manifest.Mode.
	AnnotationMode = restore.AnnotationMode
	// AnnotationAutocreate marks a workload that Swap made itself.
	AnnotationAutocreate = "dev.okteto.com/auto-create"
	// AnnotationSwap is on the original: the record that Restore needs, in
	// JSON.
	AnnotationSwap = restore.AnnotationSwap
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
	// AnnotationPaused is on a ScaledObject of KEDA that a swap has paused: the
	// original as kind/name.
	AnnotationPaused = restore.AnnotationPaused
	// AnnotationAutoDown is on the clone: after what time without a laptop the
	// cluster gives the original back; it has none where nothing does.
	AnnotationAutoDown = "dev.okteto.com/auto-down"
	// AnnotationUsed is on the Lease: when it was used other than by its holder.
	AnnotationUsed = "dev.okteto.com/used"
	// AnnotationForwards is on the Lease: the open forwards, a JSON list of
	// strings.
	AnnotationForwards = "dev.okteto.com/forwards"
)

// nameSuffix follows the original's name in the clone's, and the dev
// environment's name in those of its claim, Secret and Lease.
const nameSuffix = "-okteto"

// Client does the work of this package in one namespace.
type Client struct {
	// Kube is the API server.
	Kube kubernetes.Interface
	// Dynamic is the API server for objects of any kind, and Mapper tells what
	// kinds it has. Without Dynamic nothing is known of kinds that not every
	// cluster has; DryRun needs it for all.
	Dynamic dynamic.Interface
	Mapper  meta.RESTMapper
	// Config returns how to connect by oneself; only Exec needs it.
	Config func() *rest.Config
	// Namespace is where everything happens.
	Namespace string
	// Now is the clock of Leases, as ServerClock.Now; nil means time.Now.
	Now func() time.Time
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// Workload is what a swap needs to know of a workload, whatever its kind.
type Workload struct {
	Kind Kind
	Meta metav1.ObjectMeta
	// Replicas is the wanted count as it stands in the object; 0 is out of
	// service.
	Replicas int32
	// Selector finds the pods; nil where the workload has none of its own.
	Selector *metav1.LabelSelector
	Template corev1.PodTemplateSpec
	// Ready is the number of pods that are ready.
	Ready int32
	// Nowhere is true when a DaemonSet is out of service. Template is without
	// what does that.
	Nowhere bool
	// Stateful is what only a StatefulSet has; nil otherwise.
	Stateful *Stateful

	// pod is a pod as it is made again; nil for other kinds. One that is gone
	// has 0 replicas.
	pod *corev1.Pod
	// custom is what is known of a kind that not every cluster has; nil for
	// others.
	custom *custom
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

// String returns kind and name as kubectl writes them: deployment/api.
func (w *Workload) String() string { return ref(w.Kind, w.Meta.Name) }

// CloneName returns the name of the workload's development clone.
func (w *Workload) CloneName() string { return w.Meta.Name + nameSuffix }
