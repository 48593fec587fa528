//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// webhook is what a cluster asks about each Deployment and pod of a namespace.
type webhook struct {
	// review may edit the object, and refuses the write unless it returns "".
	review atomic.Pointer[reviewer]
	asked  atomic.Int32
}

type reviewer func(r *admissionv1.AdmissionRequest, object map[string]any) (refusal string)

// webhook makes the cluster ask one about what is written in the namespace, until
// the test ends.
func (p *place) webhook(review reviewer) *webhook {
	p.t.Helper()
	if p.Context != node.Context {
		p.t.Skip("this is another cluster than the embedded one: its API server cannot ask a webhook of this machine's loopback")
	}
	h := &webhook{}
	h.review.Store(&review)
	server := httptest.NewTLSServer(h)
	p.t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	none, here := admissionregistrationv1.SideEffectClassNone, server.URL
	configuration, err := json.Marshal(admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: p.Namespace},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "policy.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none,
			ClientConfig:      admissionregistrationv1.WebhookClientConfig{URL: &here, CABundle: ca},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": p.Namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"", "apps"}, APIVersions: []string{"v1"}, Resources: []string{"pods", "deployments"}},
			}},
		}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.apply(string(configuration))
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), lab.Patience)
		defer cancel()
		if _, err := p.Kubectl(ctx, "", "delete", "mutatingwebhookconfiguration/"+p.Namespace); err != nil {
			p.t.Error(err)
		}
	})
	eventually(p.t, "the webhook is asked", func() bool {
		_, _ = p.Kubectl(p.t.Context(), "", "create", "deployment", "probe", "--image=none", "--dry-run=server")
		return h.asked.Load() > 0
	})
	return h
}

// ServeHTTP answers the API server.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.asked.Add(1)
	var review admissionv1.AdmissionReview
	var object map[string]any
	if json.NewDecoder(r.Body).Decode(&review) != nil || json.Unmarshal(review.Request.Object.Raw, &object) != nil {
		http.Error(w, "this is no review", http.StatusBadRequest)
		return
	}
	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID}
	refusal := (*h.review.Load())(review.Request, object)
	if answer.Allowed = refusal == ""; answer.Allowed {
		edits := []map[string]any{
			{"op": "replace", "path": "/metadata", "value": object["metadata"]}, {"op": "replace", "path": "/spec", "value": object["spec"]},
		}
		patch := admissionv1.PatchTypeJSONPatch
		answer.PatchType = &patch
		answer.Patch, _ = json.Marshal(edits) // what was read can be written
	} else {
		answer.Result = &metav1.Status{Message: refusal}
	}
	review.Request, review.Response = nil, answer
	_ = json.NewEncoder(w).Encode(review)
}

// TestWebhookThatRefuses has a webhook turn down each write of `up` and `down` to
// a workload, and the pod.
func TestWebhookThatRefuses(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	refuses := func(kind, name string) *reviewer {
		refuse := reviewer(func(r *admissionv1.AdmissionRequest, object map[string]any) string {
			made, _ := metadata(object)["generateName"].(string)
			if r.Kind.Kind == kind && (r.Name == name || r.Name == "" && strings.HasPrefix(made, name)) {
				return "not without the label cost-center"
			}
			return ""
		})
		return &refuse
	}
	everything := *refuses("", "")
	h := p.webhook(everything)
	refused := refusal{255, []string{"refused by the admission webhook", `"policy.example.com" denied the request`, "not without the label cost-center"},
		[]string{"`metadata`"}}
	for _, name := range []string{"api-okteto", "api"} {
		h.review.Store(refuses("Deployment", name))
		p.refused(p.run("", "up", "--", "true"), refused)
		if after := p.snapshot("deploy/api"); after != before {
			t.Errorf("refused %s, the original has changed:\n%s\nwas\n%s", name, after, before)
		}
		eventually(t, "nothing of up is left", func() bool { return len(p.traces()) == 0 && len(p.autoDownParts()) == 0 })
	}
	h.review.Store(refuses("Pod", "api-okteto-"))
	p.refused(p.run("", "up", "--", "true"), refused)
	p.restores("deploy/api", before)

	h.review.Store(&everything)
	p.ok("up", "--", "true")
	h.review.Store(refuses("Deployment", "api"))
	refused.code = 1
	p.refused(p.run("", "down"), refused)
	h.review.Store(&everything)
	p.restores("deploy/api", before)
}

// TestWebhookThatRewrites has one put labels on all that is written, and into each
// pod a container before all others, as meshes do.
func TestWebhookThatRewrites(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	proxy := func(restart string) map[string]any {
		c := map[string]any{"name": "proxy", "image": p.Registry + "/busybox:1", "command": []any{"sleep", "86400"}}
		if restart != "" {
			c["name"], c["restartPolicy"] = "proxy-"+strings.ToLower(restart), restart
		}
		return c
	}
	before := func(spec map[string]any, list string, c map[string]any) {
		all, _ := spec[list].([]any)
		for _, have := range all {
			have := have.(map[string]any)
			have["imagePullPolicy"] = "Always"
			if have["name"] == c["name"] {
				return
			}
		}
		spec[list] = append([]any{c}, all...)
	}
	p.webhook(func(r *admissionv1.AdmissionRequest, object map[string]any) string {
		labels, _ := metadata(object)["labels"].(map[string]any)
		if labels == nil {
			labels = map[string]any{}
		}
		labels["cost-center"] = "42"
		metadata(object)["labels"] = labels
		if r.Kind.Kind == "Pod" && r.Operation == admissionv1.Create {
			spec := object["spec"].(map[string]any)
			before(spec, "containers", proxy(""))
			before(spec, "initContainers", proxy("Always"))
		}
		return ""
	})
	p.deployed("api")
	original := p.snapshot("deploy/api")
	if !strings.Contains(original, `"cost-center": "42"`) {
		t.Fatalf("the original is not rewritten:\n%s", original)
	}
	p.write("okteto.yaml", manifest)
	p.write("file", "content")
	for range 2 {
		if r := p.ok("up", "--", "sh", "-c", "cat file; echo $FROM_SPEC"); r.stdout != "contentspec\n" {
			t.Errorf("the command wrote %q\n%s", r.stdout, r.stderr)
		}
		if got := p.kubectl("get", "pod", p.devPod(), "-o", "jsonpath={.spec.containers[*].name} {.spec.initContainers[*].name}"); got != "proxy main proxy-always okteto-agent" {
			t.Errorf("the pod has the containers %s", got)
		}
		if got := p.kubectl("get", "deploy", "api-okteto", "-o", "jsonpath={.metadata.generation} {.metadata.labels.cost-center}"); got != "1 42" {
			t.Errorf("the clone has generation and label %s", got)
		}
	}
	if r := p.run("", "up", "--diff"); r.code != 0 {
		t.Errorf("up --diff finds a difference to what up has made:\n%s%s", r.stdout, r.stderr)
	}
	if r := p.ok("exec", "--", "sh", "-c", "echo $FROM_MANIFEST"); r.stdout != "manifest\n" {
		t.Errorf("exec is in another container: %q", r.stdout)
	}
	p.restores("deploy/api", original)
}
