//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestManifestFieldsReachThePod(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.write("dev.env", "FROM_FILE=file\nBOTH=file\n")
	p.write("okteto.yaml", fmt.Sprintf(`
dev:
  api:
    image: %s/debian:1
    container: main
    workdir: /work
    command: ["sh", "-c", "echo $0 $FROM_FILE $BOTH $FROM_SPEC $FROM_FLAG $OKTETO_NAME; pwd", "list form"]
    sync: [".:/work"]
    environment: {BOTH: "${CHOICE:-manifest}"}
    envFiles: [dev.env]
    resources: {requests: {memory: 32Mi}, limits: {memory: 256Mi}}
    metadata:
      labels: {team: rocket}
      annotations: {example.com/note: hello}
    tolerations: [{key: example.com/dev, operator: Exists}]
`, p.Registry))
	r := p.ok("up", "-e", "FROM_FLAG=flag")
	if want := "list form file manifest spec flag api\n/work\n"; r.stdout != want {
		t.Errorf("the command wrote %q, want %q\n%s", r.stdout, want, r.stderr)
	}
	for path, want := range map[string]string{
		"{.spec.template.spec.containers[0].resources.limits.memory}": "256Mi",
		"{.metadata.labels.team}":                                     "rocket",
		`{.metadata.annotations.example\.com/note}`:                   "hello",
		"{.spec.template.spec.tolerations[0].key}":                    "example.com/dev",
		"{.metadata.ownerReferences[0].name}":                         "api",
	} {
		if got := p.kubectl("get", "deploy", "api-okteto", "-o", "jsonpath="+path); got != want {
			t.Errorf("%s of the clone is %q, want %q", path, got, want)
		}
	}
}

func TestAutocreate(t *testing.T) {
	p := newPlace(t)
	p.write("okteto.yaml", fmt.Sprintf("dev:\n  box:\n    autocreate: true\n    image: %s/busybox:1\n    sync: ['.:/src']\n", p.Registry))
	p.write("file.txt", "in a workload that was not there")
	if r := p.ok("up", "--", "cat", "/src/file.txt"); r.stdout != "in a workload that was not there" {
		t.Errorf("the command wrote %q\n%s", r.stdout, r.stderr)
	}
	p.ok("down")
	eventually(t, "nothing is left", func() bool {
		return strings.TrimSpace(p.kubectl("get", "deploy,lease,pvc", "-o", "name")) == ""
	})
}

func TestSharedForwardIsLeftToTheFirst(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	p.deployed("web")
	port := freePorts(t, 1)[0]
	p.write("okteto.yaml", fmt.Sprintf(`
dev:
  api: {sync: [".:/app"]}
  web: {sync: [".:/app"]}
forward: ["%d:kubernetes.default:443"]
`, port))
	first := p.start("up", "api", "--", "sh", "-c", "echo ready; cat")
	first.out("ready\n")
	second := p.start("up", "web", "--", "sh", "-c", "echo ready; cat")
	second.out("ready\n")
	second.err(fmt.Sprintf("shared forward of port %d", port))
}
