//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// policy is what a cluster or a team asks of pods.
type policy struct {
	name string
	// labels are put on the namespace, objects made in it before the workload.
	labels, objects string
	// annotations are the pod template's, pod and main fields of the pod and of
	// its container main, in YAML. USER stands for a user that the image
	// does not name by number itself.
	annotations, pod, main string
	// before and after are more containers, around main.
	before, after string
	// uid is the user under this policy, "" for the image's own; nonRoot says
	// that this must be a number other than 0.
	uid     string
	nonRoot bool
}

// base is an image to develop in.
type base struct {
	name, image string
	// command is the workload's, "" for the image's own.
	command string
	// root is where the source folder is.
	root string
	// uid is the image's user; named says that the image has it by name.
	uid   string
	named bool
	// program is the static program of an image that has no shell.
	program string
}

// locked is what PodSecurity `restricted` asks of each container.
const locked = "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}"

// highUID is a user as OpenShift gives them out: no image knows it.
const highUID = "1000730000"

// policies are the rows of the matrix.
func policies() []policy {
	return []policy{
		{name: "none"},
		{
			name: "restricted", labels: "pod-security.kubernetes.io/enforce=restricted", nonRoot: true,
			pod:  "securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}USER}\n",
			main: "securityContext: {" + locked + "}",
		},
		{
			name: "random uid", uid: highUID,
			pod: "securityContext: {runAsNonRoot: true, runAsUser: " + highUID + "}\n",
		},
		{name: "read-only", main: "securityContext: {readOnlyRootFilesystem: true}"},
		{
			name: "restricted read-only random uid", labels: "pod-security.kubernetes.io/enforce=restricted", uid: highUID,
			pod:  "securityContext: {seccompProfile: {type: RuntimeDefault}}\n",
			main: "securityContext: {runAsNonRoot: true, runAsUser: " + highUID + ", readOnlyRootFilesystem: true, " + locked + "}",
		},
		{
			name: "quota", objects: `
apiVersion: v1
kind: ResourceQuota
metadata: {name: team}
spec: {hard: {pods: "2", requests.cpu: 200m, requests.memory: 256Mi, limits.cpu: "1", limits.memory: 512Mi}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: team}
spec:
  limits:
  - type: Container
    default: {cpu: 250m, memory: 128Mi}
    defaultRequest: {cpu: 50m, memory: 64Mi}
    max: {cpu: 500m, memory: 256Mi}
    min: {cpu: 10m, memory: 16Mi}
`,
			main: "resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 500m, memory: 256Mi}}",
		},
		{
			name: "several containers",
			pod: `volumes: [{name: shared, emptyDir: {}}]
initContainers:
- {name: prepare, image: "REGISTRY/busybox:1", command: [sh, -c, "echo prepared >/shared/file"], volumeMounts: [{name: shared, mountPath: /shared}]}
- {name: logs, image: "REGISTRY/busybox:1", command: [sleep, "86400"], restartPolicy: Always}
`,
			main: "volumeMounts: [{name: shared, mountPath: /shared}]",
			after: `
- {name: worker, image: "REGISTRY/busybox:1", command: [sleep, "86400"], volumeMounts: [{name: shared, mountPath: /shared}]}
- {name: metrics, image: "REGISTRY/web:1", args: [-listen, ":9090"]}
`,
		},
		{
			name: "fsGroup with a claim", objects: `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
`,
			pod: `automountServiceAccountToken: false
securityContext: {fsGroup: 2000}
volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`,
			main: "volumeMounts: [{name: data, mountPath: /data}]",
		},
	}
}

// bases are the columns of the matrix; named is an image with a user's name.
func bases(named string) []base {
	return []base{
		{name: "busybox", image: "REGISTRY/busybox:1", command: `[sleep, "86400"]`, root: "/app", uid: "0"},
		{name: "debian", image: named, command: `[sleep, "86400"]`, root: "/home/dev/src", uid: "1500", named: true},
		{name: "distroless", image: "REGISTRY/distroless:1", root: "/srv/code", uid: "65532", program: "/app/web"},
		{name: "scratch", image: "REGISTRY/web:1", root: "/app", uid: "0", program: "/web"},
	}
}

// TestPolicies develops under each policy in each image, with nothing in the
// manifest but the folder, and gives the original back.
func TestPolicies(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	named := p.image(t.TempDir(), "named", "FROM "+p.Registry+"/debian:1\nRUN useradd --create-home --uid 1500 dev\nUSER dev\nWORKDIR /home/dev\n")
	for _, policy := range policies() {
		for _, base := range bases(named) {
			t.Run(policy.name+"/"+base.name, func(t *testing.T) {
				t.Parallel()
				newPlace(t).developsUnder(policy, base)
			})
		}
	}
}

// TestPoliciesBesides develops in what pods have beside the policies' matrix.
func TestPoliciesBesides(t *testing.T) {
	for _, policy := range []policy{
		{name: "hostNetwork", pod: "hostNetwork: true\ndnsPolicy: ClusterFirstWithHostNet\n"},
		{name: "seccomp", pod: "securityContext: {seccompProfile: {type: RuntimeDefault}}\n"},
		{
			// A mesh's proxy is often the first container, which holds the
			// others up until it serves.
			name: "mesh", annotations: "kubectl.kubernetes.io/default-container: main",
			before: `
- name: proxy
  image: "REGISTRY/busybox:1"
  command: [httpd, -f, -p, "15001"]
  securityContext: {runAsUser: 1337, readOnlyRootFilesystem: true, ` + locked + `}
  lifecycle: {postStart: {exec: {command: [sh, -c, "until nc -w 1 127.0.0.1 15001 </dev/null; do sleep 0.1; done"]}}}
`,
		},
	} {
		t.Run(policy.name, func(t *testing.T) {
			t.Parallel()
			newPlace(t).developsUnder(policy, bases("")[0])
		})
	}
	t.Run("user of the image alone", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		image := p.image(t.TempDir(), "numbered", "FROM "+p.Registry+"/busybox-user:1\nUSER 1000\n")
		p.developsUnder(policies()[1], base{name: "numbered", image: image, command: `[sleep, "86400"]`, root: "/home/user/src", uid: "1000"})
	})
}

// developsUnder is one cell: up, an edit that the command sees, sftp both ways,
// down.
func (p *place) developsUnder(policy policy, base base) {
	p.t.Helper()
	if policy.labels != "" {
		p.kubectl("label", "namespace", p.Namespace, policy.labels)
	}
	if policy.objects != "" {
		p.apply(policy.objects)
	}
	p.apply(p.workloadUnder(policy, base))
	if err := p.Ready(p.t.Context(), "deploy/api"); err != nil {
		p.t.Fatalf("the original does not run: %v", err)
	}
	before := p.snapshot("deploy/api")
	p.write("file.txt", "one")
	port := freePorts(p.t, 1)[0]
	p.write("okteto.yaml", fmt.Sprintf("dev:\n  api:\n    sync: ['.:%s']\n    forward: ['%d:8080']\n", base.root, port))
	var s *session
	if base.program != "" {
		s = p.start("up", "--", base.program, "-file", base.root+"/file.txt")
		s.out("listening on")
		p.seenBy(port, "one")
		p.write("file.txt", "two")
		p.seenBy(port, "two")
	} else {
		s = p.start("up", "--", "sh", "-c", "cd "+base.root+" && "+loop)
		s.started(1)
		p.write("file.txt", "two")
		s.say("until [ \"$(cat file.txt)\" = two ]; do sleep 0.05; done; echo came; echo made >made.txt")
		s.out("came\n")
		eventually(p.t, "what the command wrote arrives", func() bool { return p.read("made.txt") == "made\n" })
	}
	p.copies(base.root, userUnder(policy, base))
	_ = s.Stdin.Close()
	p.restores("deploy/api", before)
}

// userUnder returns the user of the container main under a policy.
func userUnder(policy policy, base base) string {
	switch {
	case policy.uid != "":
		return policy.uid
	case policy.nonRoot && (base.uid == "0" || base.named):
		return "1000"
	default:
		return base.uid
	}
}

// workloadUnder renders the workload, as its team would have to write it.
func (p *place) workloadUnder(policy policy, base base) string {
	p.t.Helper()
	user := ""
	if uid := userUnder(policy, base); uid != base.uid || base.named {
		user = ", runAsUser: " + uid
	}
	main := fmt.Sprintf("\n- name: main\n  image: %q\n  %s\n", base.image, policy.main)
	if base.command != "" {
		main += "  command: " + base.command + "\n"
	}
	pod := policy.pod + "terminationGracePeriodSeconds: 1\ncontainers:" + policy.before + main + policy.after
	object := p.podAs("api", strings.ReplaceAll(pod, "USER", user))
	if policy.annotations == "" {
		return object
	}
	return strings.Replace(object, "    metadata:\n", "    metadata:\n      annotations: {"+policy.annotations+"}\n", 1)
}

// seenBy waits until the program behind a forward answers with a text. It says
// that it listens a moment before it does.
func (p *place) seenBy(port int, text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("the program answers %q", text), func() bool {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return err == nil && string(body) == text
	})
}

// copies moves a file both ways by sftp and looks at its owner.
func (p *place) copies(root, uid string) {
	p.t.Helper()
	got := filepath.Join(p.Home, "got.txt")
	batch := fmt.Sprintf("ls -ln %[1]s\nput %[2]s/file.txt %[1]s/copied.txt\nget %[1]s/file.txt %[3]s\n", root, p.src, got)
	r := p.runClient(batch, "sftp", "-b", "-", "api.okteto")
	if r.code != 0 {
		p.t.Fatalf("sftp: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	owned := slices.ContainsFunc(strings.Split(r.stdout, "\n"), func(line string) bool {
		fields := strings.Fields(line)
		return len(fields) > 3 && strings.HasSuffix(line, "/file.txt") && fields[2] == uid
	})
	if !owned {
		p.t.Errorf("the file's owner is not %s:\n%s", uid, r.stdout)
	}
	if text, err := os.ReadFile(got); string(text) != "two" {
		p.t.Errorf("sftp fetched %q, %v", text, err)
	}
	eventually(p.t, "the copy arrives", func() bool { return p.read("copied.txt") == "two" })
}

// TestLimitRangeWithAMinimum asks for more than the sidecar needs.
func TestLimitRangeWithAMinimum(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(`
apiVersion: v1
kind: LimitRange
metadata: {name: team}
spec: {limits: [{type: Container, min: {cpu: 50m, memory: 100Mi}, max: {cpu: 500m, memory: 512Mi}}]}
`)
	p.apply(p.podAs("api", `
terminationGracePeriodSeconds: 1
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sleep, "86400"]
  resources: {requests: {cpu: 50m, memory: 128Mi}, limits: {cpu: 500m, memory: 256Mi}}
`))
	if err := p.Ready(t.Context(), "deploy/api"); err != nil {
		t.Fatal(err)
	}
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	p.ok("up", "--", "true")
	got := p.kubectl("get", "deploy", "api-okteto", "-o", "jsonpath={.metadata.generation} {.spec.template.spec.initContainers[0].resources.requests}")
	if got != `1 {"cpu":"50m","memory":"100Mi"}` {
		t.Errorf("generation and requests of the sidecar are %s", got)
	}
	p.ok("up", "--", "true")
	if again := p.kubectl("get", "deploy", "api-okteto", "-o", "jsonpath={.metadata.generation}"); again != "1" {
		t.Errorf("up again changed the clone: generation %s", again)
	}
	p.restores("deploy/api", before)
}
