package workload

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// Planned is an object that Acquire or Swap would write.
type Planned struct {
	// Object is what would be sent. Of what exists already and is not ours
	// it has the fields that would be written, and no others.
	Object *unstructured.Unstructured

	// rule is the right that the write needs; it names the resource too.
	rule Rule
	// patch is how it would be written; empty means that it would be created.
	patch types.PatchType
	// dispensable is true when Swap does without where the write is refused.
	dispensable bool
}

// Plan returns what Acquire and Swap would write, in their order, and writes
// nothing: the Lease, the workload of a dev environment that has none, what gives
// the original back when no laptop is heard of, the claim where something is to be
// done about it, the Secret, the clone, then the original at 0 replicas, and what keeps
// KEDA off it, or the Service of a workload that there was none of. Whoever holds the Lease is not asked.
func (c *Client) Plan(ctx context.Context, f *Found, s Spec, who Claimant) ([]Planned, error) {
	lease := leaseFor(f.Workload, f.Lease, who, c.now())
	lease.Namespace = c.Namespace
	write := Planned{rule: leases("create")}
	if f.Lease != nil {
		write = Planned{rule: leases("patch"), patch: types.MergePatchType}
	}
	plan := make([]Planned, 0, 4)
	add := func(o runtime.Object, p Planned) error {
		p, err := planned(o, p)
		plan = append(plan, p)
		return err
	}
	if err := add(lease, write); err != nil {
		return nil, err
	}
	if f.Meta.UID == "" {
		made, err := Sandbox(&s.Dev, c.Namespace)
		if err != nil {
			return nil, err
		}
		if err := add(made, Planned{rule: Deployment.rule("create")}); err != nil {
			return nil, err
		}
	}
	s.ImageUser, s.Least, s.Armed = c.imageUser(ctx, f, &s.Dev), f.Least, s.Dev.AutoDown
	s.Scalers = pausable(f.Workload, f.Autoscalers)
	armed, err := planAutoDown(f.Workload, &s)
	if err != nil {
		return nil, err
	}
	plan = append(plan, armed...)
	r, err := Clone(f.Workload, f.Clone, s)
	if err != nil {
		return nil, err
	}
	if wantsClaim(&s.Dev) {
		claim, grow, err := c.claimChange(ctx, &s.Dev)
		if err != nil {
			return nil, err
		}
		write := Planned{rule: core("patch", "persistentvolumeclaims"), patch: types.ApplyPatchType}
		if grow {
			write.patch = types.MergePatchType
		}
		if claim != nil {
			if err := add(claim, write); err != nil {
				return nil, err
			}
		}
	}
	if len(s.Secrets) > 0 {
		if s.SecretUID, err = c.secretUID(ctx, s.Dev.Name); err != nil {
			return nil, err
		}
		if r, err = Clone(f.Workload, f.Clone, s); err != nil {
			return nil, err
		}
		if err := add(secretFor(f.Workload, &s), Planned{rule: core("patch", "secrets"), patch: types.ApplyPatchType}); err != nil {
			return nil, err
		}
	}
	if err := add(r.Clone, Planned{rule: Deployment.rule("patch"), patch: types.ApplyPatchType}); err != nil {
		return nil, err
	}
	if autocreated(f.Workload) {
		service, err := c.planService(ctx, f.Workload, &s.Dev)
		return append(plan, service...), err
	}
	original, err := c.planOriginal(f, &s)
	return append(plan, original...), err
}

// planned completes a write by its object.
func planned(o runtime.Object, p Planned) (Planned, error) {
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return p, fmt.Errorf("rendering what would be written: %w", err)
	}
	p.Object = &unstructured.Unstructured{Object: raw}
	return p, nil
}

// planOriginal returns what takes an original out of service.
func (c *Client) planOriginal(f *Found, s *Spec) ([]Planned, error) {
	if f.pod != nil {
		return nil, nil // it is deleted
	}
	original, err := ScaledDown(f.Workload, &s.Dev)
	if err != nil {
		return nil, err
	}
	plan := []Planned{{Object: original, rule: f.traits().rule("patch"), patch: types.ApplyPatchType}}
	return append(plan, c.plannedPauses(f)...), nil
}

// planAutoDown returns what gives the original back when no laptop is heard of.
func planAutoDown(w *Workload, s *Spec) ([]Planned, error) {
	if s.Armed == 0 {
		return nil, nil
	}
	a, err := autoDownFor(w, s, "")
	if err != nil {
		return nil, err
	}
	var plan []Planned
	for _, part := range []struct {
		object runtime.Object
		rule   Rule
	}{
		{a.role, roles("patch")}, {a.account, core("patch", "serviceaccounts")},
		{a.binding, bindings("patch")}, {a.job, cronJobs("patch")},
	} {
		p, err := planned(part.object, Planned{rule: part.rule, patch: types.ApplyPatchType, dispensable: true})
		if err != nil {
			return nil, err
		}
		plan = append(plan, p)
	}
	return plan, nil
}

// Difference is an object before and after it would be written.
type Difference struct {
	// Live is the object as it is; nil when there is none.
	Live *unstructured.Unstructured
	// After is the object as the API server would store it, with what
	// defaults and admission add.
	After *unstructured.Unstructured
}

// DryRun lets the API server go through the writes of a plan, admission
// included, without storing anything.
func (c *Client) DryRun(ctx context.Context, plan []Planned) ([]Difference, error) {
	var done []Difference
	made := map[string]types.UID{}
	for _, p := range plan {
		o := p.Object.DeepCopy()
		own(o, made)
		// Nothing is stored, so that who writes meanwhile is in nobody's way.
		o.SetResourceVersion("")
		r := c.Dynamic.Resource(schema.GroupVersionResource{Group: p.rule.Group, Version: o.GroupVersionKind().Version, Resource: p.rule.Resource}).Namespace(c.Namespace)
		var d Difference
		var err error
		if p.patch == "" {
			d.After, err = r.Create(ctx, o, metav1.CreateOptions{FieldManager: FieldManager, DryRun: []string{metav1.DryRunAll}})
		} else {
			d, err = dryPatch(ctx, r, p.patch, o)
		}
		switch {
		case err == nil:
			made[o.GetKind()+"/"+o.GetName()] = d.After.GetUID()
		case p.dispensable:
			d.After = o
		default:
			return nil, c.wrap(err, p.rule, o.GetName())
		}
		done = append(done, d)
	}
	return done, nil
}

// own names the owner of an object that only a dry run has made. made has the
// UIDs by kind/name.
func own(o *unstructured.Unstructured, made map[string]types.UID) {
	refs := o.GetOwnerReferences()
	if len(refs) == 0 || refs[0].UID != "" {
		return
	}
	refs[0].UID = made[refs[0].Kind+"/"+refs[0].Name]
	o.SetOwnerReferences(refs)
	labels := o.GetLabels()
	if of, clone := labels[LabelClone]; clone && of == "" {
		labels[LabelClone] = string(refs[0].UID)
		o.SetLabels(labels)
	}
}

func dryPatch(ctx context.Context, r dynamic.ResourceInterface, pt types.PatchType, o *unstructured.Unstructured) (d Difference, err error) {
	if d.Live, err = r.Get(ctx, o.GetName(), metav1.GetOptions{}); unlessGone(err) != nil {
		return d, err
	}
	if err != nil {
		d.Live = nil
	}
	body, err := o.MarshalJSON()
	if err != nil {
		return d, fmt.Errorf("rendering %s: %w", o.GetName(), err)
	}
	opts := metav1.PatchOptions{FieldManager: FieldManager}
	if pt == types.ApplyPatchType {
		opts = applyOptions()
	}
	opts.DryRun = []string{metav1.DryRunAll}
	d.After, err = r.Patch(ctx, o.GetName(), pt, body, opts)
	return d, err
}
