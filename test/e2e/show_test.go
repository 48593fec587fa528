//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// claimed is a manifest with a claim of its own.
const claimed = manifest + `
    persistentVolume: {enabled: true, size: 10Mi}
`

// list is what -o json prints.
type list struct {
	Items []map[string]any `json:"items"`
}

func (p *place) shown(mode string) list {
	p.t.Helper()
	var l list
	if err := json.Unmarshal([]byte(p.ok("up", mode, "-o", "json").stdout), &l); err != nil {
		p.t.Fatal(err)
	}
	return l
}

func metadata(object map[string]any) map[string]any { return object["metadata"].(map[string]any) }

func named(object map[string]any) string {
	return strings.ToLower(object["kind"].(string)) + "/" + metadata(object)["name"].(string)
}

// owners are the owner references of an object.
func owners(object map[string]any) (refs []map[string]any) {
	all, _ := metadata(object)["ownerReferences"].([]any)
	for _, ref := range all {
		refs = append(refs, ref.(map[string]any))
	}
	return refs
}

// stored returns an object with the set of fields that we own in it.
func (p *place) stored(object string) string {
	p.t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(p.kubectl("get", object, "-o", "json", "--show-managed-fields")), &o); err != nil {
		p.t.Fatal(err)
	}
	for _, e := range metadata(o)["managedFields"].([]any) {
		if e := e.(map[string]any); e["manager"] == "kubectl-okteto" {
			fields, err := json.Marshal(e["fieldsV1"])
			if err != nil {
				p.t.Fatal(err)
			}
			return p.snapshot(object) + string(fields)
		}
	}
	p.t.Fatalf("nothing of %s is ours", object)
	return ""
}

func TestUpShowsWhatItWrites(t *testing.T) {
	p := newPlace(t)
	// Applied by the server: kubectl would else hand fields of its own over to
	// whoever applies below.
	if _, err := p.Kubectl(t.Context(), p.deployment("api"), "apply", "--server-side", "--field-manager=helm", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context(), "deploy/api"); err != nil {
		t.Fatal(err)
	}
	p.write("okteto.yaml", claimed)
	original := p.snapshot("deploy/api")

	client, server := p.shown("--dry-run"), p.shown("--dry-run=server")
	var names []string
	for i, o := range client.Items {
		names = append(names, named(o))
		if named(server.Items[i]) != named(o) {
			t.Errorf("the server has %s in place of %s", named(server.Items[i]), named(o))
		}
	}
	if got := strings.Join(names, " "); got != "lease/api-okteto role/api-okteto-autodown serviceaccount/api-okteto-autodown "+
		"rolebinding/api-okteto-autodown cronjob/api-okteto-autodown persistentvolumeclaim/api-okteto deployment/api-okteto deployment/api" {
		t.Errorf("shown are %s", got)
	}
	documents := strings.Split(p.ok("up", "--dry-run").stdout, "\n---\n")
	if len(documents) != len(client.Items) {
		t.Errorf("%d documents in YAML, %d objects in JSON", len(documents), len(client.Items))
	}
	r := p.run("", "up", "--diff")
	for _, line := range []string{"\n+  name: api-okteto\n", "\n-  replicas: 2\n", "\n+  replicas: 0\n", "\n+    dev.okteto.com/replicas: \"2\"\n"} {
		if r.code != 1 || !strings.Contains(r.stdout, line) {
			t.Errorf("up --diff ended with %d and has no %q:\n%s%s", r.code, line, r.stdout, r.stderr)
		}
	}
	if got := p.snapshot("deploy/api"); got != original {
		t.Errorf("showing has changed the original:\n%s", got)
	}
	if got := p.kubectl("get", "deploy,lease,pvc,role,cronjob", "-o", "name"); strings.TrimSpace(got) != "deployment.apps/api" {
		t.Errorf("showing has made something:\n%s", got)
	}

	p.ok("up", "--", "true")
	for _, o := range client.Items[1:] {
		// What was shown, applied by its own name, is what is there.
		before := p.stored(named(o))
		delete(metadata(o), "resourceVersion")
		for _, ref := range owners(o) {
			if ref["kind"] == "Role" {
				// It was not there yet when this was shown.
				ref["uid"] = strings.TrimSpace(p.kubectl("get", "role", ref["name"].(string), "-o", "jsonpath={.metadata.uid}"))
			}
		}
		body, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Kubectl(t.Context(), string(body), "apply", "--server-side", "--field-manager=kubectl-okteto", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		if after := p.stored(named(o)); after != before {
			t.Errorf("%s was shown as\n%s\nbut written as\n%s", named(o), after, before)
		}
	}
	if r := p.run("", "up", "--diff"); r.code != 0 || r.stdout != "" {
		t.Errorf("up --diff of what is there ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := p.run("", "up", "--diff", "-e", "FROM_MANIFEST=other"); r.code != 1 || !strings.Contains(r.stdout, "\n+          value: other\n") {
		t.Errorf("up --diff of a changed variable ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	p.restores("deploy/api", original, "-v")
}

func TestUpShowsAWorkloadThatItWouldMake(t *testing.T) {
	p := newPlace(t)
	p.write("okteto.yaml", strings.ReplaceAll(manifest, "command: sh", "command: sh\n    autocreate: true\n    image: "+p.Registry+"/busybox:1"))
	if l := p.shown("--dry-run=server"); len(l.Items) != 8 {
		t.Errorf("%d objects are shown", len(l.Items))
	}
	if r := p.run("", "up", "--diff"); r.code != 1 || !strings.Contains(r.stdout, "+++ up Deployment/api\n") {
		t.Errorf("up --diff ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got := p.kubectl("get", "deploy,lease", "-o", "name"); strings.TrimSpace(got) != "" {
		t.Errorf("showing has made something:\n%s", got)
	}
}
