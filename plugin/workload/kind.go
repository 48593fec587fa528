package workload

import (
	"context"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Kind is the kind of a workload; of those that are not among the constants,
// with its API group: Rollout.argoproj.io.
type Kind string

// The kinds that every cluster has.
const (
	Deployment  Kind = "Deployment"
	StatefulSet Kind = "StatefulSet"
	ReplicaSet  Kind = "ReplicaSet"
	DaemonSet   Kind = "DaemonSet"
	Job         Kind = "Job"
	CronJob     Kind = "CronJob"
	Pod         Kind = "Pod"
)

// traits are what sets one kind apart from the others.
type traits struct {
	kind Kind
	// group, version and resource, the plural, are those of its API.
	group, version, resource string
	// short is kubectl's short name.
	short string
	// made is true when other workloads make objects of this kind: one that
	// has a controller cannot be swapped, its controller would undo it.
	made bool
	gate gate
	// api reaches its objects.
	api func(*Client) api
}

// usualKinds is how many of kinds are asked for first when none was given.
const usualKinds = 2

// kinds lists what is known of the kinds that every cluster has, those first
// that are preferred where several workloads have one name. What is known of
// others is found out: see custom.go.
func kinds() []traits {
	return []traits{
		{Deployment, "apps", "v1", "deployments", "deploy", false, byCount("spec", "replicas"), func(c *Client) api {
			return apiOf(c.Kube.AppsV1().Deployments(c.Namespace), FromDeployment)
		}},
		{StatefulSet, "apps", "v1", "statefulsets", "sts", false, byCount("spec", "replicas"), func(c *Client) api {
			return apiOf(c.Kube.AppsV1().StatefulSets(c.Namespace), FromStatefulSet)
		}},
		{ReplicaSet, "apps", "v1", "replicasets", "rs", true, byCount("spec", "replicas"), func(c *Client) api {
			return apiOf(c.Kube.AppsV1().ReplicaSets(c.Namespace), FromReplicaSet)
		}},
		{DaemonSet, "apps", "v1", "daemonsets", "ds", false, byNode(), func(c *Client) api {
			return apiOf(c.Kube.AppsV1().DaemonSets(c.Namespace), FromDaemonSet)
		}},
		{Job, "batch", "v1", "jobs", "job", true, bySuspension("spec", "suspend"), func(c *Client) api {
			return apiOf(c.Kube.BatchV1().Jobs(c.Namespace), FromJob)
		}},
		{CronJob, "batch", "v1", "cronjobs", "cj", false, bySuspension("spec", "suspend"), func(c *Client) api {
			return apiOf(c.Kube.BatchV1().CronJobs(c.Namespace), FromCronJob)
		}},
		// Its gate is that it is there: pod.go.
		{Pod, "", "v1", "pods", "po", true, gate{}, func(c *Client) api {
			return apiOf(c.Kube.CoreV1().Pods(c.Namespace), FromPod)
		}},
	}
}

// traits returns what is known of a kind; ok is false when not every cluster
// has it.
func (k Kind) traits() (t traits, ok bool) {
	for _, t := range kinds() {
		if t.kind == k {
			return t, true
		}
	}
	return traits{kind: k}, false
}

// rule returns the rule of a request for objects of a kind that every cluster
// has.
func (k Kind) rule(verb string) Rule {
	t, _ := k.traits()
	return t.rule(verb)
}

// name returns the kind as objects have it, without a group.
func (k Kind) name() string {
	name, _, _ := strings.Cut(string(k), ".")
	return name
}

// kindOf returns the kind of an object or a reference.
func kindOf(apiVersion, name string) Kind {
	group, _, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		group = ""
	}
	if t, ok := Kind(name).traits(); ok && t.group == group {
		return t.kind
	}
	return Kind(strings.TrimSuffix(name+"."+group, "."))
}

// apiVersion returns group and version as an object has them.
func (t traits) apiVersion() string {
	return strings.TrimPrefix(t.group+"/"+t.version, "/")
}

// rule returns the rule of a request for objects of the kind.
func (t traits) rule(verb string) Rule {
	return Rule{Verb: verb, Group: t.group, Resource: t.resource}
}

// api reaches the objects of one kind in one namespace. Its errors are those
// of the API server.
type api struct {
	get   func(ctx context.Context, name string) (*Workload, error)
	list  func(context.Context, metav1.ListOptions) ([]runtime.Object, error)
	patch func(ctx context.Context, name string, pt types.PatchType, body []byte, opts metav1.PatchOptions) (*Workload, error)
	watch func(rule Rule, opts metav1.ListOptions) source
	// of returns the workload that a listed or watched object is.
	of func(runtime.Object) *Workload
}

// typed is the part of a client for one kind of object that api needs.
type typed[T, L runtime.Object] interface {
	observed[L]
	Get(context.Context, string, metav1.GetOptions) (T, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)
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
		watch: func(rule Rule, opts metav1.ListOptions) source { return observe(rule, objects, opts) },
		of: func(o runtime.Object) *Workload {
			if t, ok := o.(T); ok {
				return from(t)
			}
			return nil
		},
	}
}

// traits returns what is known of a workload's kind.
func (w *Workload) traits() traits {
	if w.custom != nil {
		return w.custom.traits
	}
	t, _ := w.Kind.traits()
	return t
}

// gate returns the gate of a workload.
func (w *Workload) gate() gate { return w.traits().gate }

// maker returns the controller that made a workload and would undo a swap;
// nil when there is none.
func maker(w *Workload) *metav1.OwnerReference {
	if !w.traits().made {
		return nil
	}
	return metav1.GetControllerOf(&w.Meta)
}

func ref(k Kind, name string) string { return strings.ToLower(string(k)) + "/" + name }

// parseRef splits `api`, `deploy/api`, `statefulsets.apps/api` or
// `rollout/api`; nothing is known of the kind when none was given. It asks the
// API server for kinds that not every cluster has, whose objects are laid out
// as the paths say.
func (c *Client) parseRef(s string, paths manifest.Paths) (traits, string, error) {
	word, name, found := strings.Cut(s, "/")
	if !found {
		return traits{}, s, nil
	}
	for _, t := range kinds() {
		if t.named(word) {
			return t, name, nil
		}
	}
	t, err := c.resolve(word, paths)
	return t, name, err
}

// named tells whether kubectl would take a word for the kind.
func (t traits) named(word string) bool {
	word, group, qualified := strings.Cut(strings.ToLower(word), ".")
	if qualified && group != t.group {
		return false
	}
	return word == t.short || word == strings.ToLower(string(t.kind)) || word == t.resource
}
