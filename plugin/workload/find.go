package workload

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
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
	// Selector selects the workload by its own labels, as in kubectl -l.
	Selector string
	// Among are the kinds to look among with Selector, beside those that every
	// cluster has.
	Among []Declared
	// Paths are where a custom resource has what a swap needs.
	Paths manifest.Paths
	// Dev is the dev environment's name, by which its Lease is found.
	Dev string
	// Autocreate is the manifest's entry to make a workload from when there
	// is none; nil means that there has to be one.
	Autocreate *manifest.Dev
}

// Declared is a kind that a manifest names, and where its objects have what a swap
// needs.
type Declared struct {
	// Kind is written as in kind/name.
	Kind  string
	Paths manifest.Paths
}

// SelectorOf returns the selector of what has all the labels; empty for none.
func SelectorOf(all map[string]string) string { return labels.SelectorFromSet(all).String() }

// CheckSelector tells what is wrong with a selector.
func CheckSelector(selector string) error {
	_, err := labels.Parse(selector)
	return err
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
	// Least is the least that a container may have by the namespace's
	// LimitRanges, where the query names a dev environment.
	Least corev1.ResourceList
}

// Find finds a workload and what exists of its dev environment. Everything is
// asked at once, so that it takes one round trip. Errors: NotFoundError,
// AmbiguousError, MadeError, UnknownKindError, LayoutError, NamespaceError,
// ForbiddenError.
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
		g.Go(func() (err error) {
			f.Least, err = c.least(ctx)
			return err
		})
	}
	g.Go(func() (err error) {
		if q.Selector != "" {
			f.Workload, f.Clone, err = c.bySelector(ctx, q.Selector, q.Among)
			return err
		}
		f.Workload, f.Clone, err = c.byName(ctx, q.Name, q.Paths)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if f.Workload != nil {
		if by, made := c.maker(ctx, f.Workload); made {
			return nil, &MadeError{Workload: f.String(), By: by}
		}
		return f, f.check(q.Paths)
	}
	if err := c.CheckNamespace(ctx); err != nil {
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

// byName finds a workload and its clone; both are nil when there is none. A
// name without a kind is most often a Deployment's or a StatefulSet's: the
// other kinds are asked for only when it is neither's.
func (c *Client) byName(ctx context.Context, name string, paths manifest.Paths) (*Workload, *appsv1.Deployment, error) {
	asked, name, err := c.parseRef(name, paths)
	if err != nil {
		return nil, nil, err
	}
	usual, others := []traits{asked}, []traits(nil)
	if asked.kind == "" {
		usual, others = kinds()[:usualKinds], kinds()[usualKinds:]
	}
	var clone *appsv1.Deployment
	var w *Workload
	var missed error
	var g errgroup.Group
	g.Go(func() error { w, missed = c.first(ctx, usual, name); return nil })
	g.Go(func() (err error) { clone, err = c.getClone(ctx, name); return err })
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	if w == nil {
		// That one of these may not be read says nothing to who has none.
		w, _ = c.first(ctx, others, name)
	}
	if clone != nil && (asked.kind == "" || asked.kind == Pod) {
		w = lastSeen(w, &clone.ObjectMeta)
	}
	switch {
	case w == nil:
		return nil, nil, missed
	case !isClone(w):
		return w, clone, nil
	}
	kind, name := originalIn(&w.Meta)
	if name == "" {
		return nil, nil, nil
	}
	return c.byName(ctx, ref(kind, name), paths)
}

// first returns the workload of a name, that of the first kind which has one;
// nil when there is none.
func (c *Client) first(ctx context.Context, asked []traits, name string) (*Workload, error) {
	found, errs := make([]*Workload, len(asked)), make([]error, len(asked))
	var g errgroup.Group
	for i, t := range asked {
		g.Go(func() error { found[i], errs[i] = c.get(ctx, t, name); return nil })
	}
	_ = g.Wait() // the errors are in errs
	for _, w := range found {
		if w != nil {
			return w, nil
		}
	}
	return nil, cmp.Or(errs...)
}

// isClone tells whether a workload is a clone that has an original.
func isClone(w *Workload) bool {
	return w.Meta.Labels[LabelClone] != "" && strings.HasSuffix(w.Meta.Name, nameSuffix)
}

// ownerIn returns the reference to the original of what a swap has made; nil
// when there is none.
func ownerIn(refs []metav1.OwnerReference) *metav1.OwnerReference {
	if len(refs) == 0 {
		return nil
	}
	return &refs[0]
}

// originalIn returns the original of a clone; no name when it does not tell.
func originalIn(clone *metav1.ObjectMeta) (Kind, string) {
	if w := remembered(clone); w != nil {
		return Pod, w.Meta.Name
	}
	if o := ownerIn(clone.OwnerReferences); o != nil {
		return kindOf(o.APIVersion, o.Kind), o.Name
	}
	return "", ""
}

// get returns a workload, or nil when there is none.
func (c *Client) get(ctx context.Context, t traits, name string) (*Workload, error) {
	w, err := t.api(c).get(ctx, name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return w, c.wrap(err, t.rule("get"), name)
}

// getClone returns the clone of a workload, or nil when there is none.
func (c *Client) getClone(ctx context.Context, original string) (*appsv1.Deployment, error) {
	d, err := c.Kube.AppsV1().Deployments(c.Namespace).Get(ctx, original+nameSuffix, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, c.wrap(err, Deployment.rule("get"), original+nameSuffix)
	case d.Labels[LabelClone] == "":
		// Somebody's own Deployment that happens to have such a name: it
		// must not be overwritten.
		return nil, &InUseError{Workload: original}
	}
	return d, nil
}

// bySelector finds the one workload that a selector selects, and its clone.
func (c *Client) bySelector(ctx context.Context, selector string, among []Declared) (*Workload, *appsv1.Deployment, error) {
	custom, err := c.declared(among)
	if err != nil {
		return nil, nil, err
	}
	l, err := c.list(ctx, metav1.ListOptions{LabelSelector: selector}, custom...)
	found := l.workloads
	if len(found) == 0 {
		err = cmp.Or(err, l.denied)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(found) > 1 {
		e := &AmbiguousError{Selector: selector}
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

// listing is what list has found, in the order of kinds.
type listing struct {
	workloads []*Workload
	clones    []appsv1.Deployment
	// denied is about the kinds that may not be listed; nil when all may.
	denied error
}

// list returns the workloads, also of more kinds than those that every cluster
// has, without those that others of them made, and apart from them their clones.
// Of the kinds, only Deployments have to be allowed, the clone's.
func (c *Client) list(ctx context.Context, opts metav1.ListOptions, more ...traits) (listing, error) {
	all := append(kinds(), more...)
	found, denied := make([][]*Workload, len(all)), make([]error, len(all))
	var l listing
	var g errgroup.Group
	for i, t := range all {
		g.Go(func() error {
			api := t.api(c)
			objs, err := api.list(ctx, opts)
			if err != nil {
				err = c.wrap(err, t.rule("list"), "")
				if !apierrors.IsForbidden(err) || t.kind == Deployment {
					return err
				}
				denied[i] = err
			}
			for _, o := range objs {
				w := api.of(o)
				if d, ok := o.(*appsv1.Deployment); ok && isClone(w) {
					l.clones = append(l.clones, *d)
				} else if maker(w) == nil && w.Meta.Labels[LabelInteractive] == "" { // else a swap made it
					found[i] = append(found[i], w)
				}
			}
			return nil
		})
	}
	err := g.Wait()
	l.workloads, l.denied = slices.Concat(found...), cmp.Or(denied...)
	return l, err
}

// CheckNamespace returns a NamespaceError when the namespace does not exist or is
// being deleted. It is asked only when something is missing in it; who may not
// read namespaces is not told.
func (c *Client) CheckNamespace(ctx context.Context) error {
	n, err := c.Kube.CoreV1().Namespaces().Get(ctx, c.Namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return &NamespaceError{Namespace: c.Namespace}
	case err == nil && n.DeletionTimestamp != nil:
		return &NamespaceError{Namespace: c.Namespace, Ending: true}
	}
	return nil
}

// notFound says what there is instead.
func (c *Client) notFound(ctx context.Context, q Query) error {
	e := &NotFoundError{Namespace: c.Namespace, Name: q.Name}
	if q.Selector != "" {
		e.Name, e.Selector = "", q.Selector
	}
	l, err := c.list(ctx, metav1.ListOptions{})
	if err != nil {
		// The names are an extra; that nothing was found stands.
		return e
	}
	asked, want, err := c.parseRef(q.Name, q.Paths)
	if err != nil {
		return err
	}
	if q.Selector != "" {
		want = ""
	}
	var names []string
	for _, w := range l.workloads {
		names = append(names, w.Meta.Name)
	}
	e.Near = near(want, names)
	if asked.kind != "" {
		e.Near = withKinds(e.Near, l.workloads)
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
