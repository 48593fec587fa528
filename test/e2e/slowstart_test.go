//go:build e2e

package e2e

import (
	"testing"
)

// TestSlowInitContainer has the workload prepare itself for longer than a
// connection may take: only the deadline of the pod counts.
func TestSlowInitContainer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(p.podAs("api", `
terminationGracePeriodSeconds: 1
initContainers:
- {name: slow, image: "REGISTRY/busybox:1", command: [sleep, "20"]}
containers:
- {name: main, image: "REGISTRY/busybox:1", command: [sleep, "86400"]}
`))
	p.write("okteto.yaml", manifest+"    timeout: {default: 5s, resources: 2m}\n")
	p.write("file.txt", "patience")
	if r := p.ok("up", "--", "cat", "file.txt"); r.stdout != "patience" {
		t.Errorf("after a slow start: %q\n%s", r.stdout, r.stderr)
	}
}
