//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEditedByOthersMeanwhile lets somebody edit the original between `up`'s
// reading and its writing, while it is in development, and between `down`'s
// reading and its writing: all of theirs is there afterwards, and nothing else.
func TestEditedByOthersMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const inTemplate = `{"template": {"metadata": {"annotations": {"theirs-STAGE": VALUE}}}}`
	for _, c := range []struct {
		name, path, spec, object string
	}{
		{"deployment/api", "/deployments/api", inTemplate, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {from: user}}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template: {metadata: {labels: {app: api}}, spec: POD}
`},
		{"statefulset/db", "/statefulsets/db", inTemplate, `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, labels: {from: user}}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: POD}
`},
		{"replicaset/old", "/replicasets/old", inTemplate, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: old, labels: {from: user}}
spec:
  replicas: 2
  selector: {matchLabels: {app: old}}
  template: {metadata: {labels: {app: old}}, spec: POD}
`},
		// Where the swap itself writes.
		{"daemonset/logs", "/daemonsets/logs", `{"template": {"spec": {"nodeSelector": {"theirs-STAGE": VALUE}}}}`, `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: logs, labels: {from: user}}
spec:
  selector: {matchLabels: {app: logs}}
  template: {metadata: {labels: {app: logs}}, spec: POD}
`},
		{"cronjob/nightly", "/cronjobs/nightly", `{"jobTemplate": {"metadata": {"annotations": {"theirs-STAGE": VALUE}}}}`, `
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, labels: {from: user}}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: ONCE}}}}
`},
		{"job/once", "/jobs/once", `{}`, `
apiVersion: batch/v1
kind: Job
metadata: {name: once, labels: {from: user}}
spec: {template: {spec: ONCE}}
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			here := *p
			here.t, here.src = t, t.TempDir()
			here.editedMeanwhile(c.name, c.path, c.spec, strings.NewReplacer("POD", p.sleeper(), "ONCE", "{restartPolicy: Never, "+p.sleeper()[1:]).Replace(c.object))
		})
	}
}

func (p *place) editedMeanwhile(name, path, spec, object string) {
	t := p.t
	t.Helper()
	edit := func(stage int, value string) {
		all := `{"metadata": {"labels": {"theirs-STAGE": VALUE}, "annotations": {"theirs-STAGE": VALUE}}, "spec": ` + spec + "}"
		p.kubectl("patch", name, "--type=merge", "-p", strings.NewReplacer("STAGE", strconv.Itoa(stage), "VALUE", value).Replace(all))
	}
	p.apply(object)
	before := p.snapshot(name)
	edit(1, `"1"`)
	edit(1, "null")
	if undone := p.snapshot(name); undone != before {
		t.Fatalf("an edit that was undone leaves\n%s\nof\n%s", undone, before)
	}

	g := p.behind(stop{method: "PATCH", suffix: path})
	s := p.start("up", "--server", g.server, name, "--", "true")
	g.await(t)
	edit(1, `"1"`)
	close(g.released)
	if code := s.code(); code != 0 {
		t.Errorf("up ended with %d:\n%s", code, s.Stderr)
	}
	edit(2, `"2"`)
	g = p.behind(stop{method: "PATCH", suffix: path})
	s = p.start("down", "--server", g.server, name)
	g.await(t)
	edit(3, `"3"`)
	close(g.released)
	if code := s.code(); code != 0 {
		t.Errorf("down ended with %d:\n%s", code, s.Stderr)
	}
	after := p.snapshot(name)
	for stage := range 3 {
		if n := strings.Count(after, fmt.Sprintf(`"theirs-%d": "%[1]d"`, stage+1)); n != 2+strings.Count(spec, "theirs") {
			t.Errorf("of the edits of stage %d %d are there:\n%s", stage+1, n, after)
		}
		edit(stage+1, "null")
	}
	if after := p.snapshot(name); after != before {
		t.Errorf("without the edits it is\n%s\nand was\n%s", after, before)
	}
}

// TestServerTooOld is told of a server without native sidecars before anything is
// written.
func TestServerTooOld(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	g := p.behind(stop{answered: func(r *http.Response) {
		if r.Request.URL.Path == "/version" {
			body := `{"major": "1", "minor": "28+", "gitVersion": "v1.28.15-gke.1"}`
			r.Body, r.ContentLength = io.NopCloser(bytes.NewBufferString(body)), int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		}
	}})
	p.refused(p.run("", "up", "--server", g.server, "--", "true"), refusal{255,
		[]string{"the server runs Kubernetes v1.28.15-gke.1, 1.29 or later is needed"}, []string{"native sidecar"}})
	if after := p.snapshot("deploy/api"); after != before {
		t.Errorf("the original has changed:\n%s\nwas\n%s", after, before)
	}
	if left := p.traces(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// onDesk is the same namespace from another machine, which has the name desk.
func (p *place) onDesk() *place {
	p.t.Helper()
	other := p.elsewhere()
	program := filepath.Join(p.t.TempDir(), "kubectl-okteto")
	script := "#!/bin/sh\nexec unshare --uts sh -c 'echo desk >/proc/sys/kernel/hostname && exec \"$0\" \"$@\"' " + p.Plugin + " \"$@\"\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		p.t.Fatal(err)
	}
	other.Plugin = program
	if r := other.run("", "version"); r.code != 0 {
		p.t.Skipf("another machine takes root on Linux: %s", r.stderr)
	}
	return other
}

// TestTakenFromAnotherMachine asks before it takes what somebody has on another
// machine, and tells them who took it.
func TestTakenFromAnotherMachine(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	other := p.onDesk()
	first := p.develop()
	pod := p.devPod()
	holder := p.status("api").Holder
	other.write("okteto.yaml", manifest)
	r := other.run("", "up", "--", "true")
	other.refused(r, refusal{255, []string{`"api" is held by ` + holder, "since"}, []string{"kubectl okteto exec api", "kubectl okteto up api --take-over"}})
	first.say("mine")
	first.out("mine\n")

	other.write("file", "from the desk")
	second := other.start("up", "--take-over", "--", "sh", "-c", "echo ready; cat")
	second.out("ready\n")
	if code := first.code(); code != 255 {
		t.Errorf("the first up ended with %d", code)
	}
	if by := other.status("api").Holder; !strings.Contains(by, "@desk/") || !strings.Contains(first.Stderr.String(), by+` took over "api"`) {
		t.Errorf("%s holds it, and the first is told:\n%s", by, first.Stderr)
	}
	if got := p.devPod(); got != pod {
		t.Errorf("another machine made another pod: %s, was %s", got, pod)
	}
	second.say("theirs")
	second.out("theirs\n")
}

// TestTwoDevelopers develop in two workloads of one namespace at once, and end one
// after the other.
func TestTwoDevelopers(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	one, two := p, p.onDesk()
	var before []string
	for name, at := range map[string]*place{"api": one, "web": two} {
		p.deployed(name)
		at.write("okteto.yaml", strings.ReplaceAll(manifest, "api:", name+":"))
		at.write("file", name)
	}
	for _, name := range []string{"api", "web"} {
		before = append(before, p.snapshot("deploy/"+name))
	}
	const command = "cat file; echo; echo ready; while read -r line; do eval \"$line\"; done"
	first, second := one.start("up", "--", "sh", "-c", command), two.start("up", "--", "sh", "-c", command)
	first.out("api\nready\n")
	second.out("web\nready\n")
	one.write("file", "one")
	two.write("file", "two")
	first.say("until [ \"$(cat file)\" = one ]; do :; done; echo edited")
	second.say("until [ \"$(cat file)\" = two ]; do :; done; echo edited")
	first.out("edited\n")
	second.out("edited\n")
	if err := first.End(); err != nil {
		t.Error(err)
	}
	one.ok("down")
	if after := p.snapshot("deploy/api"); after != before[0] {
		t.Errorf("down did not restore the first:\n%s\nwas\n%s", after, before[0])
	}
	second.say("echo still here")
	second.out("still here\n")
	if err := second.End(); err != nil {
		t.Error(err)
	}
	if strings.Contains(second.Stderr.String(), "reconnect") {
		t.Errorf("the second was disturbed:\n%s", second.Stderr)
	}
	two.restores("deploy/web", before[1])
}
