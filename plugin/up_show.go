package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// The values of --dry-run, as kubectl has them.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// exitDifferent is the exit code of `up --diff` when it has found differences,
// as that of diff(1) and `kubectl diff`.
const exitDifferent = 1

// templateGeneration is the annotation in which the API server counts the
// changes of a DaemonSet's template.
const templateGeneration = "deprecated.daemonset.template.generation"

// showOptions ask `up` to show what it would write.
type showOptions struct {
	dryRun string
	diff   bool
	output string
}

func (s *showOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.dryRun, "dry-run", dryRunNone, "print the objects that would be written, and write none: none, client, or server, which lets the API server go through it")
	flags.Lookup("dry-run").NoOptDefVal = dryRunClient
	flags.BoolVar(&s.diff, "diff", false, "print how the objects that would be written differ from those in the cluster")
	flags.StringVarP(&s.output, "output", "o", "", "output format of --dry-run: yaml or json")
}

func (s *showOptions) validate() error {
	switch {
	case !slices.Contains([]string{dryRunNone, dryRunClient, dryRunServer}, s.dryRun):
		return usagef("--dry-run %q is not known; use none, client or server", s.dryRun)
	case s.diff && s.dryRun != dryRunNone:
		return usagef("--diff and --dry-run each print something else: leave one out")
	case s.output != "" && s.dryRun == dryRunNone:
		return usagef("--output is that of --dry-run")
	case !slices.Contains([]string{"", "yaml", "json"}, s.output):
		return usagef("output format %q is not known; use yaml or json", s.output)
	}
	return nil
}

func (s *showOptions) asked() bool { return s.diff || s.dryRun != dryRunNone }

// showObjects prints what `up` would write. It binds no port and changes
// nothing in the cluster.
func (o *upOptions) showObjects(ctx context.Context, cluster Cluster, workloads *workload.Client, m *manifest.Manifest, dev *manifest.Dev) error {
	key, err := o.factory.Key()
	if err != nil {
		return err
	}
	d := &development{factory: o.factory, cluster: cluster, dev: dev, console: o.factory.Console()}
	forwards, err := d.plannedForwards(ctx, workloads, m)
	if err != nil {
		return err
	}
	e, err := o.environment(d, workloads, key, forwards)
	if err != nil {
		return err
	}
	d.environment, d.services = e, newServices(workloads, d.console, dev, o.factory.Holder())
	if err := d.find(ctx); err != nil {
		return err
	}
	if holder := e.found.Holder(); holder != "" && !o.takeOver {
		d.console.Note("%s is held by %s", dev.Name, holder)
	}
	plan, err := workloads.Plan(ctx, e.found, e.spec, e.claimant)
	if err != nil {
		return err
	}
	d.services.follow(e.spec)
	services, err := d.services.plan()
	if err != nil {
		return err
	}
	var objects []*unstructured.Unstructured
	if o.show.dryRun == dryRunClient {
		for _, p := range slices.Concat(plan, services) {
			mask(nil, p.Object)
			objects = append(objects, p.Object)
		}
		return o.print(objects)
	}
	changes, err := e.dryRun(ctx, plan, services)
	if err != nil {
		return err
	}
	if o.show.diff {
		return o.printDiff(changes)
	}
	for _, c := range changes {
		mask(nil, c.After)
		objects = append(objects, c.After)
	}
	return o.print(objects)
}

// dryRun asks the API server. Where it mounts no images as volumes, it is
// asked again without, as Swap does.
func (e *environment) dryRun(ctx context.Context, plan, services []workload.Planned) ([]workload.Difference, error) {
	changes, err := e.workloads.DryRun(ctx, slices.Concat(plan, services))
	if !e.spec.ImageVolumes || !workload.AboutImageVolume(err) {
		return changes, err
	}
	e.spec.ImageVolumes = false
	if plan, err = e.workloads.Plan(ctx, e.found, e.spec, e.claimant); err != nil {
		return nil, err
	}
	return e.workloads.DryRun(ctx, slices.Concat(plan, services))
}

// plannedForwards are the forwards that the Lease would show.
func (d *development) plannedForwards(ctx context.Context, workloads *workload.Client, m *manifest.Manifest) ([]string, error) {
	var texts []string
	for _, f := range slices.Concat(d.ownForwards(), m.Forward) {
		f, err := byService(ctx, workloads, f)
		if err != nil {
			return nil, err
		}
		texts = append(texts, devsession.ForwardText(f))
	}
	return d.withReverses(texts), nil
}

// print writes objects as kubectl does: documents of YAML, or a list in JSON.
func (o *upOptions) print(objects []*unstructured.Unstructured) error {
	var text []byte
	if o.show.output == "json" {
		list := map[string]any{"apiVersion": "v1", "kind": "List", "items": objects}
		raw, err := json.MarshalIndent(list, "", "    ")
		if err != nil {
			return fmt.Errorf("rendering objects: %w", err)
		}
		text = append(raw, '\n')
	} else {
		for i, object := range objects {
			if i > 0 {
				text = append(text, "---\n"...)
			}
			raw, err := yaml.Marshal(object.Object)
			if err != nil {
				return fmt.Errorf("rendering objects: %w", err)
			}
			text = append(text, raw...)
		}
	}
	_, err := o.factory.Streams.Out.Write(text)
	return err
}

// printDiff writes unified differences. The Lease is left out: it changes with
// each sign of life of its holder.
func (o *upOptions) printDiff(changes []workload.Difference) error {
	different := false
	for _, c := range changes {
		if c.After.GetKind() == "Lease" {
			continue
		}
		name := fmt.Sprintf("%s/%s", c.After.GetKind(), c.After.GetName())
		mask(c.Live, c.After)
		before, err := comparably(c.Live)
		if err != nil {
			return err
		}
		after, err := comparably(c.After)
		if err != nil {
			return err
		}
		text := diff.Diff("live "+name, before, "up "+name, after)
		if len(text) == 0 {
			continue
		}
		different = true
		if _, err := o.factory.Streams.Out.Write(text); err != nil {
			return err
		}
	}
	if different {
		return &codeError{exitDifferent}
	}
	return nil
}

// mask hides the contents of a Secret, and keeps what differs different.
func mask(live, after *unstructured.Unstructured) {
	if after.GetKind() != "Secret" {
		return
	}
	values := func(o *unstructured.Unstructured) map[string]any {
		if o == nil {
			return nil
		}
		data, _ := o.Object["data"].(map[string]any)
		return data
	}
	before, now := values(live), values(after)
	for key, v := range now {
		if old, there := before[key]; there && old != v {
			now[key] = "*** (other content)"
		} else {
			now[key] = "***"
		}
	}
	for key := range before {
		before[key] = "***"
	}
}

// comparably renders an object without its status and what every write
// changes or the API server makes up.
func comparably(o *unstructured.Unstructured) ([]byte, error) {
	if o == nil {
		return nil, nil
	}
	o = o.DeepCopy()
	unstructured.RemoveNestedField(o.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	annotations := o.GetAnnotations()
	delete(annotations, templateGeneration)
	o.SetAnnotations(annotations)
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", o.GetName(), err)
	}
	return text, nil
}
