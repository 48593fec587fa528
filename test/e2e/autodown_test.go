//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// given bounds the wait for an original that is given back by itself: the time
// without a laptop, the minute between two looks, and pods that start slowly.
const given = 5 * time.Minute

// autoDownParts returns what there is of that which gives originals back.
func (p *place) autoDownParts() []string {
	p.t.Helper()
	var parts []string
	for _, name := range strings.Fields(p.kubectl("get", "roles,rolebindings,serviceaccounts,cronjobs", "-o", "name")) {
		if strings.HasSuffix(name, "-autodown") {
			parts = append(parts, name)
		}
	}
	return parts
}

// kill kills a session as a power cut does.
func (s *session) kill() {
	s.t.Helper()
	if err := s.Cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	s.code()
}

// vanishing is a way in which a laptop vanishes from the workload NAME.
type vanishing struct {
	name string
	// kind is that of the workload, a Deployment unless set; GROUP stands for the
	// group of custom resources.
	kind string
	// manifest is the end of okteto.yaml, below dev.NAME.
	manifest string
	// command is killed where stop says, up or down; before down, and where it
	// is empty, up runs to its end: a bad one where fails.
	command string
	stop    stop
	fails   bool
	// unarmed says that there is nothing yet to give the original back, which
	// is as it was.
	unarmed bool
	// keda says that a ScaledObject NAME scales the workload.
	keda bool
	// autocreate says that there is no workload before.
	autocreate bool
	// replicas is what somebody scales the original to after that.
	replicas string
}

// vanishings are the ways.
func vanishings() []vanishing {
	up := func(what, method, suffix string) vanishing {
		return vanishing{name: "up killed " + what, command: "up", stop: stop{method: method, suffix: suffix}}
	}
	down := func(what, method, suffix string, pass int32) vanishing {
		return vanishing{name: "down killed " + what, command: "down", stop: stop{method: method, suffix: suffix, pass: pass}}
	}
	unarmed := func(v vanishing) vanishing { v.unarmed = true; return v }
	of := func(kind string, v vanishing) vanishing { v.kind = kind; return v }
	keda := func(v vanishing) vanishing { v.keda = true; return v }
	custom := func(v vanishing) vanishing {
		v.manifest = "    name: rollout.GROUP/NAME\n"
		return of("Rollout.GROUP", v)
	}
	return []vanishing{
		unarmed(up("taking the lease", "POST", "/leases")),
		unarmed(up("making the role", "PATCH", "/roles/NAME-okteto-autodown")),
		up("making the secret", "PATCH", "/secrets/NAME-okteto"),
		up("making the clone", "PATCH", "/deployments/NAME-okteto"),
		up("scaling the original down", "PATCH", "/deployments/NAME"),
		up("connecting", "GET", "/portforward"),
		down("opening the original", "PATCH", "/deployments/NAME", 0),
		down("cleaning the original", "PATCH", "/deployments/NAME", 1),
		down("deleting the clone", "DELETE", "/deployments/NAME-okteto", 0),
		down("deleting the secret", "DELETE", "/secrets/NAME-okteto", 0),
		down("deleting the lease", "DELETE", "/leases/NAME-okteto", 0),
		down("deleting the role", "DELETE", "/roles/NAME-okteto-autodown", 0),
		{name: "no node for the pod", fails: true, manifest: "    nodeSelector: {none: such}\n"},
		{name: "no image for the pod", fails: true, manifest: "    image: REGISTRY/none:1\n"},
		{name: "up ended", kind: "StatefulSet"},
		{name: "up ended", kind: "DaemonSet"},
		{name: "up ended", kind: "Job"},
		of("Job", up("suspending the original", "PATCH", "/jobs/NAME")),
		of("Job", down("cleaning the original", "PATCH", "/jobs/NAME", 1)),
		{name: "up ended", kind: "CronJob"},
		of("CronJob", up("suspending the original", "PATCH", "/cronjobs/NAME")),
		of("CronJob", down("cleaning the original", "PATCH", "/cronjobs/NAME", 1)),
		{name: "up ended", kind: "Pod"},
		of("Pod", up("making the clone", "PATCH", "/deployments/NAME-okteto")),
		of("Pod", up("deleting the original", "DELETE", "/pods/NAME")),
		of("Pod", down("making the original again", "POST", "/pods", 0)),
		of("Pod", down("handing its fields back", "PATCH", "/pods/NAME", 0)),
		of("Pod", down("deleting the clone", "DELETE", "/deployments/NAME-okteto", 0)),
		keda(vanishing{name: "up ended"}),
		keda(up("pausing KEDA", "PATCH", "/scaledobjects/NAME")),
		keda(up("scaling down what KEDA scales", "PATCH", "/deployments/NAME")),
		keda(down("resuming KEDA", "PATCH", "/scaledobjects/NAME", 0)),
		custom(vanishing{name: "up ended"}),
		custom(up("scaling the original down", "PATCH", "/rollouts/NAME")),
		custom(down("cleaning the original", "PATCH", "/rollouts/NAME", 1)),
		{name: "somebody scaled it", replicas: "1"},
		{name: "up made it", autocreate: true, manifest: "    autocreate: true\n    image: REGISTRY/busybox:1\n"},
	}
}

// original makes the workload of a vanishing, and returns what it is.
func (p *place) original(v vanishing, object, name string) string {
	p.t.Helper()
	kind, group, _ := strings.Cut(v.kind, ".")
	switch pod := p.sleeper(); kind {
	case "Pod":
		p.apply("{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", labels: {app: " + name + "}}, spec: " + pod + "}")
	case "Rollout":
		p.apply(p.rollout(group, name, "replicas: 2"))
	case "Job":
		p.apply("{apiVersion: batch/v1, kind: Job, metadata: {name: " + name + "}, spec: " + once(pod) + "}")
	case "CronJob":
		p.apply("{apiVersion: batch/v1, kind: CronJob, metadata: {name: " + name + "}, " +
			`spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: ` + once(pod) + "}}}")
	default:
		replicas := "replicas: 2"
		if kind == "DaemonSet" {
			replicas = ""
		}
		p.apply(strings.NewReplacer("NAME", name, "KIND", kind, "REPLICAS", replicas, "POD", pod).Replace(`
apiVersion: apps/v1
kind: KIND
metadata: {name: NAME}
spec:
  REPLICAS
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: POD
`))
	}
	p.serves(kind, object)
	return p.comparable(object)
}

// comparable returns of an object what has to come back to the byte.
func (p *place) comparable(object string) string {
	p.t.Helper()
	if strings.HasPrefix(object, "pod/") {
		return p.again(object)
	}
	return p.snapshot(object)
}

// once is the spec of a Job of one such pod.
func once(pod string) string {
	return "{template: {spec: {restartPolicy: Never, " + strings.TrimPrefix(pod, "{") + "}}"
}

// serves waits until the pods of a workload are there, of a kind that has some at
// once.
func (p *place) serves(kind, object string) {
	p.t.Helper()
	switch kind {
	case "Pod":
		p.kubectl("wait", "--timeout=60s", "--for=condition=Ready", object)
	case "Job":
		p.kubectl("wait", "--timeout=60s", "--for=jsonpath={.status.ready}=1", object)
	case "Deployment", "StatefulSet", "DaemonSet":
		if err := p.Ready(p.t.Context(), object); err != nil {
			p.t.Error(err)
		}
	}
}

// vanish develops in a workload, until the laptop vanishes. It returns what has to
// be again what it was.
func (p *place) vanish(v vanishing, object, name string) map[string]string {
	p.t.Helper()
	before := map[string]string{}
	if !v.autocreate {
		before[object] = p.original(v, object, name)
	}
	if v.keda {
		p.scaledByKEDA(name, name)
		before["scaledobject/"+name] = p.snapshot("scaledobject/" + name)
	}
	p.write("okteto.yaml", strings.ReplaceAll(manifest, "api", name)+"    autoDown: 30s\n    secrets: ['token:/run/token']\n"+
		strings.NewReplacer("REGISTRY", p.Registry, "NAME", name).Replace(v.manifest))
	if v.command != "up" {
		if r := p.run("", "up", "--", "true"); (r.code != 0) != v.fails {
			p.t.Fatalf("up ended with %d\n%s", r.code, r.stderr)
		}
	}
	if v.command != "" {
		v.stop.suffix = strings.ReplaceAll(v.stop.suffix, "NAME", name)
		g := p.behind(v.stop)
		s := p.start(v.command, "--server", g.server)
		g.await(p.t)
		s.kill()
	}
	if v.replicas != "" {
		p.kubectl("scale", object, "--replicas="+v.replicas)
		before[object] = strings.Replace(before[object], `"replicas": 2`, `"replicas": `+v.replicas, 1)
	}
	return before
}

// left returns what there is of a development container.
func (p *place) left(name string) []string {
	p.t.Helper()
	all := strings.Fields(p.kubectl("get", "deployments,leases,secrets,roles,rolebindings,serviceaccounts,cronjobs", "-o", "name"))
	return slices.DeleteFunc(all, func(o string) bool { return !strings.Contains(o, "/"+name+"-okteto") })
}

// TestVanishedThenGivenBack kills up and down before each of their writes, and
// lets laptops vanish otherwise, also from a dev pod that cannot start. The
// cluster gives each original back, to the byte, and leaves nothing behind.
func TestVanishedThenGivenBack(t *testing.T) {
	t.Parallel()
	p, group, _ := customPlace(t)
	p.write("token", "s3cret")
	type gone struct {
		vanishing
		object, name string
		before       map[string]string
	}
	var all []gone
	for i, v := range vanishings() {
		v.kind = strings.ReplaceAll(cmp.Or(v.kind, "Deployment"), "GROUP", group)
		v.manifest = strings.ReplaceAll(v.manifest, "GROUP", group)
		g := gone{vanishing: v, name: fmt.Sprintf("api-%d", i)}
		g.object = strings.ToLower(v.kind) + "/" + g.name
		g.before = p.vanish(v, g.object, g.name)
		all = append(all, g)
	}
	for _, g := range all {
		t.Run(g.name+" "+g.kind+" "+g.vanishing.name, func(t *testing.T) {
			here := *p
			here.t = t
			if g.unarmed {
				here.ok("down", g.name)
			} else {
				// The Role is the last to go.
				here.kubectl("wait", "--for=delete", "role/"+g.name+"-okteto-autodown", "--timeout="+given.String())
			}
			if g.autocreate {
				eventually(t, "what up made is gone", func() bool {
					return here.kubectl("get", g.object, "--ignore-not-found", "-o", "name") == "" && len(here.left(g.name)) == 0
				})
				return
			}
			for object, before := range g.before {
				if after := here.comparable(object); after != before {
					t.Errorf("%s came back as\n%s\nwas\n%s", object, after, before)
				}
				if fields := here.kubectl("get", object, "-o", "json", "--show-managed-fields"); strings.Contains(fields, `"kubectl-okteto"`) {
					t.Errorf("fields of it are still ours:\n%s", fields)
				}
			}
			eventually(t, "nothing of up is left", func() bool { return len(here.left(g.name)) == 0 })
			here.serves(g.kind, g.object)
		})
	}
}

// TestGivenBackUnderAQuota has room for one pod, then for that and the one that
// looks: the look waits for its room, and the pod of before for that of the clone.
func TestGivenBackUnderAQuota(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.write("token", "s3cret")
	room := func(pods string) {
		p.apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: room}, spec: {hard: {pods: '" + pods + "'}}}")
	}
	room("1")
	before := p.vanish(vanishing{kind: "Pod"}, "pod/web", "web")["pod/web"]
	eventually(t, "the quota refuses the look", func() bool {
		refused := p.kubectl("get", "events", "--field-selector=reason=FailedCreate,involvedObject.kind=Job", "-o", "jsonpath={.items[*].message}")
		return strings.Contains(refused, "web-okteto-autodown") && strings.Contains(refused, "exceeded quota")
	})
	room("2")
	p.kubectl("wait", "--for=delete", "role/web-okteto-autodown", "--timeout="+given.String())
	if after := p.comparable("pod/web"); after != before {
		t.Errorf("it came back as\n%s\nwas\n%s", after, before)
	}
	p.serves("Pod", "pod/web")
}

// TestServicesGivenBack vanishes while further workloads are in development.
func TestServicesGivenBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	before := p.serving()
	p.write("okteto.yaml", withServices+"    autoDown: 30s\n")
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	s.kill()
	for i, o := range originals() {
		_, name, _ := strings.Cut(o, "/")
		p.kubectl("wait", "--for=delete", "role/"+name+"-okteto-autodown", "--timeout="+given.String())
		if after := p.snapshot(o); after != before[i] {
			t.Errorf("%s came back as\n%s\nwas\n%s", o, after, before[i])
		}
		eventually(t, "nothing of up is left", func() bool { return len(p.left(name)) == 0 })
	}
}

// look looks now whether a laptop was heard of, and returns what the look says.
func (p *place) look(name string) string {
	p.t.Helper()
	var job map[string]any
	if err := json.Unmarshal([]byte(p.kubectl("create", "job", name, "--from=cronjob/api-okteto-autodown", "--dry-run=client", "-o", "json")), &job); err != nil {
		p.t.Fatal(err)
	}
	// The CronJob would delete one of its own as soon as it is complete.
	delete(metadata(job), "ownerReferences")
	text, err := json.Marshal(job)
	if err != nil {
		p.t.Fatal(err)
	}
	p.apply(string(text))
	p.kubectl("wait", "--for=condition=complete", "job/"+name, "--timeout=90s")
	return p.kubectl("logs", "job/"+name)
}

// TestLooksLeaveALaptopAlone looks while a laptop is there, by up and by exec.
func TestLooksLeaveALaptopAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest+"    autoDown: 1h\n")
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	if said := p.look("first"); !strings.Contains(said, "a laptop was heard of") {
		t.Errorf("the look says\n%s", said)
	}
	s.say("still here")
	s.out("still here\n")
	if err := s.End(); err != nil {
		t.Error(err)
	}
	used := func() string {
		return p.kubectl("get", "lease", "api-okteto", "-o", `jsonpath={.metadata.annotations.dev\.okteto\.com/used}`)
	}
	if was := used(); was != "" {
		t.Errorf("used at %s", was)
	}
	other := p.start("exec", "api", "--", "sh", "-c", "echo ready; cat")
	other.out("ready\n")
	eventually(t, "exec counts as use", func() bool { return used() != "" })
	if err := other.End(); err != nil {
		t.Error(err)
	}
	p.restores("deploy/api", before)
}

// TestLooksUnderPolicies looks under each policy that lets a dev pod in.
func TestLooksUnderPolicies(t *testing.T) {
	roomy := strings.NewReplacer(`limits.cpu: "1"`, `limits.cpu: "2"`, "limits.memory: 512Mi", "limits.memory: 1Gi")
	for _, policy := range policies() {
		t.Run(policy.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			if policy.labels != "" {
				p.kubectl("label", "namespace", p.Namespace, policy.labels)
			}
			if policy.objects != "" {
				p.apply(roomy.Replace(policy.objects))
			}
			p.apply(p.workloadUnder(policy, bases("")[0]))
			if err := p.Ready(t.Context(), "deploy/api"); err != nil {
				t.Fatal(err)
			}
			p.write("okteto.yaml", manifest)
			p.ok("up", "--", "true")
			if said := p.look("now"); !strings.Contains(said, "a laptop was heard of") {
				t.Errorf("the look says\n%s", said)
			}
			p.ok("down")
		})
	}
}
