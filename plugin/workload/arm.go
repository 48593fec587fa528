package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// armedFor returns after what time without a laptop the original of a clone is
// given back; 0 for never.
func armedFor(clone *appsv1.Deployment) time.Duration {
	if clone == nil {
		return 0
	}
	after, err := time.ParseDuration(clone.Annotations[AnnotationAutoDown])
	if err != nil {
		return 0
	}
	return after
}

// arm makes what gives the original back when no laptop is heard of, or takes it
// away where that is not wanted any more. It comes before all else that a swap
// makes, so that a plugin that is killed at any point leaves it behind. Who may not
// make it develops without: the warning says why.
func (c *Client) arm(ctx context.Context, w *Workload, prior *appsv1.Deployment, s *Spec) (warning string) {
	s.Armed = armedFor(prior)
	var err error
	switch {
	case s.Dev.AutoDown > 0:
		err = c.applyAutoDown(ctx, w, s)
	case s.Armed > 0:
		if _, err = c.disarm(ctx, s.Dev.Name, w.Meta.Name); err == nil {
			s.Armed = 0
		}
	}
	switch {
	case err == nil || prior != nil && s.Armed == 0:
		// Who develops without has been told when it began.
		return ""
	case s.Armed > 0:
		return fmt.Sprintf("%s is still given back after %s without a laptop: %v", w, s.Armed, err)
	}
	return fmt.Sprintf("nothing gives %s back when this machine vanishes, but `down`: %v", w, err)
}

// applyAutoDown writes the Role first, as what most are not allowed to make. What
// depends on it follows at once; when one part is refused, none stays. It notes in
// the spec how the environment is armed then.
func (c *Client) applyAutoDown(ctx context.Context, w *Workload, s *Spec) error {
	a, err := autoDownFor(w, s, "")
	if err != nil {
		return err
	}
	role, err := applyOwn(ctx, c, c.Kube.RbacV1().Roles(c.Namespace), roles(""), a.role)
	if err != nil && len(s.Scalers) > 0 {
		// Who may not patch ScaledObjects cannot pause them either.
		s.Scalers = nil
		return c.applyAutoDown(ctx, w, s)
	}
	if err != nil {
		return err
	}
	if a, err = autoDownFor(w, s, role.UID); err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error {
		_, err := applyOwn(ctx, c, c.Kube.CoreV1().ServiceAccounts(c.Namespace), core("", "serviceaccounts"), a.account)
		return err
	})
	g.Go(func() error {
		_, err := applyOwn(ctx, c, c.Kube.RbacV1().RoleBindings(c.Namespace), bindings(""), a.binding)
		return err
	})
	g.Go(func() error {
		_, err := applyOwn(ctx, c, c.Kube.BatchV1().CronJobs(c.Namespace), cronJobs(""), a.job)
		return err
	})
	if err := g.Wait(); err != nil {
		if ctx.Err() == nil {
			s.Armed = 0
			_, _ = c.disarm(ctx, s.Dev.Name, w.Meta.Name) // it is the first error that tells
		}
		return err
	}
	s.Armed = s.Dev.AutoDown
	return nil
}

// writer is the part of a client for one kind of object that applyOwn needs.
type writer[T metav1.Object] interface {
	Get(context.Context, string, metav1.GetOptions) (T, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)
}

// applyOwn applies an object of a dev environment. Another one of its name is left
// alone.
func applyOwn[T metav1.Object](ctx context.Context, c *Client, objects writer[T], rule Rule, want T) (none T, err error) {
	name := want.GetName()
	have, err := objects.Get(ctx, name, metav1.GetOptions{})
	rule.Verb = "get"
	switch {
	case err != nil && !apierrors.IsNotFound(err):
		return none, c.wrap(err, rule, name)
	case err == nil && have.GetLabels()[LabelInteractive] != want.GetLabels()[LabelInteractive]:
		return none, fmt.Errorf("%s %s exists, and this plugin did not make it", rule.Resource, name)
	}
	body, err := json.Marshal(want)
	if err != nil {
		return none, fmt.Errorf("rendering %s %s: %w", rule.Resource, name, err)
	}
	applied, err := objects.Patch(ctx, name, types.ApplyPatchType, body, applyOptions())
	if apierrors.IsForbidden(err) && strings.Contains(message(err), "attempting to grant") {
		// It is not the right to write it that is missing.
		return none, fmt.Errorf("%s", strings.ReplaceAll(message(err), "\n", " "))
	}
	rule.Verb = "patch"
	return applied, c.wrap(err, rule, name)
}

// disarm deletes the Roles that swaps of a dev environment made, and by that all
// that they own; that of one workload unless its name is empty.
func (c *Client) disarm(ctx context.Context, dev, workload string) (bool, error) {
	api := c.Kube.RbacV1().Roles(c.Namespace)
	l, err := api.List(ctx, metav1.ListOptions{LabelSelector: LabelInteractive})
	if err != nil {
		return false, c.wrap(err, roles("list"), "")
	}
	gone := false
	var errs []error
	for _, role := range l.Items {
		if role.Labels[LabelInteractive] != dev || workload != "" && role.Name != autoDownName(workload) {
			continue
		}
		err := api.Delete(ctx, role.Name, deleteOptions(role.UID))
		gone = gone || deleted(err)
		errs = append(errs, c.wrap(unlessGone(err), roles("delete"), role.Name))
	}
	return gone, errors.Join(errs...)
}

// maxUse is the longest time between two signs of use.
const maxUse = 5 * time.Minute

// Use tells until ctx ends that somebody uses a dev environment without holding
// it, so that it does not end under them. That this cannot be told is no error.
func (c *Client) Use(ctx context.Context, e *Environment) {
	if e.AutoDown == 0 {
		return
	}
	tick := time.NewTicker(min(e.AutoDown/4, maxUse))
	defer tick.Stop()
	for {
		used := c.now().UTC().Format(time.RFC3339Nano)
		body := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, AnnotationUsed, used)
		_, _ = c.Kube.CoordinationV1().Leases(c.Namespace).
			Patch(ctx, leaseName(e.Dev), types.MergePatchType, []byte(body), metav1.PatchOptions{FieldManager: FieldManager})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
