//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestSecretsAndExternalVolumes brings secrets to a user who is not root and
// may write nowhere, beside a claim that was there before.
func TestSecretsAndExternalVolumes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: models}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
`)
	p.apply(p.podAs("api", `
terminationGracePeriodSeconds: 1
securityContext: {runAsUser: 1234, runAsGroup: 1234, runAsNonRoot: true}
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sleep, "86400"]
  securityContext: {readOnlyRootFilesystem: true}
`))
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest+`
    secrets: ["../token:/home/me/.token:600", ".env:/app/.env"]
    externalVolumes: ["models:/models", "models:small:/app/small"]
`)
	p.write("../token", "first ")
	p.write(".env", "A=1 ")
	up := func() string {
		r := p.ok("up", "--", "sh", "-c", "cat /home/me/.token .env; if echo x 2>/dev/null >.env; then echo written; fi; ls -d /models/small small")
		if strings.Contains(r.stderr, "is not synced") {
			t.Errorf("up warns of what the manifest asks for:\n%s", r.stderr)
		}
		return r.stdout
	}
	if got, want := up(), "first A=1 /models/small\nsmall\n"; got != want {
		t.Errorf("the pod has %q, want %q", got, want)
	}
	pod := p.devPod()
	p.write("../token", "second ")
	if got, want := up(), "second A=1 /models/small\nsmall\n"; got != want {
		t.Errorf("the pod has %q, want %q", got, want)
	}
	if p.devPod() == pod {
		t.Error("other contents did not start another pod")
	}
	if got := p.read(".env"); got != "A=1 " {
		t.Errorf("the file here is %q", got)
	}
	p.restores("deploy/api", before)
}
