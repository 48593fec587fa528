package workload

import (
	"context"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"golang.org/x/sync/errgroup"
)

// Query says which workload is meant.
type Query struct {
	// Name is a name, or kind/name as in deploy/api and sts/db. A clone's
	// name means its original. It is not used when Selector is set.
	Name string
	// Selector are the labels of the workload itself.
	Selector map[string]string
	// Dev is the dev environment's name, by which its Lease is found.
	Dev string
	// Autocreate is the manifest's entry to make a workload from when there
	// is none; nil means that there has to be one.
	Autocreate *manifest.Dev
}

// Found is what Find found.
type Found struct {
	*Workload
	// Clone is the workload's clone; nil when there is none.
	Clone *appsv1.Deployment
	// Lease is the dev environment's Lease; nil when there is none or it may
	// not be read.
	Lease *coordinationv1.Lease
	// Autoscalers are those of the namespace, where the query names a dev
	// environment.
	Autoscalers []Autoscaler
}

// Find finds a workload and what exists of its dev environment. Everything is
// asked at once, so that it takes one round trip. Errors: NotFoundError,
// AmbiguousError, NamespaceError, ForbiddenError.
func (c *Client) Find(ctx context.Context, q Query) (*Found, error) {
	f := &Found{}
	var g errgroup.Group
	if q.Dev != "" {
		g.Go(func() error {
			// Acquire reports what is wrong with leases.
			if l, err := c.Kube.CoordinationV1().Leases(c.Namespace).Get(ctx, leaseName(q.Dev), metav1.GetOptions{}); err == nil {
				f.Lease = l
			}
			return nil
		})
		g.Go(func() error {
			f.Autoscalers = c.autoscalers(ctx)
			return nil
		})
	}
	g.Go(func() (err error) {
		if len(q.Selector) > 0 {
			f.Workload, f.Clone, err = c.bySelector(ctx, q.Selector)
			return err
		}
		f.Workload, f.Clone, err = c.byName(ctx, q.Name)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if f.Workload != nil {
		return f, nil
	}
	if err := c.namespaceExists(ctx); err != nil {
		return nil, err
	}
	if q.Autocreate != nil {
		d, err := Sandbox(q.Autocreate, c.Namespace)
		if err != nil {
			return nil, err
		}
		f.Workload = FromDeployment(d)
		return f, nil
	}
	return nil, c.notFound(ctx, q)
}

// byName finds a workload and its clone; both are nil when there is none.
func (c *Client) byName(ctx context.Context, name string) (*Workload, *appsv1.Deployment, error) {
	kind, name, err := parseRef(name)
	if err != nil {
		return nil, nil, err
	}
	var deploy, stateful *Workload
	var clone *appsv1.Deployment
	var deployErr, statefulErr error
	var g errgroup.Group
	if kind != StatefulSet {
		g.Go(func() error { deploy, deployErr = c.get(ctx, Deployment, name); return nil })
	}
	if kind != Deployment {
		g.Go(func() error { stateful, statefulErr = c.get(ctx, StatefulSet, name); return nil })
	}
	g.Go(func() (err error) { clone, err = c.getClone(ctx, name); return err })
	cloneErr := g.Wait()
	for _, err := range []error{deployErr, cloneErr} {
		if err != nil && stateful == nil {
			return nil, nil, err
		}
	}
	switch {
	case deploy != nil && isClone(deploy):
		owner := ownerIn(deploy.Meta.OwnerReferences)
		if owner == nil {
			return nil, nil, nil
		}
		return c.byName(ctx, ref(Kind(owner.Kind), owner.Name))
	case deploy != nil:
		return deploy, clone, nil
	}
	return stateful, clone, statefulErr
}

// isClone tells whether a workload is a clone that has an original.
func isClone(w *Workload) bool {
	return w.Meta.Labels[LabelClone] != "" && strings.HasSuffix(w.Meta.Name, nameSuffix)
}

// ownerIn returns the reference to the original of a clone; nil when there is
// none of a kind that can be swapped.
func ownerIn(refs []metav1.OwnerReference) *metav1.OwnerReference {
	for i, r := range refs {
		if k := Kind(r.Kind); k == Deployment || k == StatefulSet {
			return &refs[i]
		}
	}
	return nil
}

// get returns a workload, or nil when there is none.
func (c *Client) get(ctx context.Context, kind Kind, name string) (*Workload, error) {
	var w *Workload
	var err error
	if kind == StatefulSet {
		var s *appsv1.StatefulSet
		if s, err = c.Kube.AppsV1().StatefulSets(c.Namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			w = FromStatefulSet(s)
		}
	} else {
		var d *appsv1.Deployment
		if d, err = c.Kube.AppsV1().Deployments(c.Namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			w = FromDeployment(d)
		}
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return w, c.wrap(err, apps("get", kind), name)
}

// getClone returns the clone of a workload, or nil when there is none.
func (c *Client) getClone(ctx context.Context, original string) (*appsv1.Deployment, error) {
	d, err := c.Kube.AppsV1().Deployments(c.Namespace).Get(ctx, original+nameSuffix, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, c.wrap(err, apps("get", Deployment), original+nameSuffix)
	case d.Labels[LabelClone] == "":
		// Somebody's own Deployment that happens to have such a name: it
		// must not be overwritten.
		return nil, &InUseError{Workload: original}
	}
	return d, nil
}

// bySelector finds the one workload that has the labels, and its clone.
func (c *Client) bySelector(ctx context.Context, selector map[string]string) (*Workload, *appsv1.Deployment, error) {
	opts := metav1.ListOptions{LabelSelector: labels.SelectorFromSet(selector).String()}
	found, err := c.list(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	if len(found) > 1 {
		e := &AmbiguousError{Selector: opts.LabelSelector}
		for _, w := range found {
			e.Names = append(e.Names, w.String())
		}
		return nil, nil, e
	}
	if len(found) == 0 {
		return nil, nil, nil
	}
	clone, err := c.getClone(ctx, found[0].Meta.Name)
	return found[0], clone, err
}

// list returns the workloads that are no clones, Deployments first.
func (c *Client) list(ctx context.Context, opts metav1.ListOptions) ([]*Workload, error) {
	var deploys, statefuls []*Workload
	var g errgroup.Group
	g.Go(func() error {
		l, err := c.Kube.AppsV1().Deployments(c.Namespace).List(ctx, opts)
		if err != nil {
			return c.wrap(err, apps("list", Deployment), "")
		}
		for i := range l.Items {
			if w := FromDeployment(&l.Items[i]); !isClone(w) {
				deploys = append(deploys, w)
			}
		}
		return nil
	})
	g.Go(func() error {
		l, err := c.Kube.AppsV1().StatefulSets(c.Namespace).List(ctx, opts)
		if err != nil {
			return c.wrap(err, apps("list", StatefulSet), "")
		}
		for i := range l.Items {
			statefuls = append(statefuls, FromStatefulSet(&l.Items[i]))
		}
		return nil
	})
	err := g.Wait()
	return append(deploys, statefuls...), err
}

// namespaceExists asks for the namespace only when nothing was found in it.
// Who may not read namespaces is not told.
func (c *Client) namespaceExists(ctx context.Context) error {
	_, err := c.Kube.CoreV1().Namespaces().Get(ctx, c.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &NamespaceError{Namespace: c.Namespace}
	}
	return nil
}

// notFound says what there is instead.
func (c *Client) notFound(ctx context.Context, q Query) error {
	e := &NotFoundError{Namespace: c.Namespace, Name: q.Name}
	if len(q.Selector) > 0 {
		e.Name, e.Selector = "", labels.SelectorFromSet(q.Selector).String()
	}
	all, err := c.list(ctx, metav1.ListOptions{})
	if err != nil {
		// The names are an extra; that nothing was found stands.
		return e
	}
	kind, want, err := parseRef(q.Name)
	if err != nil {
		return err
	}
	if len(q.Selector) > 0 {
		want = ""
	}
	var names []string
	for _, w := range all {
		names = append(names, w.Meta.Name)
	}
	e.Near = near(want, names)
	if kind != "" {
		e.Near = withKinds(e.Near, all)
	}
	return e
}

// withKinds writes names as kind/name: who asked for a kind may have asked for
// the wrong one.
func withKinds(names []string, all []*Workload) []string {
	var refs []string
	for _, n := range names {
		for _, w := range all {
			if w.Meta.Name == n {
				refs = append(refs, w.String())
			}
		}
	}
	return refs
}
