//go:build e2e

package e2e

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// scaledObjects is the part of KEDA's CustomResourceDefinition that matters
// here, as strict as KEDA's own.
const scaledObjects = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: scaledobjects.keda.sh}
spec:
  group: keda.sh
  scope: Namespaced
  names: {kind: ScaledObject, listKind: ScaledObjectList, plural: scaledobjects, singular: scaledobject, shortNames: [so]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          apiVersion: {type: string}
          kind: {type: string}
          metadata: {type: object}
          spec:
            type: object
            required: [scaleTargetRef, triggers]
            properties:
              minReplicaCount: {type: integer, format: int32}
              maxReplicaCount: {type: integer, format: int32}
              scaleTargetRef:
                type: object
                required: [name]
                properties:
                  apiVersion: {type: string}
                  kind: {type: string}
                  name: {type: string}
                  envSourceContainerName: {type: string}
              triggers:
                type: array
                items:
                  type: object
                  required: [metadata, type]
                  properties:
                    type: {type: string}
                    metadata: {type: object, additionalProperties: {type: string}}
          status:
            type: object
            properties:
              lastActiveTime: {type: string, format: date-time}
`

// scaledByKEDA makes a ScaledObject of a Deployment, and ScaledObjects known to a
// cluster that has no KEDA. They stay known: other tests may have some.
func (p *place) scaledByKEDA(name, of string) {
	p.t.Helper()
	const crd = "crd/scaledobjects.keda.sh"
	if _, err := p.Kubectl(p.t.Context(), "", "get", crd); err != nil {
		p.apply(scaledObjects)
	}
	p.kubectl("wait", "--for=condition=Established", crd)
	p.apply(`
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: ` + name + `}
spec:
  scaleTargetRef: {name: ` + of + `}
  minReplicaCount: 2
  triggers: [{type: cpu, metadata: {type: Utilization, value: "80"}}]
`)
}

// kedaLike scales the Deployment api up from 0 at once, unless its ScaledObject
// is paused, and counts how often it did, until the test ends.
func (p *place) kedaLike() *atomic.Int32 {
	p.t.Helper()
	scaled := &atomic.Int32{}
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	asked := func(args ...string) string {
		out, err := p.Kubectl(ctx, "", append([]string{"get", "-o"}, args...)...)
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(out)
	}
	go func() {
		defer close(ended)
		for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			idle := func() bool { return asked("jsonpath={.spec.replicas}", "deploy", "api") == "0" }
			// It is at 0 before and after, and so when it is found not to be paused.
			if !idle() || asked(`jsonpath={.metadata.annotations.autoscaling\.keda\.sh/paused}`, "scaledobject", "web") != "" || !idle() {
				continue
			}
			if _, err := p.Kubectl(ctx, "", "scale", "deploy", "api", "--replicas=2"); err == nil {
				scaled.Add(1)
			}
		}
	}()
	p.t.Cleanup(func() { cancel(); <-ended })
	return scaled
}

// TestKEDAMayNotBePaused develops with less rights: what gives the original back is
// made all the same, without what nobody may grant.
func TestKEDAMayNotBePaused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.scaledByKEDA("web", "api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	r := p.ok("up", p.user("dev", without(documentedRole(t), "patch keda.sh/scaledobjects")), "--", "true")
	if !strings.Contains(r.stderr, "KEDA may start deployment/api again: you may not patch scaledobjects") || strings.Contains(r.stderr, "nothing gives") {
		t.Errorf("up says\n%s", r.stderr)
	}
	if parts := p.autoDownParts(); len(parts) != 4 {
		t.Errorf("there are %v", parts)
	}
	p.restores("deploy/api", before)
}

func TestKEDALeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.scaledByKEDA("web", "api")
	scaled := p.kedaLike()
	before, object := p.snapshot("deploy/api"), p.snapshot("scaledobject/web")
	p.write("okteto.yaml", manifest)

	if shown := p.ok("up", "--dry-run").stdout; !strings.Contains(shown, `autoscaling.keda.sh/paused: "true"`) {
		t.Errorf("--dry-run does not show what is written to the ScaledObject:\n%s", shown)
	}
	if r := p.run("", "up", "--diff"); !strings.Contains(r.stdout, `+    autoscaling.keda.sh/paused: "true"`) {
		t.Errorf("--diff does not show what is written to the ScaledObject: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r := p.ok("up", "--", "true")
	if !strings.Contains(r.stderr, "KEDA leaves deployment/api alone until down: its ScaledObject web is paused") {
		t.Errorf("up does not say what becomes of KEDA:\n%s", r.stderr)
	}
	paused := p.snapshot("scaledobject/web")
	if !strings.Contains(paused, `"autoscaling.keda.sh/paused": "true"`) {
		t.Errorf("KEDA is not paused:\n%s", paused)
	}
	p.ok("up", "--", "true")
	if again := p.snapshot("scaledobject/web"); again != paused {
		t.Errorf("up again changed the ScaledObject:\n%s\nwas\n%s", again, paused)
	}
	if got := p.replicas(); got != "0" {
		t.Errorf("the original has %s replicas in development", got)
	}
	p.restores("deploy/api", before)
	if after := p.snapshot("scaledobject/web"); after != object {
		t.Errorf("down did not restore the ScaledObject:\n%s\nwas\n%s", after, object)
	}
	if fields := p.kubectl("get", "scaledobject", "web", "-o", "jsonpath={.metadata.managedFields[*].manager}"); strings.Contains(fields, "okteto") {
		t.Errorf("the ScaledObject still has a field of ours: %s", fields)
	}
	if n := scaled.Load(); n != 0 {
		t.Errorf("KEDA had to scale %d times", n)
	}
}
