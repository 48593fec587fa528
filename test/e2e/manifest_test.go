//go:build e2e

package e2e

import (
	"crypto/tls"
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

// TestAutocreate reaches the pod of a workload that was not there from another one,
// by its Service, as long as it is in development.
func TestAutocreate(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("client")
	local := freePorts(t, 2)
	p.write("okteto.yaml", fmt.Sprintf(`
dev:
  box:
    autocreate: true
    image: %s/busybox:1
    sync: ['.:/src']
  web:
    autocreate: true
    image: %[1]s/busybox:1
    sync: ['.:/src']
    forward: [%[2]d:3000, %[3]d:3001]
`, p.Registry, local[0], local[1]))
	p.write("file.txt", "in a workload that was not there")
	for name, port := range map[string]string{"box": "8080", "web": "3001"} {
		s := p.start("up", name, "--", "sh", "-c", "cat /src/file.txt; echo; httpd -p "+port+" -h /src; echo ready; cat")
		s.out("in a workload that was not there\nready\n")
		ip := strings.TrimSpace(p.kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}"))
		eventually(t, name+" is served to others", func() bool {
			out, err := p.Kubectl(t.Context(), "", "exec", "deploy/client", "--", "sh", "-c", "printf 'GET /file.txt HTTP/1.0\\r\\n\\r\\n' | nc -w 1 "+ip+" "+port)
			return err == nil && strings.HasSuffix(out, "in a workload that was not there")
		})
		if r := p.run("", "up", name, "--diff"); r.code != 0 {
			t.Errorf("up --diff finds a difference to what up has made:\n%s%s", r.stdout, r.stderr)
		}
		if err := s.End(); err != nil {
			t.Error(err)
		}
		p.ok("down", name)
	}
	eventually(t, "nothing is left", func() bool {
		return strings.TrimSpace(p.kubectl("get", "deploy,lease,pvc,service", "-o", "name")) == "deployment.apps/client"
	})
}

// TestAutocreateBesideAService leaves somebody's Service of that name alone, and
// does without where none may be made.
func TestAutocreateBesideAService(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("okteto.yaml", fmt.Sprintf("dev:\n  box:\n    autocreate: true\n    image: %s/busybox:1\n    sync: ['.:/src']\n", p.Registry))
	as := p.user("dev", without(documentedRole(t), "create services"))
	r := p.ok("up", as, "--", "true")
	if !strings.Contains(r.stderr, "no Service leads to deployment/box: you may not create services") {
		t.Errorf("up does not say that there is no Service:\n%s", r.stderr)
	}
	p.ok("down")
	p.apply("apiVersion: v1\nkind: Service\nmetadata: {name: box}\nspec: {selector: {app: other}, ports: [{port: 80}]}\n")
	before := p.snapshot("service/box")
	r = p.ok("up", "--", "true")
	if !strings.Contains(r.stderr, "no Service leads to deployment/box: services box exists, and this plugin did not make it") {
		t.Errorf("up does not say that there is another Service:\n%s", r.stderr)
	}
	p.ok("down")
	if after := p.snapshot("service/box"); after != before {
		t.Errorf("somebody's Service has changed:\n%s\nwas\n%s", after, before)
	}
}

func TestSharedForwardIsHandedOver(t *testing.T) {
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
	forward := fmt.Sprintf("%d -> kubernetes.default:443", port)
	second.err("shared forward " + forward + " is left to others")
	if err := first.End(); err != nil {
		t.Fatal(err)
	}
	second.err("forward  " + forward)
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
