package workload

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// Where a custom resource has what a swap needs, unless the manifest says
// otherwise.
const (
	defaultTemplate = "spec.template"
	defaultReplicas = "spec.replicas"
)

// custom is what is known of a workload whose kind not every cluster has.
type custom struct {
	traits traits
	// paths are where its parts are.
	paths manifest.Paths
	// unset is true when the gate's field is not there, which means in service.
	unset bool
	// problem is why it cannot be swapped; nil when it can.
	problem error
}

// UnknownKindError means that the cluster has no such kind.
type UnknownKindError struct {
	// Word is what was asked for.
	Word string
}

func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("the cluster has no kind %q", e.Word)
}

// LayoutError means that an object has not what a swap needs where it was
// looked for.
type LayoutError struct {
	Workload string
	// Missing is what was looked for, Path where.
	Missing, Path string
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("%s has no %s at %s", e.Workload, e.Missing, e.Path)
}

// resolve finds out about a kind that not every cluster has, by a word as
// kubectl takes it: plural, singular or short, with group or version.
func (c *Client) resolve(word string, paths manifest.Paths) (traits, error) {
	mapping, err := c.mapping(word)
	switch {
	case meta.IsNoMatchError(err):
		return traits{}, &UnknownKindError{Word: word}
	case err != nil:
		return traits{}, fmt.Errorf("asking for the kinds of the cluster: %w", err)
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		return traits{}, fmt.Errorf("%s are not in namespaces, and so no workloads", mapping.Resource.Resource)
	}
	kind := kindOf(mapping.GroupVersionKind.GroupVersion().String(), mapping.GroupVersionKind.Kind)
	if t, ok := kind.traits(); ok {
		return t, nil
	}
	t := traits{
		kind: kind, group: mapping.Resource.Group, version: mapping.Resource.Version, resource: mapping.Resource.Resource,
	}
	t.api = func(c *Client) api {
		objects := untyped{c.Dynamic.Resource(mapping.Resource).Namespace(c.Namespace)}
		return apiOf(objects, func(u *unstructured.Unstructured) *Workload { return fromCustom(u, t, paths) })
	}
	return t, nil
}

// declared finds out about those of the kinds that not every cluster has, each
// once. One that this cluster has not has no objects.
func (c *Client) declared(all []Declared) ([]traits, error) {
	var found []traits
	for _, d := range all {
		t, _, err := c.parseRef(d.Kind+"/", d.Paths)
		var unknown *UnknownKindError
		switch _, everywhere := t.kind.traits(); {
		case errors.As(err, &unknown):
		case err != nil:
			return nil, err
		case !everywhere && !slices.ContainsFunc(found, func(o traits) bool { return o.kind == t.kind }):
			found = append(found, t)
		}
	}
	return found, nil
}

// NewMapper returns what tells of the kinds of a cluster, short names included.
// It asks when it is first needed, and keeps the answer.
func NewMapper(api discovery.DiscoveryInterface) meta.RESTMapper {
	cached := memory.NewMemCacheClient(api)
	return restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
}

// mapping asks for the API of a kind.
func (c *Client) mapping(word string) (*meta.RESTMapping, error) {
	full, resource := schema.ParseResourceArg(strings.ToLower(word))
	var kind schema.GroupVersionKind
	err := error(&meta.NoResourceMatchError{})
	if full != nil {
		kind, err = c.Mapper.KindFor(*full)
	}
	if meta.IsNoMatchError(err) {
		kind, err = c.Mapper.KindFor(resource.WithVersion(""))
	}
	if err != nil {
		return nil, err
	}
	return c.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
}

// known returns what is known of a kind that Workload or kindOf has told.
func (c *Client) known(k Kind) (traits, error) {
	if t, ok := k.traits(); ok {
		return t, nil
	}
	return c.resolve(string(k), manifest.Paths{})
}

// fromCustom returns the workload that an object of any kind is. As long as it
// is swapped, its parts are where the swap has found them.
func fromCustom(u *unstructured.Unstructured, t traits, paths manifest.Paths) *Workload {
	w := &Workload{Kind: t.kind, Selector: selectorIn(u), custom: &custom{}}
	if m, ok := u.Object["metadata"].(map[string]any); ok {
		// What cannot be read is no metadata, which no server returns.
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(m, &w.Meta)
	}
	if p := recordOf(w).Paths; p != nil {
		// What cannot be read was not written by a swap.
		_ = json.Unmarshal(p, &paths)
	}
	if paths.Template == "" {
		paths.Template = defaultTemplate
	}
	t.gate = bySuspension(fieldsOf(paths.Suspend)...)
	if paths.Suspend == "" {
		if paths.Replicas == "" {
			paths.Replicas = defaultReplicas
		}
		t.gate = byCount(fieldsOf(paths.Replicas)...)
	}
	w.custom.traits, w.custom.paths = t, paths
	w.custom.problem = cmp.Or(w.readTemplate(u), w.readGate(u))
	ready, _, _ := unstructured.NestedInt64(u.Object, "status", "readyReplicas")
	w.Ready = int32(ready)
	return w
}

// fieldsOf splits a path of the manifest.
func fieldsOf(path string) []string { return strings.Split(path, ".") }

func (w *Workload) readTemplate(u *unstructured.Unstructured) error {
	path := w.custom.paths.Template
	missing := &LayoutError{Workload: w.String(), Missing: "pod template", Path: path}
	template, _, err := unstructured.NestedMap(u.Object, fieldsOf(path)...)
	if err != nil {
		return missing
	}
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(template, &w.Template)
	if err != nil || len(w.Template.Spec.Containers) == 0 {
		return missing
	}
	return nil
}

// readGate takes a field that is not there for one that is in service.
func (w *Workload) readGate(u *unstructured.Unstructured) error {
	fields := w.gate().path
	var err error
	var there bool
	w.Replicas = 1
	if w.custom.paths.Suspend != "" {
		var suspend bool
		if suspend, there, err = unstructured.NestedBool(u.Object, fields...); suspend {
			w.Replicas = 0
		}
		if err != nil {
			return w.shapeless()
		}
	} else {
		var n int64
		if n, there, err = unstructured.NestedInt64(u.Object, fields...); there {
			w.Replicas = int32(n)
		}
		if err != nil {
			return w.shapeless()
		}
	}
	w.custom.unset = !there
	return nil
}

// shapeless says that the gate's field is not what it was taken for.
func (w *Workload) shapeless() error {
	e := &LayoutError{Workload: w.String(), Missing: "number of pods", Path: strings.Join(w.gate().path, ".")}
	if w.custom.paths.Suspend != "" {
		e.Missing = "switch"
	}
	return e
}

// undeclared tells whether a write failed because objects of that kind have no
// such field. The server's words are all that tells it.
func undeclared(err error) bool {
	return err != nil && strings.Contains(message(err), "field not declared in schema")
}

// selectorIn returns the selector of an object's pods, written as in apps/v1 or
// as a plain map of labels; nil when there is none.
func selectorIn(u *unstructured.Unstructured) *metav1.LabelSelector {
	m, there, err := unstructured.NestedMap(u.Object, "spec", "selector")
	if err != nil || !there {
		return nil
	}
	if plain, _, err := unstructured.NestedStringMap(u.Object, "spec", "selector"); err == nil {
		return &metav1.LabelSelector{MatchLabels: plain}
	}
	var s metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(m, &s) != nil {
		return nil
	}
	return &s
}

// check tells why a workload cannot be swapped; nil when it can. paths are the
// manifest's.
func (w *Workload) check(paths manifest.Paths) error {
	switch {
	case w.custom != nil:
		return w.custom.problem
	case paths != manifest.Paths{}:
		return fmt.Errorf("%s has its parts where every %s has them: remove `paths` from the manifest", w, w.Kind)
	}
	return nil
}

// untyped reaches objects of any kind as clients of one kind do.
type untyped struct{ dynamic.ResourceInterface }

// Get returns an object.
func (u untyped) Get(ctx context.Context, name string, opts metav1.GetOptions) (*unstructured.Unstructured, error) {
	return u.ResourceInterface.Get(ctx, name, opts)
}
