package workload

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/pace"
)

// enough is how long a list and watch has to last for the pauses between them to
// start over.
const enough = 2 * time.Second

// listed is the type of a sighting that is the whole state, not a change.
const listed watch.EventType = "LISTED"

// sighting is what a source saw.
type sighting struct {
	rule Rule
	kind watch.EventType
	objs []runtime.Object
	// err, when not nil, is why the source saw nothing. final tells that it
	// never will: the source has ended.
	err   error
	final bool
}

// source lists one kind of object, then watches it.
type source struct {
	rule  Rule
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
	opts  metav1.ListOptions
	// fresh leaves out what was there before.
	fresh bool
}

// run sends what it sees until ctx ends or the user may not look. After a
// lost connection it lists again, so that a deletion is never missed. Who is not
// known to the server may be when he has logged in again.
func (s source) run(ctx context.Context, out chan<- sighting) {
	ctx = eager(ctx)
	var pauses pace.Pace
	for ctx.Err() == nil {
		opened := time.Now()
		err := s.once(ctx, out)
		answered := pace.Answered(err)
		if answered && time.Since(opened) > enough {
			pauses = pace.Pace{}
		}
		if err != nil {
			final := apierrors.IsForbidden(err)
			if !send(ctx, out, sighting{rule: s.rule, err: err, final: final}) || final {
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pauses.Next(time.Now(), answered)):
		}
	}
}

// once lists, then watches until the watch ends.
func (s source) once(ctx context.Context, out chan<- sighting) error {
	opts := s.opts
	if s.fresh {
		opts.Limit = 1
	}
	l, err := s.list(ctx, opts)
	if err != nil {
		return err
	}
	if !s.fresh {
		objs, err := meta.ExtractList(l)
		if err != nil {
			return err
		}
		if !send(ctx, out, sighting{rule: s.rule, kind: listed, objs: objs}) {
			return nil
		}
	}
	at, err := meta.ListAccessor(l)
	if err != nil {
		return err
	}
	opts = s.opts
	opts.ResourceVersion = at.GetResourceVersion()
	w, err := s.watch(ctx, opts)
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.ResultChan():
			switch {
			case !ok:
				return nil
			case e.Type == watch.Error:
				return apierrors.FromObject(e.Object)
			case e.Type == watch.Bookmark:
				continue
			}
			if !send(ctx, out, sighting{rule: s.rule, kind: e.Type, objs: []runtime.Object{e.Object}}) {
				return nil
			}
		}
	}
}

func send(ctx context.Context, out chan<- sighting, s sighting) bool {
	select {
	case out <- s:
		return true
	case <-ctx.Done():
		return false
	}
}

// observed is the part of a client for one kind of object that a source needs.
type observed[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// observe returns the source of one kind of object.
func observe[L runtime.Object](rule Rule, api observed[L], opts metav1.ListOptions) source {
	return source{
		rule:  rule,
		list:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return api.List(ctx, o) },
		watch: api.Watch,
		opts:  opts,
	}
}

// watchWorkload watches the one workload of a name.
func (c *Client) watchWorkload(t traits, name string) source {
	opts := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	return t.api(c).watch(t.rule("watch"), opts)
}

func (c *Client) watchClone(name string) source {
	t, _ := Deployment.traits()
	return c.watchWorkload(t, name)
}

func (c *Client) watchPods(labelSelector string) source {
	return observe(core("watch", "pods"), c.Kube.CoreV1().Pods(c.Namespace), metav1.ListOptions{LabelSelector: labelSelector})
}

// watchEvents watches what is reported from now on.
func (c *Client) watchEvents() source {
	s := observe(core("watch", "events"), c.Kube.CoreV1().Events(c.Namespace), metav1.ListOptions{})
	s.fresh = true
	return s
}
