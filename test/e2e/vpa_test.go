//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// recommended is the request for memory that the autoscaler of TestVerticalPodAutoscaler
// writes into pods.
const recommended = "48Mi"

// TestVerticalPodAutoscaler has requests written into pods as they are made, as the
// admission controller of a VerticalPodAutoscaler does that knows pods by their
// labels alone, the development pod among them, and pods evicted that have others,
// as its updater does.
func TestVerticalPodAutoscaler(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.webhook(func(r *admissionv1.AdmissionRequest, object map[string]any) string {
		if r.Kind.Kind != "Pod" || r.Operation != admissionv1.Create {
			return ""
		}
		if labels, _ := metadata(object)["labels"].(map[string]any); labels["app"] != "api" {
			return ""
		}
		for _, c := range object["spec"].(map[string]any)["containers"].([]any) {
			if c := c.(map[string]any); c["name"] == "main" {
				c["resources"] = map[string]any{"requests": map[string]any{"memory": recommended}}
			}
		}
		return ""
	})
	p.deployed("api")
	before := p.snapshot("deploy/api")
	requests := func(pods ...string) []string {
		return strings.Fields(p.kubectl(append(append([]string{"get"}, pods...), "-o",
			`jsonpath={range .items[*]}{.spec.containers[?(@.name=="main")].resources.requests.memory}{"\n"}{end}`)...))
	}
	if got := strings.Join(requests("pods", "-l", "app=api"), " "); got != recommended+" "+recommended {
		t.Fatalf("the original's pods ask for %q", got)
	}
	p.write("okteto.yaml", manifest)
	p.write("file", "content")
	for range 2 {
		// The second `up` meets a clone whose pod differs from its template.
		if r := p.ok("up", "--", "cat", "file"); r.stdout != "content" {
			t.Errorf("the command wrote %q\n%s", r.stdout, r.stderr)
		}
		if got := p.kubectl("get", "deploy", "api-okteto", "-o", "jsonpath={.metadata.generation}"); got != "1" {
			t.Errorf("the clone is at generation %s: it was written for what the autoscaler wrote", got)
		}
	}

	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	evicted := p.devPod()
	eviction := fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q}}`, evicted)
	if _, err := p.Kubectl(t.Context(), eviction, "create", "-f", "-", "--raw", "/api/v1/namespaces/"+p.Namespace+"/pods/"+evicted+"/eviction"); err != nil {
		t.Fatal(err)
	}
	s.out("ready\nready\n")
	p.kubectl("wait", "--for=delete", "pod/"+evicted, "--timeout="+given.String())
	if got := requests("pods", "-l", "app=api", "--field-selector=status.phase=Running"); len(got) == 0 || got[0] != recommended {
		t.Errorf("the development pod asks for %q", got)
	}
	_ = s.Stdin.Close()
	if code := s.code(); code != 0 {
		t.Errorf("up ended with %d", code)
	}
	p.restores("deploy/api", before)
	eventually(t, "the original's pods have what is recommended", func() bool {
		return strings.Join(requests("pods", "-l", "app=api", "--field-selector=status.phase=Running"), " ") == recommended+" "+recommended
	})
}
