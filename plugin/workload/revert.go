package workload

import (
	"context"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/restore"
)

// Revert is a change of an original's gate that takes it back into service
// while it is in development.
type Revert struct {
	// Workload is the original as kind/name.
	Workload string
	// Done says what was done to it, such as "was set to 3 replicas".
	Done string
	// By is the field manager that set it; empty when the object does not
	// tell.
	By string
	// Field is the JSON pointer of what was set.
	Field string
}

// String says what happened.
func (r Revert) String() string {
	by := r.By
	if by == "" {
		by = "somebody"
	}
	return fmt.Sprintf("%s %s by %s: its pods run beside the development container, and are left alone", r.Workload, r.Done, by)
}

// Advice says how to keep a known controller from it; empty for others.
func (r Revert) Advice() string {
	switch r.By {
	case "kustomize-controller":
		return "Flux reconciles it: `flux suspend kustomization` stops that, and so does the annotation kustomize.toolkit.fluxcd.io/reconcile: disabled on the object"
	case "helm-controller":
		return "Flux reconciles it: `flux suspend helmrelease` stops that"
	case "argocd-controller", "argocd-application-controller":
		return "Argo CD reconciles it: add " + r.Field + " to ignoreDifferences of the Application, with the sync option RespectIgnoreDifferences=true"
	case "keda", "keda-operator":
		return "KEDA scales it: the annotation " + kedaPaused + ": \"true\" on the ScaledObject stops that"
	case "kube-controller-manager":
		return "a HorizontalPodAutoscaler scales it: with minReplicas of 1 or more it lets a workload of 0 replicas rest"
	}
	return ""
}

// revertOf returns the revert that a swapped original shows; nil when it is
// out of service.
func revertOf(w *Workload) *Revert {
	if w.Replicas == 0 {
		return nil
	}
	r := &Revert{Workload: w.String(), Done: w.gate().opened(w.Replicas), Field: w.gate().pointer()}
	var newest string // RFC 3339 in UTC, which sorts as time does
	for _, e := range restore.OwnersOf(metaOf(w).ManagedFields, w.gate().path) {
		if r.By == "" || newest < e.Time {
			r.By, newest = e.Manager, e.Time
		}
	}
	return r
}

// Guard watches an original that Swap has taken out of service, until ctx ends, and
// reports who takes it back into service: each field manager once. It writes
// nothing, because two that each insist would go on forever. Without the right
// to watch, and of a workload that Swap made itself, nothing is reported.
func (c *Client) Guard(ctx context.Context, w *Workload, report func(Revert)) {
	if w.Meta.UID == "" || autocreated(w) || w.pod != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := make(chan sighting)
	go c.watchWorkload(w.traits(), w.Meta.Name).run(ctx, seen)
	told := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-seen:
			if s.final {
				return
			}
			for _, o := range s.objs {
				now := w.traits().api(c).of(o)
				if now == nil || now.Meta.UID != w.Meta.UID || now.Meta.DeletionTimestamp != nil {
					continue
				}
				if r := revertOf(now); r != nil && !told[r.By] {
					told[r.By] = true
					report(*r)
				}
			}
		}
	}
}
