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

// TestPodFieldsReachThePod has the cluster take what the manifest asks of the pod,
// and of the container what only a running one shows.
func TestPodFieldsReachThePod(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.kubectl("create", "serviceaccount", "developer")
	p.apply(p.podAs("api", `
terminationGracePeriodSeconds: 1
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sleep, "86400"]
  livenessProbe: {exec: {command: ["false"]}, initialDelaySeconds: 1, periodSeconds: 1, failureThreshold: 1000}
  readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
  lifecycle: {postStart: {exec: {command: [sh, -c, "echo theirs >/tmp/hook"]}}, preStop: {exec: {command: ["true"]}}}
  resources: {requests: {cpu: 20m, memory: 16Mi}, limits: {cpu: 500m}}
`))
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest+`
    serviceAccount: developer
    priorityClassName: system-cluster-critical
    nodeSelector: {kubernetes.io/os: linux}
    affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: In, values: [linux]}]}]}}}
    securityContext: {runAsUser: 1234, runAsGroup: 1235, fsGroup: 1236, runAsNonRoot: true, allowPrivilegeEscalation: false, readOnlyRootFilesystem: false, capabilities: {drop: [ALL]}}
    probes: {readiness: true}
    lifecycle: {postStart: {command: echo mine >/tmp/hook}, preStop: false}
    imagePullPolicy: Always
    sshServerPort: 2299
    initContainer: {resources: {requests: {memory: 48Mi}}}
`)
	p.write("file", "content")
	if r := p.ok("up", "--", "sh", "-c", "id -u; id -g; id -G; stat -c %u /app/file; cat /tmp/hook"); r.stdout != "1234\n1235\n1235 1236\n1234\nmine\n" {
		t.Errorf("the command wrote %q", r.stdout)
	}
	pod := p.devPod()
	for path, want := range map[string]string{
		"{.spec.serviceAccountName} {.spec.priorityClassName} {.spec.priority}":                                "developer system-cluster-critical 2000000000",
		`{.spec.nodeSelector.kubernetes\.io/os} {.spec.affinity.nodeAffinity.*.nodeSelectorTerms[*].*[*].key}`: "linux kubernetes.io/os",
		"{.spec.containers[0].livenessProbe}{.spec.containers[0].lifecycle.preStop}":                           "",
		"{.spec.containers[0].readinessProbe.exec.command} {.spec.containers[0].imagePullPolicy}":              `["true"] Always`,
		"{.spec.containers[0].resources}":                                           `{"limits":{"cpu":"500m"},"requests":{"cpu":"20m","memory":"16Mi"}}`,
		"{.spec.containers[0].securityContext.capabilities}":                        `{"drop":["ALL"]}`,
		`{.spec.initContainers[?(@.name=="okteto-agent")].resources}`:               `{"requests":{"memory":"48Mi"}}`,
		`{.status.containerStatuses[0].restartCount} {.spec.tolerations[0].effect}`: "0 NoExecute",
	} {
		if got := p.kubectl("get", "pod", pod, "-o", "jsonpath="+path); got != want {
			t.Errorf("%s of the pod is %q, want %q", path, got, want)
		}
	}
	if args := p.kubectl("get", "pod", pod, "-o", `jsonpath={.spec.initContainers[?(@.name=="okteto-agent")].args}`); !strings.Contains(args, "2299") {
		t.Errorf("the agent is told %s", args)
	}
	p.restores("deploy/api", before)
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
