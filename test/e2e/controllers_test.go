//go:build e2e

package e2e

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// replicas is the wanted count of the workload api.
func (p *place) replicas() string {
	p.t.Helper()
	return p.kubectl("get", "deploy", "api", "-o", "jsonpath={.spec.replicas}")
}

func TestAutoscalerRestsAndGoesOn(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	hpa := func(least string) string {
		return `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  minReplicas: ` + least + `
  maxReplicas: 5
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
`
	}
	p.apply(hpa("3"))
	eventually(t, "the autoscaler has set its count", func() bool { return p.replicas() == "3" })
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)

	r := p.ok("up", "--", "true")
	if !strings.Contains(r.stderr, "autoscaler web rests while deployment/api has 0 replicas") {
		t.Errorf("up does not say what becomes of the autoscaler:\n%s", r.stderr)
	}
	eventually(t, "the autoscaler rests", func() bool {
		return p.kubectl("get", "hpa", "web", "-o", `jsonpath={.status.conditions[?(@.type=="ScalingActive")].reason}`) == "ScalingDisabled"
	})
	if got := p.replicas(); got != "0" {
		t.Errorf("the original has %s replicas in development", got)
	}
	p.ok("down")
	if after := p.snapshot("deploy/api"); after != before {
		t.Errorf("down did not restore the original to the byte:\n%s\nwas\n%s", after, before)
	}

	// What the autoscaler is told meanwhile counts afterwards.
	p.ok("up", "--", "true")
	p.apply(hpa("4"))
	p.ok("down")
	eventually(t, "the autoscaler goes on", func() bool { return p.replicas() == "4" })
}

func TestControllerThatReverts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	apply := func(ctx context.Context) error {
		_, err := p.Kubectl(ctx, p.deployment("api"), "apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", "-")
		return err
	}
	if err := apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context(), "deploy/api"); err != nil {
		t.Fatal(err)
	}
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)

	// The controller: what it does not want is undone at once.
	ctx, cancel := context.WithCancel(t.Context())
	var reverts atomic.Int32
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ; ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
			out, err := p.Kubectl(ctx, "", "get", "deploy", "api", "-o", "jsonpath={.spec.replicas}")
			if err == nil && out == "0" && apply(ctx) == nil {
				reverts.Add(1)
			}
		}
	}()
	defer func() { cancel(); <-ended }()

	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.err("deployment/api was set to 2 replicas by kustomize-controller")
	s.err("flux suspend kustomization")
	s.out("ready\n")
	s.say("still here")
	s.out("still here\n")
	if err := s.End(); err != nil {
		t.Error(err)
	}
	if n := reverts.Load(); n != 1 {
		t.Errorf("the controller had to write %d times", n)
	}
	if n := strings.Count(s.Stderr.String(), "was set to"); n != 1 {
		t.Errorf("the change is reported %d times:\n%s", n, s.Stderr)
	}
	p.ok("down")
	if after := p.snapshot("deploy/api"); after != before {
		t.Errorf("down did not leave the controller's object as it wants it:\n%s\nwas\n%s", after, before)
	}
	if n := reverts.Load(); n != 1 {
		t.Errorf("the controller had to write %d times", n)
	}
}
