package workload

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"
)

// Environment is one dev environment, or what is left of it.
type Environment struct {
	// Dev is the dev environment's name; empty when no part of it tells.
	Dev string
	// Kind and Name are the original's.
	Kind Kind
	Name string
	// Original is nil when it is gone, or unread.
	Original *Workload
	// Clone is nil when it is gone.
	Clone *appsv1.Deployment
	// Pod is the newest pod that is not being deleted; nil when there is none
	// or pods may not be listed.
	Pod *corev1.Pod
	Held
	// Services are the environment's services; Get fills it.
	Services []ServiceState

	// unread is why the original cannot be read; nil when it can.
	unread error
}

// Held is what the Lease of a dev environment tells.
type Held struct {
	// Holder holds the Lease; empty when nobody does or it may not be read.
	Holder string
	// Since is when the holder acquired it, Renewed when they last told that
	// they are there.
	Since, Renewed time.Time
	// Expired is true when the holder has not been heard of for longer than
	// the Lease lasts.
	Expired bool
	// AutoDown is after what time without a laptop the cluster gives the original
	// back; 0 for never.
	AutoDown time.Duration
	// Forwards are the forwards that the holder has open.
	Forwards []string
}

// service tells whether it is a service of the dev environment.
func (e *Environment) service() bool {
	if e.Clone != nil {
		_, service := devOf(e.Clone.Labels)
		return service
	}
	return e.Original != nil && e.Original.Meta.Labels[LabelDetached] != ""
}

// Target returns what Wait needs to wait for the environment's pod.
func (e *Environment) Target() Target {
	t := Target{Dev: e.Dev}
	if e.Original != nil {
		t.Original = e.Original.Selector
	}
	if e.Clone != nil {
		t.Clone = e.Clone.Name
		t.Hash = e.Clone.Spec.Template.Annotations[AnnotationTemplate]
		t.Generation = e.Clone.Generation
		t.Container = devContainer(e.Clone)
	}
	return t
}

// devContainer finds the clone's container that runs the runner.
func devContainer(clone *appsv1.Deployment) string {
	for _, c := range clone.Spec.Template.Spec.Containers {
		for _, e := range c.Env {
			if e.Name == envName {
				return c.Name
			}
		}
	}
	return ""
}

// List returns the dev environments of the namespace, sorted by name. Pods and
// leases that may not be listed are left out.
func (c *Client) List(ctx context.Context) ([]Environment, error) {
	return c.environments(ctx, true)
}

// Get returns the dev environment of a name: its own, its workload's (also as
// kind/name) or its clone's. NotFoundError when there is none.
func (c *Client) Get(ctx context.Context, name string) (*Environment, error) {
	asked, n, err := c.parseRef(name, manifest.Paths{})
	if err != nil {
		return nil, err
	}
	all, err := c.environments(ctx, true)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range all {
		e := &all[i]
		if e.service() {
			continue
		}
		if e.called(asked.kind, n) {
			e.Services = servicesOf(all, e.Dev)
			return e, nil
		}
		names = append(names, e.Dev)
	}
	return nil, &NotFoundError{Namespace: c.Namespace, Name: name, Near: near(name, names), Dev: true}
}

// called tells whether a user's name, with a kind or without, means this
// environment.
func (e *Environment) called(kind Kind, n string) bool {
	if kind != "" {
		return kind == e.Kind && n == e.Name
	}
	return n == e.Dev || n == e.Name || n == e.Name+nameSuffix
}

// environments finds originals and clones by their labels and joins them. An
// original of a kind that not every cluster has is found by its clone or Lease,
// which it owns.
func (c *Client) environments(ctx context.Context, live bool) ([]Environment, error) {
	ours := metav1.ListOptions{LabelSelector: LabelDev + "=true"}
	var found listing
	var pods []corev1.Pod
	var held []coordinationv1.Lease
	var g errgroup.Group
	g.Go(func() (err error) {
		found, err = c.list(ctx, ours)
		return err
	})
	if live {
		g.Go(func() error {
			if l, err := c.Kube.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: LabelInteractive}); err == nil {
				pods = l.Items
			}
			return nil
		})
	}
	g.Go(func() error {
		if l, err := c.Kube.CoordinationV1().Leases(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: LabelInteractive}); err == nil {
			held = l.Items
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	originals := slices.DeleteFunc(found.workloads, func(w *Workload) bool { return !marked(w) })
	envs := join(found.clones, originals, held)
	for i := range envs {
		c.findOriginal(ctx, &envs[i])
	}
	envs = slices.DeleteFunc(envs, func(e Environment) bool {
		// A Lease may outlive what it was for.
		return e.Clone == nil && (e.Original == nil || !marked(e.Original))
	})
	for i := range envs {
		envs[i].Pod = newestPod(pods, envs[i].Clone)
		envs[i].addLease(held, c.now())
	}
	slices.SortFunc(envs, func(a, b Environment) int {
		return cmp.Or(cmp.Compare(a.Dev, b.Dev), cmp.Compare(a.Name, b.Name))
	})
	return envs, nil
}

// join pairs clones with their originals. Of the Leases those count whose owner
// cannot be among the originals.
func join(clones []appsv1.Deployment, originals []*Workload, held []coordinationv1.Lease) []Environment {
	var envs []Environment
	at := map[string]int{}
	env := func(kind Kind, name string) *Environment {
		key := ref(kind, name)
		i, ok := at[key]
		if !ok {
			i = len(envs)
			at[key] = i
			envs = append(envs, Environment{Kind: kind, Name: name})
		}
		return &envs[i]
	}
	for _, w := range originals {
		e := env(w.Kind, w.Meta.Name)
		e.Original = w
		e.Dev = recordOf(w).Dev
		if autocreated(w) {
			e.Dev = w.Meta.Name
		}
	}
	for i := range clones {
		d := &clones[i]
		kind, name := originalIn(&d.ObjectMeta)
		if name == "" {
			kind, name = Deployment, d.Name[:len(d.Name)-len(nameSuffix)]
		}
		e := env(kind, name)
		e.Clone = d
		e.AutoDown = armedFor(d)
		if dev, _ := devOf(d.Labels); dev != "" {
			e.Dev = dev
		}
	}
	for _, l := range held {
		o := ownerIn(l.OwnerReferences)
		if o == nil {
			continue
		}
		kind := kindOf(o.APIVersion, o.Kind)
		if _, listed := kind.traits(); !listed {
			env(kind, o.Name).Dev = l.Labels[LabelInteractive]
		}
	}
	return envs
}

// findOriginal fetches the original of a clone where its own label does not
// show it: the swap was stopped half-way, or somebody removed the label.
func (c *Client) findOriginal(ctx context.Context, e *Environment) {
	if e.Original != nil {
		return
	}
	t, err := c.known(e.Kind)
	if err == nil {
		e.Original, err = c.get(ctx, t, e.Name)
	}
	if e.Clone != nil && e.Kind == Pod {
		e.Original = lastSeen(e.Original, &e.Clone.ObjectMeta)
	}
	// With its kind all its objects are gone.
	if gone := (*UnknownKindError)(nil); !errors.As(err, &gone) {
		e.unread = err
	}
}

// newestPod returns the newest pod of a clone that is not being deleted.
func newestPod(pods []corev1.Pod, clone *appsv1.Deployment) *corev1.Pod {
	if clone == nil {
		return nil
	}
	var newest *corev1.Pod
	for i := range pods {
		p := &pods[i]
		if p.DeletionTimestamp != nil || !podOf(p, clone.Name) {
			continue
		}
		if newest == nil || newest.CreationTimestamp.Before(&p.CreationTimestamp) {
			newest = p
		}
	}
	return newest
}

func (e *Environment) addLease(held []coordinationv1.Lease, now time.Time) {
	for i := range held {
		l := &held[i]
		if e.Dev == "" || l.Name != leaseName(e.Dev) {
			continue
		}
		e.Holder = deref(l.Spec.HolderIdentity, "")
		if e.Holder == "" {
			return
		}
		e.Since = deref(l.Spec.AcquireTime, metav1.MicroTime{}).Time
		e.Renewed = deref(l.Spec.RenewTime, metav1.MicroTime{}).Time
		e.Expired = expired(l, now)
		// What cannot be read is not shown; the annotation is only for show.
		_ = json.Unmarshal([]byte(l.Annotations[AnnotationForwards]), &e.Forwards)
	}
}
