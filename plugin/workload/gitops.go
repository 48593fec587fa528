package workload

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-okteto/kubectl-okteto/restore"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What GitOps tools put on the objects that they manage.
const (
	fluxKustomization = "kustomize.toolkit.fluxcd.io/name"
	fluxHelmRelease   = "helm.toolkit.fluxcd.io/name"
	argoTracking      = "argocd.argoproj.io/tracking-id"
	argoInstance      = "argocd.argoproj.io/instance"
)

// disabled is the value of the annotations by which Flux leaves an object
// alone.
const disabled = restore.Disabled

// pauses returns the annotations by which the tool that manages an object
// leaves it alone.
func pauses(m *metav1.ObjectMeta) map[string]string {
	p := map[string]string{}
	if m.Labels[fluxKustomization] != "" {
		p["kustomize.toolkit.fluxcd.io/reconcile"] = disabled
	}
	if m.Labels[fluxHelmRelease] != "" {
		p["helm.toolkit.fluxcd.io/driftDetection"] = disabled
	}
	return p
}

// pausesIn returns the pauses that are among annotations, and those that an
// earlier swap recorded.
func pausesIn(w *Workload, annotations map[string]string) []string {
	keys := recordOf(w).Pauses
	for key := range pauses(&w.Meta) {
		if _, ok := annotations[key]; ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Managed says what becomes in development of a workload that nobody manages,
// or, for each GitOps tool that manages it, of that.
func (w *Workload) Managed() []string {
	var said []string
	if w.pod != nil && w.Replicas != 0 && w.pod.Status.Phase == "" {
		said = append(said, fmt.Sprintf("%s has no controller: it is deleted, and down makes it again; what only it had on its disk is lost", w))
	}
	p := pauses(&w.Meta)
	for _, key := range slices.Sorted(maps.Keys(p)) {
		if v, there := w.Meta.Annotations[key]; !there || v == disabled {
			said = append(said, fmt.Sprintf("Flux leaves %s alone until down: the annotation %s is %s", w, key, disabled))
		} else {
			said = append(said, fmt.Sprintf("Flux may start %s again: the annotation %s is %q and not ours to change", w, key, v))
		}
	}
	if w.Meta.Annotations[argoTracking] != "" || w.Meta.Labels[argoInstance] != "" {
		said = append(said, fmt.Sprintf("Argo CD manages %s: where it heals by itself, its Application needs %s in ignoreDifferences", w, w.gate().pointer()))
	}
	return said
}
