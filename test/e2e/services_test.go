//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// withServices has a Deployment of two pods, whose process reads its code once,
// and a StatefulSet with a claim of its own.
const withServices = manifest + `
    persistentVolume: {size: 20Mi}
    services:
    - name: worker
      command: cat /srv/code >/tmp/began; sleep 86400
      sync: [worker:/srv]
    - name: db
      environment: {MODE: dev}
      sync: [.:/all]
`

// originals are the workloads of withServices.
func originals() []string { return []string{"deploy/api", "deploy/worker", "sts/db"} }

// serving makes the workloads and the code of withServices, and returns their
// snapshots.
func (p *place) serving() []string {
	p.t.Helper()
	p.apply(p.deployment("api") + "---" + p.deployment("worker") + fmt.Sprintf(`
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, labels: {from: user}}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "%s/busybox:1", command: [sh, -c, "echo own >>/data/file; sleep 86400"], volumeMounts: [{name: data, mountPath: /data}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
`, p.Registry))
	p.write("okteto.yaml", withServices)
	p.write("worker/code", "first")
	var before []string
	for _, o := range originals() {
		if err := p.Ready(p.t.Context(), o); err != nil {
			p.t.Fatal(err)
		}
		before = append(before, p.snapshot(o))
	}
	return before
}

// restoresServices checks that all originals are back to the byte, and that
// nothing of `up` is left.
func (p *place) restoresServices(before []string, down ...string) {
	p.t.Helper()
	p.restores("deploy/api", before[0], down...)
	for i, o := range originals() {
		if after := p.snapshot(o); after != before[i] {
			p.t.Errorf("down did not restore %s:\n%s\nwas\n%s", o, after, before[i])
		}
	}
}

// servicePods are the running pods of services.
func (p *place) servicePods() []string {
	p.t.Helper()
	return strings.Fields(p.kubectl("get", "pods", "-l", "detached.dev.okteto.com=api", "--field-selector=status.phase=Running",
		"-o", "go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}"))
}

// everyPodHas awaits that the services have their three pods, and that every
// one has a content in the folder worker.
func (p *place) everyPodHas(content string) {
	p.t.Helper()
	eventually(p.t, "every pod has "+content, func() bool {
		pods := p.servicePods()
		for _, pod := range pods {
			file := "/srv/code"
			if strings.HasPrefix(pod, "db-") {
				file = "/all/worker/code"
			}
			if out, err := p.Kubectl(p.t.Context(), "", "exec", pod, "-c", "main", "--", "cat", file); err != nil || out != content {
				return false
			}
		}
		return len(pods) == 3
	})
}

// began returns with what code the processes of worker began, sorted.
func (p *place) began() string {
	p.t.Helper()
	var all []string
	for _, pod := range p.servicePods() {
		if strings.HasPrefix(pod, "worker-") {
			out, err := p.Kubectl(p.t.Context(), "", "exec", pod, "-c", "main", "--", "cat", "/tmp/began")
			if err != nil {
				out = "nothing"
			}
			all = append(all, out)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// generations tell whether anybody has written to a spec.
func (p *place) generations() string {
	p.t.Helper()
	return p.kubectl("get", "deployments,statefulsets", "-o", `jsonpath={range .items[*]}{.metadata.name}={.metadata.generation} {end}`)
}

func TestServicesRunTheSameCode(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	before := p.serving()

	shown := p.ok("up", "--dry-run=server").stdout
	for _, text := range []string{"name: worker-okteto", "name: db-okteto", "detached.dev.okteto.com: api"} {
		if !strings.Contains(shown, text) {
			t.Errorf("--dry-run does not show %q:\n%s", text, shown)
		}
	}
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	s.err("in development with the same code: deployment/worker, statefulset/db")
	p.everyPodHas("first")
	if got := p.began(); got != "first first" {
		t.Errorf("the processes began with %q", got)
	}
	for _, o := range originals() {
		if got := p.kubectl("get", o, "-o", "jsonpath={.spec.replicas}"); got != "0" {
			t.Errorf("%s has %s replicas in development", o, got)
		}
	}

	p.write("worker/code", "second")
	p.everyPodHas("second")
	db := p.servicePods()[slices.IndexFunc(p.servicePods(), func(pod string) bool { return strings.HasPrefix(pod, "db-") })]
	p.kubectl("exec", db, "-c", "main", "--", "sh", "-c", "echo made in a service >/all/made")
	eventually(t, "what a service writes is here", func() bool { return p.read("made") == "made in a service\n" })
	if got := p.kubectl("exec", db, "-c", "main", "--", "sh", "-c", "hostname; echo $MODE; cat /data/file"); got != "db-0\ndev\nown\nown\n" {
		t.Errorf("the StatefulSet's pod has the name, the variable and the data %q", got)
	}
	if got := p.began(); got != "first first" {
		t.Errorf("the processes began with %q, and nobody has started them anew", got)
	}
	var status struct {
		Services []struct{ Workload, Ready, Replicas any }
	}
	if err := json.Unmarshal([]byte(p.ok("status", "-o", "json").stdout), &status); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(status.Services); got != "[{statefulset/db 1 1} {deployment/worker 2 2}]" {
		t.Errorf("status tells of the services %s", got)
	}
	p.ok("restart")
	eventually(t, "the processes began anew", func() bool { return p.began() == "second second" })

	generations := p.generations()
	if err := s.End(); err != nil {
		t.Error(err)
	}
	p.ok("up", "--", "true")
	if got := p.generations(); got != generations {
		t.Errorf("up again changed something: %s, was %s", got, generations)
	}
	p.restoresServices(before, "--volumes")
}

// TestServicesAfterAKilledUp kills the plugin at each step of taking services
// into development, and while it runs, after one was scaled up meanwhile.
func TestServicesAfterAKilledUp(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(p.deployment("worker"))
	p.scaledByKEDA("web", "worker")
	before := p.serving()
	scaler := p.snapshot("scaledobject/web")
	ends := func(s *session, down ...string) {
		t.Helper()
		if err := s.Cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.restoresServices(before, down...)
		if after := p.snapshot("scaledobject/web"); after != scaler {
			t.Errorf("down did not restore the ScaledObject:\n%s\nwas\n%s", after, scaler)
		}
	}
	for _, suffix := range []string{"/deployments/worker-okteto", "/deployments/worker", "/statefulsets/db", "/scaledobjects/web"} {
		g := p.behind(stop{method: "PATCH", suffix: suffix})
		s := p.start("up", "--server", g.server, "--", "true")
		g.await(t)
		ends(s, "--volumes")
	}
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.err("in development with the same code")
	s.err("KEDA leaves deployment/worker alone until down")
	s.out("ready\n")
	p.kubectl("scale", "deploy/worker", "--replicas=2")
	s.err("deployment/worker was set to 2 replicas by")
	ends(s, "--all", "--volumes")
}

// TestServicesThatFail is told of services that do not come to run, and ends with
// one that may not be swapped. Both times all is given back.
func TestServicesThatFail(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	before := p.serving()
	p.write("okteto.yaml", strings.NewReplacer("- name: worker", "- name: worker\n      image: "+p.Registry+"/nothing:1",
		"- name: db", "- name: db\n      nodeSelector: {no: such}").Replace(withServices))
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	s.err("the service deployment/worker does not run: ")
	s.err("check `image` in the manifest")
	s.err("the service statefulset/db does not run: ")
	s.err("it has to be on the development container's node")
	s.say("still here")
	s.out("still here\n")
	if err := s.End(); err != nil {
		t.Error(err)
	}
	p.restoresServices(before, "--volumes")

	as := p.user("dev", without(documentedRole(t), "patch apps/statefulsets"))
	p.refused(p.run("", "up", as, "--", "sh", "-c", "echo never"), refusal{255, []string{
		"taking the services into development", "you may not patch statefulsets",
	}, []string{"docs/cluster-permissions.md"}})
	p.restoresServices(before, "--volumes")
}

// TestServicesThatCannotBe are refused before anything is touched.
func TestServicesThatCannotBe(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	before := p.serving()
	p.write("other/okteto.yaml", "dev:\n  other:\n    name: worker\n    sync: [.:/app]\n")
	p.ok("up", "-f", "other/okteto.yaml", "--", "true")
	p.refused(p.run("", "up", "--", "true"), refusal{255, []string{
		"looking for the services", `deployment/worker is already in development as "other"`, "down other",
	}, nil})
	p.ok("down", "-f", "other/okteto.yaml")
	for _, c := range []struct {
		old, new string
		code     int
		want     []string
	}{
		{"name: worker", "name: wrker", 255, []string{"looking for the services", `no workload "wrker"`, "worker"}},
		{"name: worker", "name: api", 255, []string{`the container "main" of deployment/api is named twice`, "`container` of its own"}},
		{"name: db", "name: worker", 255, []string{`the container "main" of deployment/worker is named twice`, "`container` of its own"}},
		{"sync: [.:/all]", "sync: [/:/all]", 2, []string{`the folder "/" must be a synced folder of the development container, or in one`}},
	} {
		p.write("okteto.yaml", strings.Replace(withServices, c.old, c.new, 1))
		p.refused(p.run("", "up", "--", "true"), refusal{c.code, c.want, nil})
		if got := p.traces(); len(got) > 0 {
			t.Errorf("%s: up has made %v", c.new, got)
		}
	}
	for i, o := range originals() {
		if after := p.snapshot(o); after != before[i] {
			t.Errorf("%s has changed:\n%s\nwas\n%s", o, after, before[i])
		}
	}
}

// TestServicesOfOneWorkload has two containers of one workload as services, and one
// of the development container's own pod, which is not run as root.
func TestServicesOfOneWorkload(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	pod := func(user string, names ...string) string {
		text := "terminationGracePeriodSeconds: 1\n" + user + "containers:\n"
		for _, name := range names {
			text += fmt.Sprintf("- {name: %s, image: REGISTRY/busybox:1, command: [sleep, \"86400\"], workingDir: /app}\n", name)
		}
		return text
	}
	p.apply(p.podAs("api", pod("securityContext: {runAsUser: 1234, fsGroup: 1234}\n", "main", "side")) + "---" + p.podAs("worker", pod("", "one", "two", "three")))
	objects := []string{"deploy/api", "deploy/worker"}
	var before []string
	for _, o := range objects {
		if err := p.Ready(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		before = append(before, p.snapshot(o))
	}
	const command = "until cat /srv/code >/tmp/began && [ -s /tmp/began ]; do sleep 0.1; done; sleep 86400"
	p.write("okteto.yaml", manifest+`
    services:
    - {name: worker, container: two, command: "`+command+`", sync: ["worker:/srv"], metadata: {labels: {team: blue}}}
    - {name: deploy/worker, container: one, environment: {MODE: dev}, sync: [".:/all"], replicas: 2}
    - {name: api, container: side, command: "`+command+`", sync: ["worker:/srv"], environment: {MODE: side}}
`)
	p.write("worker/code", "first")
	s := p.start("up", "--", "sh", "-c", "cat worker/code; echo; echo ready; cat")
	s.out("first\nready\n")
	s.err("in development with the same code: deployment/worker")
	sees := func(content string) {
		t.Helper()
		eventually(t, "every container has "+content, func() bool {
			pods := p.servicePods()
			for _, c := range append([][]string{{p.devPod(), "side", "/srv/code"}}, pairs(pods, "one", "/all/worker/code", "two", "/srv/code")...) {
				if out, err := p.Kubectl(t.Context(), "", "exec", c[0], "-c", c[1], "--", "cat", c[2]); err != nil || out != content {
					return false
				}
			}
			return len(pods) == 2
		})
	}
	sees("first")
	for _, c := range [][]string{{p.servicePods()[0], "two", "first"}, {p.devPod(), "side", "first"}} {
		eventually(t, c[1]+" began with the code", func() bool {
			out, err := p.Kubectl(t.Context(), "", "exec", c[0], "-c", c[1], "--", "cat", "/tmp/began")
			return err == nil && out == c[2]
		})
	}
	p.write("worker/code", "second")
	p.write("worker/more", "more")
	sees("second")
	if got := p.kubectl("get", "deploy", "worker-okteto", "-o", "jsonpath={.metadata.labels.team} {.spec.template.spec.containers[*].command}"); got !=
		`blue ["sleep","86400"] ["sh","-c","`+strings.ReplaceAll(strings.ReplaceAll(command, ">", `\u003e`), "&", `\u0026`)+`"] ["sleep","86400"]` {
		t.Errorf("the clone of the services has label and commands %s", got)
	}
	p.kubectl("exec", p.devPod(), "-c", "side", "--", "sh", "-c", "echo $MODE >/srv/made")
	eventually(t, "what the container beside writes is here", func() bool { return p.read("worker/made") == "side\n" })
	if r := p.run("", "up", "--diff"); r.code != 0 {
		t.Errorf("up --diff finds a difference to what up has made:\n%s%s", r.stdout, r.stderr)
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
	generations := p.generations()
	p.ok("up", "--", "true")
	if got := p.generations(); got != generations {
		t.Errorf("up again changed something: %s, was %s", got, generations)
	}
	p.restores("deploy/api", before[0], "--volumes")
	if after := p.snapshot("deploy/worker"); after != before[1] {
		t.Errorf("down did not restore deploy/worker:\n%s\nwas\n%s", after, before[1])
	}
}

// pairs are pods, each with every container and file.
func pairs(pods []string, containersAndFiles ...string) (all [][]string) {
	for _, pod := range pods {
		for i := 0; i < len(containersAndFiles); i += 2 {
			all = append(all, []string{pod, containersAndFiles[i], containersAndFiles[i+1]})
		}
	}
	return all
}
