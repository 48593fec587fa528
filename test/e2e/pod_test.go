//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// again is a pod's snapshot without what is new of one that was made again, and
// who owns its fields.
func (p *place) again(object string) string {
	p.t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(p.snapshot(object)), &o); err != nil {
		p.t.Fatal(err)
	}
	delete(metadata(o), "uid")
	delete(metadata(o), "creationTimestamp")
	delete(o["spec"].(map[string]any), "nodeName")
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		p.t.Fatal(err)
	}
	var owners []string
	for _, line := range strings.Split(p.owners(object), "\n") {
		if !strings.Contains(line, `"f:status"`) {
			owners = append(owners, line)
		}
	}
	return string(text) + strings.Join(owners, "\n")
}

// TestPods develops in pods that no controller has made: with their claim, behind
// their Service, and nothing of them is lost.
func TestPods(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}, annotations: {note: hello}}
spec:
  terminationGracePeriodSeconds: 1
  hostname: front
  containers:
  - name: main
    image: "%[1]s/busybox:1"
    workingDir: /work
    command: [sh, -c, "echo kept >/data/file; exec sleep 86400"]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`, p.Registry))
	p.kubectl("wait", "--timeout=60s", "--for=condition=Ready", "pod/web")
	before := p.again("pod/web")
	p.write("file", "content")
	for _, name := range []string{"pod/web", "po/web", "web"} {
		r := p.ok("up", name, "--", "sh", "-c", "cat /work/file /data/file; hostname")
		if r.stdout != "contentkept\nfront\n" {
			t.Errorf("the command wrote %q", r.stdout)
		}
		eventually(t, "the Service leads to the clone", func() bool {
			return strings.HasPrefix(p.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web",
				"-o", "jsonpath={.items[*].endpoints[*].targetRef.name}"), "web-okteto-")
		})
		p.kubectl("wait", "--timeout=60s", "--for=delete", "pod/web")
		if r := p.ok("status", name); !strings.Contains(r.stdout, "pod/web in namespace") {
			t.Errorf("status says\n%s", r.stdout)
		}
		if r := p.ok("down", name); !strings.Contains(r.stderr, "pod/web is as it was (made again)") {
			t.Errorf("down says\n%s", r.stderr)
		}
		p.kubectl("wait", "--timeout=60s", "--for=condition=Ready", "pod/web")
		if after := p.again("pod/web"); after != before {
			t.Errorf("down did not make it again:\n%s\nwas\n%s", after, before)
		}
		if left := strings.TrimSpace(p.kubectl("get", "deploy,lease", "-o", "name")); left != "" {
			t.Errorf("left are %s", left)
		}
	}

	// down while the pod that up has deleted still ends.
	p.kubectl("delete", "pod/web")
	p.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 6
  containers: [{name: main, image: "%s/busybox:1", workingDir: /work, command: [sleep, "86400"]}]
`, p.Registry))
	p.kubectl("wait", "--timeout=60s", "--for=condition=Ready", "pod/web")
	before = p.again("pod/web")
	p.ok("up", "web", "--", "true")
	p.ok("down", "--all")
	if after := p.again("pod/web"); after != before {
		t.Errorf("down did not make it again:\n%s\nwas\n%s", after, before)
	}

	p.deployed("api")
	of := strings.Fields(p.kubectl("get", "pods", "-l", "app=api", "-o", "name"))[0]
	p.refused(p.run("", "up", of, "--", "true"), refusal{255,
		[]string{of + " belongs to deployment/api"}, []string{"kubectl okteto up deployment/api"}})
}

// TestPodInAFullQuota has room for one pod only, which is that of before, that of
// the clone, then that of before again.
func TestPodInAFullQuota(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: room}, spec: {hard: {pods: '1'}}}" + "\n---\n" +
		"{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: " + p.sleeper() + "}")
	p.kubectl("wait", "--timeout=60s", "--for=condition=Ready", "pod/web")
	before := p.again("pod/web")
	p.ok("up", "web", "--", "true")
	p.ok("down", "web")
	if after := p.again("pod/web"); after != before {
		t.Errorf("down did not make it again:\n%s\nwas\n%s", after, before)
	}
}
