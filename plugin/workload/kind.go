package workload

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Kind is the kind of a workload.
type Kind string

// The kinds that can be swapped.
const (
	Deployment  Kind = "Deployment"
	StatefulSet Kind = "StatefulSet"
	ReplicaSet  Kind = "ReplicaSet"
	DaemonSet   Kind = "DaemonSet"
	Job         Kind = "Job"
	CronJob     Kind = "CronJob"
)

// traits are what sets one kind apart from the others.
type traits struct {
	kind Kind
	// group and version are those of its API.
	group, version string
	// short is kubectl's short name.
	short string
	// made is true when other workloads make objects of this kind: one that
	// has a controller cannot be swapped, its controller would undo it.
	made bool
	gate gate
	// api reaches its objects.
	api func(*Client) api
}

// kinds lists what is known of every kind that can be swapped, those first
// that are preferred where several workloads have one name.
func kinds() []traits {
	return []traits{
		{Deployment, "apps", "v1", "deploy", false, byCount(), func(c *Client) api {
			return apiOf(c.Kube.AppsV1().Deployments(c.Namespace), FromDeployment)
		}},
		{StatefulSet, "apps", "v1", "sts", false, byCount(), func(c *Client) api {
			return apiOf(c.Kube.AppsV1().StatefulSets(c.Namespace), FromStatefulSet)
		}},
		{ReplicaSet, "apps", "v1", "rs", true, byCount(), func(c *Client) api {
			return apiOf(c.Kube.AppsV1().ReplicaSets(c.Namespace), FromReplicaSet)
		}},
		{DaemonSet, "apps", "v1", "ds", false, byNode(), func(c *Client) api {
			return apiOf(c.Kube.AppsV1().DaemonSets(c.Namespace), FromDaemonSet)
		}},
		{Job, "batch", "v1", "job", true, bySuspension(), func(c *Client) api {
			return apiOf(c.Kube.BatchV1().Jobs(c.Namespace), FromJob)
		}},
		{CronJob, "batch", "v1", "cj", false, bySuspension(), func(c *Client) api {
			return apiOf(c.Kube.BatchV1().CronJobs(c.Namespace), FromCronJob)
		}},
	}
}

// traits returns what is known of a kind; ok is false when it cannot be
// swapped.
func (k Kind) traits() (t traits, ok bool) {
	for _, t := range kinds() {
		if t.kind == k {
			return t, true
		}
	}
	return traits{kind: k}, false
}

// resource returns the plural name.
func (k Kind) resource() string { return strings.ToLower(string(k)) + "s" }

// apiVersion returns group and version as an object has them.
func (k Kind) apiVersion() string {
	t, _ := k.traits()
	return strings.TrimPrefix(t.group+"/"+t.version, "/")
}

// rule returns the rule of a request for objects of the kind.
func (k Kind) rule(verb string) Rule {
	t, _ := k.traits()
	return Rule{Verb: verb, Group: t.group, Resource: k.resource()}
}

// api reaches the objects of one kind in one namespace. Its errors are those
// of the API server.
type api struct {
	get    func(ctx context.Context, name string) (*Workload, error)
	list   func(context.Context, metav1.ListOptions) ([]runtime.Object, error)
	patch  func(ctx context.Context, name string, pt types.PatchType, body []byte, opts metav1.PatchOptions) (*Workload, error)
	delete func(ctx context.Context, name string, opts metav1.DeleteOptions) error
	watch  func(rule Rule, opts metav1.ListOptions) source
	// of returns the workload that a listed or watched object is.
	of func(runtime.Object) *Workload
}

// typed is the part of a client for one kind of object that api needs.
type typed[T, L runtime.Object] interface {
	observed[L]
	Get(context.Context, string, metav1.GetOptions) (T, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
}

// apiOf makes an api of a client for one kind, and of what makes a workload of
// its objects.
func apiOf[T, L runtime.Object](objects typed[T, L], from func(T) *Workload) api {
	made := func(o T, err error) (*Workload, error) {
		if err != nil {
			return nil, err
		}
		return from(o), nil
	}
	return api{
		get: func(ctx context.Context, name string) (*Workload, error) {
			return made(objects.Get(ctx, name, metav1.GetOptions{}))
		},
		list: func(ctx context.Context, opts metav1.ListOptions) ([]runtime.Object, error) {
			l, err := objects.List(ctx, opts)
			if err != nil {
				return nil, err
			}
			return meta.ExtractList(l)
		},
		patch: func(ctx context.Context, name string, pt types.PatchType, body []byte, opts metav1.PatchOptions) (*Workload, error) {
			return made(objects.Patch(ctx, name, pt, body, opts))
		},
		delete: objects.Delete,
		watch:  func(rule Rule, opts metav1.ListOptions) source { return observe(rule, objects, opts) },
		of: func(o runtime.Object) *Workload {
			if t, ok := o.(T); ok {
				return from(t)
			}
			return nil
		},
	}
}

// api reaches the objects of a kind that can be swapped.
func (c *Client) api(k Kind) api {
	t, _ := k.traits()
	return t.api(c)
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

// FromReplicaSet returns the workload that a ReplicaSet is.
func FromReplicaSet(s *appsv1.ReplicaSet) *Workload {
	return &Workload{
		Kind:     ReplicaSet,
		Meta:     s.ObjectMeta,
		Replicas: count(s.Spec.Replicas),
		Selector: s.Spec.Selector,
		Template: s.Spec.Template,
		Ready:    s.Status.ReadyReplicas,
	}
}

// FromDaemonSet returns the workload that a DaemonSet is. Its replicas are the
// nodes that it runs on, as far as its controller has told.
func FromDaemonSet(s *appsv1.DaemonSet) *Workload {
	w := &Workload{
		Kind:     DaemonSet,
		Meta:     s.ObjectMeta,
		Replicas: s.Status.DesiredNumberScheduled,
		Selector: s.Spec.Selector,
		Template: s.Spec.Template,
		Ready:    s.Status.NumberReady,
	}
	w.Template.Spec.NodeSelector, w.Nowhere = lessNowhere(s.Spec.Template.Spec.NodeSelector)
	if w.Nowhere {
		w.Replicas = 0
	}
	return w
}

// gate returns the gate of a workload's kind.
func (w *Workload) gate() gate {
	t, _ := w.Kind.traits()
	return t.gate
}

// maker returns the controller that made a workload and would undo a swap;
// nil when there is none.
func maker(w *Workload) *metav1.OwnerReference {
	if t, _ := w.Kind.traits(); !t.made {
		return nil
	}
	return metav1.GetControllerOf(&w.Meta)
}

// count returns what a nil replica count means to the API server.
func count(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

func ref(k Kind, name string) string { return strings.ToLower(string(k)) + "/" + name }

// parseRef splits `api`, `deploy/api` or `statefulsets.apps/api`; the kind is
// empty when none was given.
func parseRef(s string) (Kind, string, error) {
	kind, name, found := strings.Cut(s, "/")
	if !found {
		return "", s, nil
	}
	var known []string
	for _, t := range kinds() {
		if t.named(kind) {
			return t.kind, name, nil
		}
		known = append(known, ref(t.kind, name))
	}
	last := len(known) - 1
	return "", "", fmt.Errorf("kind %q cannot be developed in: use %s or %s", kind, strings.Join(known[:last], ", "), known[last])
}

// named tells whether kubectl would take a word for the kind.
func (t traits) named(word string) bool {
	word, group, qualified := strings.Cut(strings.ToLower(word), ".")
	if qualified && group != t.group {
		return false
	}
	return word == t.short || word == strings.ToLower(string(t.kind)) || word == t.kind.resource()
}
