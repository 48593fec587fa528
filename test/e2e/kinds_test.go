//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestKinds develops in workloads of every kind that has no test of its own,
// by the words that kubectl takes, and compares what comes back. Each has the
// name of a Deployment that must not be touched.
func TestKinds(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	api := p.snapshot("deploy/api")
	for _, c := range []struct {
		as []string
		// ready is what `kubectl wait` waits for, state what down says that it
		// is then.
		ready, state, object string
	}{
		{[]string{"rs/api", "replicasets.apps/api"}, "jsonpath={.status.readyReplicas}=2", "2 replicas", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: api, labels: {from: user}}
spec:
  replicas: 2
  selector: {matchLabels: {kind: rs}}
  template:
    metadata: {labels: {kind: rs}}
    spec: POD
`},
		{[]string{"job/api", "Jobs.batch/api"}, "jsonpath={.status.ready}=1", "not suspended", `
apiVersion: batch/v1
kind: Job
metadata: {name: api, labels: {from: user}}
spec:
  template:
    metadata: {labels: {kind: job}}
    spec: ONCE
`},
		{[]string{"cj/api", "cronjobs/api"}, "jsonpath={.spec.suspend}=false", "not suspended", `
apiVersion: batch/v1
kind: CronJob
metadata: {name: api, labels: {from: user}}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {kind: cronjob}}
        spec: ONCE
`},
		{[]string{"ds/api", "DaemonSet/api"}, "jsonpath={.status.numberReady}=1", "1 node", `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: api, labels: {from: user}}
spec:
  selector: {matchLabels: {kind: ds}}
  template:
    metadata: {labels: {kind: ds}}
    spec: POD
`},
	} {
		pod := fmt.Sprintf(`{terminationGracePeriodSeconds: 1, containers: [{name: main, image: "%s/busybox:1", workingDir: /work, command: [sleep, "86400"]}]}`, p.Registry)
		p.apply(strings.NewReplacer("POD", pod, "ONCE", "{restartPolicy: Never, "+pod[1:]).Replace(c.object))
		for _, name := range c.as {
			t.Run(name, func(t *testing.T) {
				here := *p
				here.t, here.src = t, t.TempDir()
				p, object := &here, c.as[0]
				p.kubectl("wait", "--timeout=60s", "--for="+c.ready, object)
				before := p.snapshot(object)
				p.write("file", "content")
				if r := p.ok("up", name, "--", "cat", "/work/file"); r.stdout != "content" {
					t.Errorf("the command wrote %q", r.stdout)
				}
				if p.snapshot(object) == before {
					t.Error("up left the original as it was")
				}
				if r := p.run("", "up", name, "--diff"); r.code != 0 {
					t.Errorf("up --diff finds a difference to what up has made:\n%s%s", r.stdout, r.stderr)
				}
				if r := p.ok("down", name); !strings.Contains(r.stderr, object[strings.Index(object, "/"):]+" is as it was ("+c.state+")") {
					t.Errorf("down says\n%s", r.stderr)
				}
				if after := p.snapshot(object); after != before {
					t.Errorf("down did not restore it:\n%s\nwas\n%s", after, before)
				}
				p.kubectl("wait", "--timeout=60s", "--for="+c.ready, object)
			})
		}
	}
	if after := p.snapshot("deploy/api"); after != api {
		t.Errorf("the Deployment changed:\n%s\nwas\n%s", after, api)
	}
}

// TestSelector finds a workload by labels, with a manifest and without.
func TestSelector(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	objects := []string{"deploy/api", "deploy/web"}
	var before []string
	for _, o := range objects {
		p.deployed(strings.TrimPrefix(o, "deploy/"))
		before = append(before, p.snapshot(o))
	}
	p.refused(p.run("", "up", "-l", "app in (api,web)"), refusal{255, []string{"2 workloads", "deployment/api, deployment/web"}, []string{"narrower"}})
	p.refused(p.run("", "up", "-l", "app=none"), refusal{255, []string{`no workload with labels "app=none"`, "there is api, web"}, nil})
	p.write("file", "content")
	for range 2 { // the second time it comes back
		if r := p.ok("up", "-l", "app!=web", "--", "cat", "/app/file"); r.stdout != "content" {
			t.Errorf("without a manifest the command wrote %q", r.stdout)
		}
	}
	p.ok("down", "api")
	p.write("okteto.yaml", "dev:\n  mine:\n    sync: ['.:/src']\n")
	if r := p.ok("up", "-l", "app=web", "--", "cat", "/src/file"); r.stdout != "content" {
		t.Errorf("with a manifest the command wrote %q", r.stdout)
	}
	p.ok("down", "mine")
	for i, o := range objects {
		if after := p.snapshot(o); after != before[i] {
			t.Errorf("down did not restore %s:\n%s\nwas\n%s", o, after, before[i])
		}
	}
}

// TestMadeByAController refuses what a controller would bring back, and says
// which one.
func TestMadeByAController(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	rs := strings.TrimSpace(p.kubectl("get", "rs", "-l", "app=api", "-o", "name"))
	p.refused(p.run("", "up", rs, "--", "true"), refusal{255, []string{rs[len("replicaset.apps/"):], "belongs to deployment/api"}, []string{"kubectl okteto up deployment/api"}})
	if after := p.snapshot("deploy/api"); after != before {
		t.Errorf("the Deployment changed:\n%s\nwas\n%s", after, before)
	}
}

// TestJobs develops in what has ended, was suspended, or is another's: what has
// ended stays ended, what was suspended stays so.
func TestJobs(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	job := fmt.Sprintf(`{template: {spec: {restartPolicy: Never, containers: [{name: main, image: "%s/busybox:1", workingDir: /work, command: ["true"]}]}}}`, p.Registry)
	p.apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: ended}
spec: ` + job + `
---
apiVersion: batch/v1
kind: Job
metadata: {name: later}
spec: {suspend: true, ` + job[1:] + `
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: "0 0 1 1 *", suspend: true, jobTemplate: {spec: ` + job + `}}
`)
	p.kubectl("wait", "--timeout=60s", "--for=condition=Complete", "job/ended")
	ended := p.kubectl("get", "job/ended", "-o", "jsonpath={.status.completionTime} {.status.succeeded}")
	for object, state := range map[string]string{"job/ended": "not suspended", "job/later": "", "cronjob/nightly": ""} {
		before := p.snapshot(object)
		if r := p.ok("up", object, "--", "pwd"); r.stdout != "/work\n" {
			t.Errorf("%s: the command wrote %q", object, r.stdout)
		}
		if suspended := p.kubectl("get", object, "-o", "jsonpath={.spec.suspend}"); suspended != "true" {
			t.Errorf("%s is not suspended: %q", object, suspended)
		}
		if r := p.ok("down", object); state != "" && !strings.Contains(r.stderr, "("+state+")") {
			t.Errorf("down says\n%s", r.stderr)
		}
		if after := p.snapshot(object); after != before {
			t.Errorf("down did not restore %s:\n%s\nwas\n%s", object, after, before)
		}
	}
	if now := p.kubectl("get", "job/ended", "-o", "jsonpath={.status.completionTime} {.status.succeeded}"); now != ended {
		t.Errorf("the Job ran again: %s, then %s", ended, now)
	}
	p.kubectl("create", "job", "now", "--from=cronjob/nightly")
	p.refused(p.run("", "up", "job/now", "--", "true"), refusal{255,
		[]string{"job/now belongs to cronjob/nightly"}, []string{"kubectl okteto up cronjob/nightly"}})
}
