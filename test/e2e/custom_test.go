//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// resources are the definitions of three kinds in a group: one like Argo's
// Rollout, one that has its parts elsewhere, and one without a pod template.
const resources = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Rollout, plural: rollouts, singular: rollout, shortNames: [SHORT]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              replicas: {type: integer, minimum: 0}
              selector: {type: object, properties: {matchLabels: {type: object, additionalProperties: {type: string}}}}
              strategy: {type: object, x-kubernetes-preserve-unknown-fields: true}
              template:
                type: object
                properties:
                  metadata: {type: object, x-kubernetes-preserve-unknown-fields: true}
                  spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: flows.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Flow, plural: flows, singular: flow}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              paused: {type: boolean}
              size: {type: integer, default: 4}
              job: {type: object, properties: {podTemplate: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: plains.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Plain, plural: plains, singular: plain}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {replicas: {type: integer}, template: {type: string}}}
`

// customPlace is a place with the kinds of resources; their group, and the short
// name of rollouts.
func customPlace(t *testing.T) (p *place, group, short string) {
	t.Helper()
	p = newPlace(t)
	group, short = p.Namespace+".example.com", strings.ReplaceAll(p.Namespace, "-", "")
	definitions := strings.NewReplacer("GROUP", group, "SHORT", short).Replace(resources)
	p.apply(definitions)
	t.Cleanup(func() {
		if out, err := p.Kubectl(context.Background(), definitions, "delete", "--wait=false", "-f", "-"); err != nil {
			t.Error(out, err)
		}
	})
	for _, plural := range []string{"rollouts", "flows", "plains"} {
		p.kubectl("wait", "--timeout=60s", "--for=condition=Established", "crd/"+plural+"."+group)
	}
	return p, group, short
}

// rollout is an object that may have more in its spec.
func (p *place) rollout(group, name, more string) string {
	return fmt.Sprintf(`
apiVersion: %s/v1alpha1
kind: Rollout
metadata: {name: %s, labels: {from: user}}
spec:
  %s
  selector: {matchLabels: {app: %[2]s}}
  strategy: {canary: {steps: [{setWeight: 20}]}}
  template: {metadata: {labels: {app: %[2]s}}, spec: %[4]s}
`, group, name, more, p.sleeper())
}

func (p *place) flow(group, name, more string) string {
	return fmt.Sprintf(`
apiVersion: %s/v1
kind: Flow
metadata: {name: %s}
spec:
  %s
  job: {podTemplate: {spec: %s}}
`, group, name, more, p.sleeper())
}

func (p *place) sleeper() string {
	return fmt.Sprintf(`{terminationGracePeriodSeconds: 1, containers: [{name: main, image: "%s/busybox:1", workingDir: /work, command: [sleep, "86400"]}]}`, p.Registry)
}

// owners lists who owns which fields of an object.
func (p *place) owners(object string) string {
	p.t.Helper()
	var o struct {
		Metadata struct{ ManagedFields []metav1.ManagedFieldsEntry }
	}
	if err := json.Unmarshal([]byte(p.kubectl("get", object, "-o", "json", "--show-managed-fields")), &o); err != nil {
		p.t.Fatal(err)
	}
	var all []string
	for _, e := range o.Metadata.ManagedFields {
		fields, err := json.Marshal(e.FieldsV1)
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, fmt.Sprint(e.Manager, e.Operation, string(fields)))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// TestCustomResources develops in custom resources that were made in all the
// ways that people make them, and compares what comes back.
func TestCustomResources(t *testing.T) {
	t.Parallel()
	p, group, short := customPlace(t)
	p.write("okteto.yaml", strings.ReplaceAll(`dev:
  paused:
    name: flow.GROUP/paused
    paths: {template: spec.job.podTemplate, suspend: spec.paused}
    sync: [".:/work"]
  running:
    name: flows.v1.GROUP/running
    paths: {template: spec.job.podTemplate, suspend: spec.paused}
    sync: [".:/work"]
  sized:
    name: Flow.GROUP/sized
    paths: {template: spec.job.podTemplate, replicas: spec.size}
    sync: [".:/work"]
`, "GROUP", group))
	manifest := p.src
	serverSide := []string{"apply", "--server-side", "--field-manager=helm"}
	for _, c := range []struct {
		object string
		make   []string
		// object is how kubectl prints its name; up and down are what the plugin
		// is told, with the manifest where up is no kind/name.
		name, up, down, state string
	}{
		{p.rollout(group, "created", "replicas: 2"), []string{"create"}, "rollout/created", short + "/created", "created", " (2 replicas)"},
		{p.rollout(group, "applied", "replicas: 1"), []string{"apply"}, "rollout/applied", "rollouts.GROUP/applied", short + "/applied", " (1 replica)"},
		{p.rollout(group, "served", "replicas: 3"), serverSide, "rollout/served", "Rollout.v1alpha1.GROUP/served", "rollout.GROUP/served", " (3 replicas)"},
		{p.rollout(group, "uncounted", ""), serverSide, "rollout/uncounted", short + "/uncounted", "uncounted", " (1 replica)"},
		{p.flow(group, "paused", "paused: true"), serverSide, "flow/paused", "paused", "paused", ""},
		{p.flow(group, "running", ""), []string{"create"}, "flow/running", "running", "running", " (not suspended)"},
		{p.flow(group, "sized", ""), []string{"apply"}, "flow/sized", "sized", "sized", " (4 replicas)"},
	} {
		kind, name, _ := strings.Cut(c.name, "/")
		object := kind + "." + group + "/" + name
		c.up, c.down = strings.ReplaceAll(c.up, "GROUP", group), strings.ReplaceAll(c.down, "GROUP", group)
		t.Run(c.name, func(t *testing.T) {
			here := *p
			here.t, here.src = t, manifest
			p := &here
			if strings.Contains(c.up, "/") {
				p.src = t.TempDir()
			}
			p.write("file", "content")
			if out, err := p.Kubectl(t.Context(), c.object, append(slices.Clone(c.make), "-f", "-")...); err != nil {
				t.Fatal(out, err)
			}
			before, owners := p.snapshot(object), p.owners(object)
			for range 2 { // the second time it comes back
				if r := p.ok("up", c.up, "--", "cat", "/work/file"); r.stdout != "content" {
					t.Errorf("the command wrote %q", r.stdout)
				}
			}
			if p.snapshot(object) == before {
				t.Error("up left the original as it was")
			}
			if r := p.run("", "up", c.up, "--diff"); r.code != 0 {
				t.Errorf("up --diff finds a difference to what up has made:\n%s%s", r.stdout, r.stderr)
			}
			if r := p.ok("status", c.down); !strings.Contains(r.stdout, object) {
				t.Errorf("status says\n%s", r.stdout)
			}
			if r := p.ok("down", c.down); !strings.Contains(r.stderr, object+" is as it was"+c.state) {
				t.Errorf("down says\n%s", r.stderr)
			}
			if after := p.snapshot(object); after != before {
				t.Errorf("down did not restore it:\n%s\nwas\n%s", after, before)
			}
			if now := p.owners(object); now != owners {
				t.Errorf("fields are owned by\n%s\nnot by\n%s", now, owners)
			}
		})
	}
}

// TestCustomResourceThatIsHalfThere restores custom resources whose clone is
// gone, whose kind is gone, or that may not be read.
func TestCustomResourceThatIsHalfThere(t *testing.T) {
	t.Parallel()
	p, group, short := customPlace(t)
	p.deployed("web")
	web := p.snapshot("deploy/web")
	p.apply(p.rollout(group, "api", "replicas: 2"))
	object := "rollout." + group + "/api"
	before := p.snapshot(object)
	begin := func() {
		p.ok("up", short+"/api", "--", "true")
		p.ok("up", "web", "--", "true")
	}

	begin()
	p.kubectl("delete", "deploy/api-okteto")
	p.ok("down", "--all")
	if after := p.snapshot(object); after != before {
		t.Errorf("down --all did not restore it:\n%s\nwas\n%s", after, before)
	}
	if after := p.snapshot("deploy/web"); after != web {
		t.Errorf("down --all did not restore the Deployment:\n%s", after)
	}

	// The documented Role has no such kind.
	begin()
	as := p.user("dev", documentedRole(t))
	if r := p.run("", "down", as, "web"); r.code != 0 {
		t.Errorf("down of another ended with %d:\n%s", r.code, r.stderr)
	}
	if r := p.run("", "up", as, "web", "--", "true"); r.code != 0 {
		t.Errorf("up of another ended with %d:\n%s", r.code, r.stderr)
	}
	rule := fmt.Sprintf("{apiGroups: [%q], resources: [%q], verbs: [%q]}", group, "rollouts", "get")
	p.refused(p.run("", "up", as, object, "--", "true"), refusal{255, []string{rule}, []string{"docs/cluster-permissions.md"}})
	p.refused(p.run("", "down", as, "--all"), refusal{1, []string{rule}, []string{"docs/cluster-permissions.md"}})
	if after := p.snapshot("deploy/web"); after != web {
		t.Errorf("down --all did not restore the Deployment:\n%s", after)
	}
	p.kubectl("get", "deploy/api-okteto")

	p.kubectl("delete", "crd/rollouts."+group)
	p.ok("down", "--all")
	if left := strings.TrimSpace(p.kubectl("get", "deploy,lease", "-o", "name")); left != "deployment.apps/web" {
		t.Errorf("left are %s", left)
	}
	p.apply(strings.NewReplacer("GROUP", group, "SHORT", short).Replace(resources))
}

// TestCustomResourcesRefused names what is wrong, and leaves nothing behind.
func TestCustomResourcesRefused(t *testing.T) {
	t.Parallel()
	p, group, _ := customPlace(t)
	p.apply(p.rollout(group, "api", "replicas: 2") + "---" + p.flow(group, "import", "") + "---" + fmt.Sprintf(`
apiVersion: %s/v1
kind: Plain
metadata: {name: data}
spec: {replicas: 1, template: none}
`, group))
	p.write("okteto.yaml", strings.ReplaceAll(`dev:
  import:
    name: flow.GROUP/import
    paths: {template: spec.job.podTemplate}
    sync: [".:/work"]
  api:
    name: rollout.GROUP/api
    paths: {suspend: spec.replicas}
    sync: [".:/work"]
`, "GROUP", group))
	manifest := p.src
	for _, c := range []struct {
		up, says, hint string
	}{
		{"import", "flow.GROUP/import has no number of pods at spec.replicas", "`paths` in the manifest"},
		{"api", "rollout.GROUP/api has no switch at spec.replicas", "`paths` in the manifest"},
		{"plains.GROUP/data", "plain.GROUP/data has no pod template at spec.template", "`paths` in the manifest"},
		{"flow.GROUP/import", "flow.GROUP/import has no pod template at spec.template", "`paths` in the manifest"},
		{"rollouts.GROUP/apj", `no workload "rollouts.GROUP/apj"`, "lists what there is"},
		{"rollouts.v2.GROUP/api", `the cluster has no kind "rollouts.v2.GROUP"`, "kubectl api-resources"},
		{"configmap/kube-root-ca.crt", "configmap/kube-root-ca.crt has no pod template at spec.template", "`paths` in the manifest"},
		{"namespace/" + p.Namespace, "namespaces are not in namespaces, and so no workloads", ""},
	} {
		c.up, c.says = strings.ReplaceAll(c.up, "GROUP", group), strings.ReplaceAll(c.says, "GROUP", group)
		here := *p
		here.src = manifest
		if strings.Contains(c.up, "/") {
			here.src = t.TempDir()
		}
		r := here.run("", "up", c.up, "--", "true")
		if r.code != 255 || !strings.Contains(r.stderr, c.says) || !strings.Contains(r.stderr, c.hint) {
			t.Errorf("up %s ended with %d, and %q is to be said:\n%s", c.up, r.code, c.says, r.stderr)
		}
	}
	if left := strings.TrimSpace(p.kubectl("get", "deploy,lease", "-o", "name")); left != "" {
		t.Errorf("left are %s", left)
	}
}

// TestSelectorOfCustomResources finds them by their labels, when the manifest names
// their kind.
func TestSelectorOfCustomResources(t *testing.T) {
	t.Parallel()
	p, group, _ := customPlace(t)
	p.deployed("web")
	p.apply(p.rollout(group, "api", "replicas: 2") + "---" + p.flow(group, "import", "") + "---" + p.flow(group, "export", ""))
	objects := []string{"rollout." + group + "/api", "flow." + group + "/import", "flow." + group + "/export"}
	for _, o := range objects {
		p.kubectl("label", o, "team=blue", "name="+o[strings.Index(o, "/")+1:])
	}
	p.kubectl("label", "deploy/web", "team=blue")
	var before []string
	for _, o := range objects {
		before = append(before, p.snapshot(o))
	}
	p.refused(p.run("", "up", "-l", "name=import"), refusal{255, []string{`no workload with labels "name=import"`}, nil})
	p.write("okteto.yaml", strings.ReplaceAll(`dev:
  incoming:
    name: flow.GROUP/import
    paths: {template: spec.job.podTemplate, suspend: spec.paused}
    sync: [".:/work"]
  api:
    name: rollout.GROUP/api
    sync: [".:/work"]
  web:
    sync: [".:/work"]
  gone:
    name: nosuch.GROUP/gone
    sync: [".:/work"]
`, "GROUP", group))
	p.write("file", "content")
	p.refused(p.run("", "up", "-l", "team=blue"), refusal{255, []string{"4 workloads", "deployment/web", objects[0], objects[1], objects[2]}, []string{"narrower"}})
	p.refused(p.run("", "up", "-l", "team=red"), refusal{255, []string{`no workload with labels "team=red"`}, nil})
	for selector, dev := range map[string]string{"name=import": "incoming", "name in (api)": "api"} {
		if r := p.ok("up", "-l", selector, "--", "sh", "-c", "cat /work/file; echo $OKTETO_NAME"); r.stdout != "content"+dev+"\n" {
			t.Errorf("the command wrote %q", r.stdout)
		}
		p.ok("down", dev)
	}
	for i, o := range objects {
		if after := p.snapshot(o); after != before[i] {
			t.Errorf("down did not restore %s:\n%s\nwas\n%s", o, after, before[i])
		}
	}
}
