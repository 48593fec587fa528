//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMountsInsideTheSyncedFolder has what Deployments often have: parts of a
// ConfigMap among the sources. They stay as they are mounted, and nothing of
// the places where they are mounted comes to the laptop.
func TestMountsInsideTheSyncedFolder(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {settings.yaml: "from the cluster", other.yaml: other}
`)
	p.apply(p.podAs("api", `
terminationGracePeriodSeconds: 1
volumes: [{name: settings, configMap: {name: settings}}]
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sleep, "86400"]
  volumeMounts:
  - {name: settings, mountPath: /app/config}
  - {name: settings, mountPath: /app/settings.yaml, subPath: settings.yaml}
  - {name: settings, mountPath: /app/only-there.yaml, subPath: other.yaml}
`))
	p.write("okteto.yaml", manifest)
	p.write("settings.yaml", "from the laptop")
	p.write("file.txt", "file")
	for range 2 {
		r := p.ok("up", "--", "sh", "-c", "cat settings.yaml only-there.yaml config/other.yaml file.txt; echo done >done.txt")
		if r.stdout != "from the clusterotherotherfile" {
			t.Errorf("the pod has %q\n%s", r.stdout, r.stderr)
		}
		if strings.Count(r.stderr, "/app/settings.yaml is not synced") != 1 || strings.Contains(r.stderr, "/app/config is") {
			t.Errorf("up warns otherwise:\n%s", r.stderr)
		}
	}
	entries, err := os.ReadDir(p.src)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, filepath.Base(e.Name()))
	}
	if got := strings.Join(names, " "); got != "done.txt file.txt okteto.yaml settings.yaml" || p.read("settings.yaml") != "from the laptop" {
		t.Errorf("here is %s, with settings %q", got, p.read("settings.yaml"))
	}
}
