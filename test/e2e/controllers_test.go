//go:build e2e

package e2e

import (
	"context"
	"slices"
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
	p.restores("deploy/api", before)

	// What the autoscaler is told meanwhile counts afterwards.
	p.ok("up", "--", "true")
	p.apply(hpa("4"))
	p.ok("down")
	eventually(t, "the autoscaler goes on", func() bool { return p.replicas() == "4" })
}

// fluxLike is a controller that undoes at once what it does not want, and
// counts how often it had to.
type fluxLike struct {
	object, manager string
	wrote           atomic.Int32
}

// reconciled applies an object, waits for its pods, and lets a controller keep
// it so until the test ends, by the name of its field manager.
func (p *place) reconciled(object, manager string) *fluxLike {
	p.t.Helper()
	f := &fluxLike{object: object, manager: manager}
	if err := f.apply(p.t.Context(), p); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Ready(p.t.Context(), "deploy/api"); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ; ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
			out, err := p.Kubectl(ctx, "", "get", "deploy", "api", "-o",
				`jsonpath={.spec.replicas} {.metadata.annotations.kustomize\.toolkit\.fluxcd\.io/reconcile}`)
			if err == nil && strings.TrimSpace(out) == "0" && f.apply(ctx, p) == nil {
				f.wrote.Add(1)
			}
		}
	}()
	p.t.Cleanup(func() { cancel(); <-ended })
	return f
}

func (f *fluxLike) apply(ctx context.Context, p *place) error {
	_, err := p.Kubectl(ctx, f.object, "apply", "--server-side", "--force-conflicts", "--field-manager="+f.manager, "-f", "-")
	return err
}

func TestControllerThatReverts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		manager string
		// annotation is on the object, says what up has to say of it.
		annotation string
		says       []string
	}{
		{"kustomize-controller", "note: flux", []string{"flux suspend kustomization"}},
		{"argocd-controller", "argocd.argoproj.io/tracking-id: shop:apps/Deployment:shop/api", []string{
			"Argo CD manages deployment/api", "its Application needs /spec/replicas in ignoreDifferences",
			"add /spec/replicas to ignoreDifferences of the Application, with the sync option RespectIgnoreDifferences=true",
		}},
	} {
		t.Run(c.manager, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			object := strings.Replace(p.deployment("api"), "metadata:\n", "metadata:\n  annotations: {\""+strings.Replace(c.annotation, ": ", "\": \"", 1)+"\"}\n", 1)
			controller := p.reconciled(object, c.manager)
			before := p.snapshot("deploy/api")
			p.write("okteto.yaml", manifest)

			s := p.start("up", "--", "sh", "-c", "echo ready; cat")
			s.err("deployment/api was set to 2 replicas by " + c.manager)
			for _, text := range c.says {
				s.err(text)
			}
			s.out("ready\n")
			s.say("still here")
			s.out("still here\n")
			if err := s.End(); err != nil {
				t.Error(err)
			}
			if n := controller.wrote.Load(); n != 1 {
				t.Errorf("the controller had to write %d times", n)
			}
			if n := strings.Count(s.Stderr.String(), "was set to"); n != 1 {
				t.Errorf("the change is reported %d times:\n%s", n, s.Stderr)
			}
			p.ok("down")
			if after := p.snapshot("deploy/api"); after != before {
				t.Errorf("down did not leave the controller's object as it wants it:\n%s\nwas\n%s", after, before)
			}
			if n := controller.wrote.Load(); n != 1 {
				t.Errorf("the controller had to write %d times", n)
			}
		})
	}
}

// TestFluxLeavesTheOriginalAlone has the label by which Flux knows its own, and
// a controller that heeds Flux's annotation.
func TestFluxLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	labels := "labels:\n    kustomize.toolkit.fluxcd.io/name: shop\n"
	object := strings.Replace(p.deployment("api"), "metadata:\n  labels:\n", "metadata:\n  "+labels, 1)
	controller := p.reconciled(object, "kustomize-controller")
	before := p.snapshot("deploy/api")
	if !strings.Contains(before, "kustomize.toolkit.fluxcd.io/name") {
		t.Fatalf("the original has no label of Flux:\n%s", before)
	}
	p.write("okteto.yaml", manifest)

	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.err("Flux leaves deployment/api alone until down")
	s.out("ready\n")
	if err := s.End(); err != nil {
		t.Error(err)
	}
	if got := p.replicas(); got != "0" {
		t.Errorf("the original has %s replicas in development", got)
	}
	p.restores("deploy/api", before)

	// What somebody else says about it meanwhile is theirs.
	p.ok("up", "--", "true")
	p.kubectl("annotate", "--overwrite", "deploy/api", "kustomize.toolkit.fluxcd.io/reconcile=enabled")
	p.ok("down")
	if after := p.snapshot("deploy/api"); !strings.Contains(after, `"kustomize.toolkit.fluxcd.io/reconcile": "enabled"`) || strings.Contains(after, "dev.okteto.com") {
		t.Errorf("somebody's annotation is lost, or something of ours is left:\n%s", after)
	}
	if n := controller.wrote.Load(); n != 0 {
		t.Errorf("the controller had to write %d times", n)
	}
}

// TestHelmGoesOn gives every field back to who owned it: the next upgrade meets no
// conflict.
func TestHelmGoesOn(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	upgrade := func(object string) {
		t.Helper()
		if out, err := p.Kubectl(t.Context(), object, "apply", "--server-side", "--field-manager=helm", "-f", "-"); err != nil {
			t.Fatal(out, err)
		}
	}
	// What the cluster itself writes comes when it likes.
	owners := func() string {
		lines := strings.Split(p.owners("deploy/api"), "\n")
		return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "kube-controller-manager") }), "\n")
	}
	upgrade(p.deployment("api"))
	if err := p.Ready(t.Context(), "deploy/api"); err != nil {
		t.Fatal(err)
	}
	before, owned := p.snapshot("deploy/api"), owners()
	p.write("okteto.yaml", manifest+"    metadata: {labels: {team: blue}, annotations: {note: hello}}\n")
	p.ok("up", "--", "true")
	p.restores("deploy/api", before)
	if now := owners(); now != owned {
		t.Errorf("fields are owned by\n%s\nnot by\n%s", now, owned)
	}
	upgrade(strings.Replace(p.deployment("api"), "replicas: 2", "replicas: 3", 1))
	if got := p.replicas(); got != "3" {
		t.Errorf("after the upgrade there are %s replicas", got)
	}
}
