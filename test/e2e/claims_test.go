//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestVolumeOfOnePod develops in a workload with a claim that one pod at a time
// may have: the development pod gets it when the original's has ended, and back.
func TestVolumeOfOnePod(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOncePod], resources: {requests: {storage: 10Mi}}}
`)
	p.apply(p.podAs("api", `
terminationGracePeriodSeconds: 3
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sh, -c, "echo kept >>/data/file; sleep 86400"]
  workingDir: /app
  volumeMounts: [{name: data, mountPath: /data}]
volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`))
	p.kubectl("rollout", "status", "deploy/api", "--timeout=60s")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	r := p.ok("up", "--", "sh", "-c", "cat /data/file; echo theirs >>/data/file")
	if r.stdout != "kept\n" {
		t.Errorf("the pod has %q", r.stdout)
	}
	if !strings.Contains(r.stderr, "is still theirs") {
		t.Errorf("up does not say what it waits for:\n%s", r.stderr)
	}
	p.restores("deploy/api", before)
	p.kubectl("rollout", "status", "deploy/api", "--timeout=60s")
	if got := p.kubectl("exec", "deploy/api", "--", "cat", "/data/file"); got != "kept\ntheirs\nkept\n" {
		t.Errorf("the original has %q", got)
	}
}
