//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// documentedRole returns the Role of docs/cluster-permissions.md.
func documentedRole(t *testing.T) *rbacv1.Role {
	t.Helper()
	text, err := os.ReadFile("../../docs/cluster-permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```yaml\n")
	block, _, _ = strings.Cut(block, "\n---\n")
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict([]byte(block), &role); err != nil || role.Kind != "Role" {
		t.Fatalf("the page does not begin with a Role: %v\n%s", err, block)
	}
	return &role
}

// rights lists what a Role allows: "get apps/deployments".
func rights(role *rbacv1.Role) []string {
	var all []string
	for _, rule := range role.Rules {
		for _, verb := range rule.Verbs {
			all = append(all, verb+" "+strings.TrimPrefix(rule.APIGroups[0]+"/"+rule.Resources[0], "/"))
		}
	}
	slices.Sort(all)
	return all
}

// without returns the Role less some rights.
func without(role *rbacv1.Role, less ...string) *rbacv1.Role {
	role = role.DeepCopy()
	for i := range role.Rules {
		rule := &role.Rules[i]
		rule.Verbs = slices.DeleteFunc(rule.Verbs, func(verb string) bool {
			return slices.Contains(less, verb+" "+strings.TrimPrefix(rule.APIGroups[0]+"/"+rule.Resources[0], "/"))
		})
	}
	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return len(r.Verbs) == 0 })
	return role
}

// user makes a ServiceAccount with a Role and returns the flag that makes the
// plugin act as it.
func (p *place) user(name string, role *rbacv1.Role) string {
	p.t.Helper()
	role = role.DeepCopy()
	role.Name = name
	text, err := json.Marshal(role)
	if err != nil {
		p.t.Fatal(err)
	}
	p.apply(string(text))
	p.kubectl("create", "serviceaccount", name)
	p.kubectl("create", "rolebinding", name, "--role="+name, "--serviceaccount="+p.Namespace+":"+name)
	as := fmt.Sprintf("--as=system:serviceaccount:%s:%s", p.Namespace, name)
	// The API server learns of a Role a moment after it was made.
	rule := role.Rules[0]
	eventually(p.t, "the role counts", func() bool {
		_, err := p.Kubectl(p.t.Context(), "", "auth", "can-i", as, rule.Verbs[0], rule.Resources[0]+"."+rule.APIGroups[0])
		return err == nil
	})
	return as
}

// used returns the rights that a request needs.
func used(r *http.Request, status int) []string {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var group string
	switch {
	case len(path) > 4 && path[0] == "api" && path[2] == "namespaces":
		path = path[4:]
	case len(path) > 5 && path[0] == "apis" && path[3] == "namespaces":
		group, path = path[1]+"/", path[5:]
	default:
		return nil
	}
	resource := group + path[0]
	if len(path) > 2 {
		resource += "/" + path[2]
	}
	var verbs []string
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Get("watch") != "":
		verbs = []string{"watch"}
	case r.Method == http.MethodGet && len(path) == 1:
		verbs = []string{"list"}
	case r.Method == http.MethodGet && len(path) > 2 && path[2] != "log":
		// An upgrade to WebSocket.
		verbs = []string{"get", "create"}
	case r.Method == http.MethodGet:
		verbs = []string{"get"}
	case r.Method == http.MethodPatch && status == http.StatusCreated:
		verbs = []string{"patch", "create"}
	case r.Method == http.MethodPost:
		verbs = []string{"create"}
	default:
		verbs = []string{strings.ToLower(r.Method)}
	}
	for i := range verbs {
		verbs[i] += " " + resource
	}
	return verbs
}

// TestDocumentedRoleIsEnoughAndNoMore does all that needs rights with the
// documented Role alone, and counts which of them were needed.
func TestDocumentedRoleIsEnoughAndNoMore(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("worker")
	p.deployed("api")
	p.scaledByKEDA("web", "api")
	p.apply(fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: api, labels: {role: web}}
spec: {selector: {app: api}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      initContainers:
      - {name: fails, image: "%[1]s/busybox:1", command: [sh, -c, echo no luck; exit 3]}
      containers:
      - {name: main, image: "%[1]s/busybox:1", command: [sleep, "86400"]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: old}
spec:
  selector: {matchLabels: {app: old}}
  template:
    metadata: {labels: {app: old}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "%[1]s/busybox:1", command: [sleep, "86400"]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: logs}
spec:
  selector: {matchLabels: {app: logs}}
  template:
    metadata: {labels: {app: logs}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "%[1]s/busybox:1", command: [sleep, "86400"]}
---
apiVersion: v1
kind: Pod
metadata: {name: solo}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "%[1]s/busybox:1", command: [sleep, "86400"]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 1
      restartPolicy: Never
      containers:
      - {name: main, image: "%[1]s/busybox:1", command: [sleep, "86400"]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      template:
        spec:
          terminationGracePeriodSeconds: 1
          restartPolicy: Never
          containers:
          - {name: main, image: "%[1]s/busybox:1", command: [sleep, "86400"]}
`, p.Registry))
	objects := []string{"deploy/api", "sts/db", "rs/old", "ds/logs", "deploy/worker", "scaledobject/web", "job/once", "cronjob/nightly"}
	var before []string
	for _, o := range objects {
		before = append(before, p.snapshot(o))
	}
	p.write("token", "s3cret")
	p.write("okteto.yaml", fmt.Sprintf(manifest+`
    persistentVolume: {size: 10Mi}
    secrets: ["token:/run/token:600"]
    forward:
    - {localPort: %d, remotePort: 80, labels: {role: web}}
    services: [{name: worker, sync: [".:/app"]}]
  db:
    sync: [".:/app"]
  old:
    sync: [".:/app"]
  logs:
    sync: [".:/app"]
  once:
    sync: [".:/app"]
  nightly:
    sync: [".:/app"]
  solo:
    sync: [".:/app"]
  box:
    autocreate: true
    image: %s/busybox:1
    sync: [".:/app"]
`, freePorts(t, 1)[0], p.Registry))

	role := documentedRole(t)
	var mu sync.Mutex
	needed := map[string]bool{}
	as := []string{p.user("dev", role), "--server", p.behind(stop{answered: func(r *http.Response) {
		mu.Lock()
		defer mu.Unlock()
		for _, right := range used(r.Request, r.StatusCode) {
			needed[right] = true
		}
		// What is not there may be in a namespace that is not, which this Role does
		// not let one look at.
		if r.StatusCode == http.StatusForbidden && !strings.HasSuffix(r.Request.URL.Path, "/namespaces/"+p.Namespace) {
			t.Errorf("the documented Role forbids %s %s", r.Request.Method, r.Request.URL.Path)
		}
	}}).server}
	run := func(args ...string) result { return p.run("", slices.Concat(args[:1], as, args[1:])...) }

	s := p.start(slices.Concat([]string{"up"}, as, []string{"api", "--", "sh", "-c", "echo ready; cat"})...)
	s.out("ready\n")
	elsewhere := *p.Lab
	elsewhere.Home = t.TempDir()
	other := *p
	other.Lab = &elsewhere
	if r := other.run("", slices.Concat([]string{"exec"}, as, []string{"api", "--", "echo", "hi"})...); r.stdout != "hi\n" {
		t.Errorf("exec: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := run("status", "api"); r.code != 0 || !strings.Contains(r.stdout, "Held by") {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	eventually(t, "the services run", func() bool { return len(p.servicePods()) == 2 })
	if r := run("restart", "api"); r.code != 0 || !strings.Contains(r.stderr, "starting 2 pods of services anew") {
		t.Errorf("restart: exit code %d\n%s", r.code, r.stderr)
	}
	// What is killed may take kubectl's own command with it.
	_, _ = p.Kubectl(t.Context(), "", "exec", "deploy/api-okteto", "-c", "main", "--", "kill", "1")
	s.out("ready\nready\n")
	if err := s.End(); err != nil {
		t.Error(err)
	}
	p.refused(run("up", "db", "--", "true"), refusal{255, []string{"container fails", "exit status 3", "no luck"}, []string{"kubectl logs"}})
	for _, name := range []string{"old", "logs", "once", "nightly", "solo", "box"} {
		if r := run("up", name, "--", "true"); r.code != 0 {
			t.Errorf("up %s: exit code %d\n%s", name, r.code, r.stderr)
		}
	}
	if r := run("down", "--all", "--volumes"); r.code != 0 {
		t.Errorf("down: exit code %d\n%s", r.code, r.stderr)
	}
	for i, o := range objects {
		if after := p.snapshot(o); after != before[i] {
			t.Errorf("down did not restore %s:\n%s\nwas\n%s", o, after, before[i])
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, right := range rights(role) {
		if !needed[right] {
			t.Errorf("the documented Role allows to %s, which nothing needed", right)
		}
	}
}

// TestForbidden takes one right away at a time: the message names the rule that
// is missing, and the original can be given back.
func TestForbidden(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	before := p.snapshot("deploy/api")
	p.write("okteto.yaml", manifest)
	role := documentedRole(t)
	for i, c := range []struct {
		right string
		// developed says that the workload is in development already.
		developed bool
		args      []string
		// does without is the warning where the right can be done without.
		doesWithout string
	}{
		{right: "get apps/deployments", args: []string{"up"}},
		{right: "create apps/deployments", args: []string{"up"}},
		{right: "patch apps/deployments", args: []string{"up"}},
		{right: "watch apps/deployments", args: []string{"up"}},
		{right: "list pods", args: []string{"up"}},
		{right: "watch pods", args: []string{"up"}},
		{right: "create pods/exec", args: []string{"up"}},
		{right: "create pods/portforward", args: []string{"up"}},
		{right: "create coordination.k8s.io/leases", args: []string{"up"}, doesWithout: "nobody else will know"},
		{right: "list events", args: []string{"up"}, doesWithout: "comes back"},
		{right: "create rbac.authorization.k8s.io/roles", args: []string{"up"}, doesWithout: "nothing gives deployment/api back"},
		{right: "create batch/cronjobs", args: []string{"up"}, doesWithout: "nothing gives deployment/api back"},
		{right: "delete coordination.k8s.io/leases", args: []string{"up"}, doesWithout: "attempting to grant RBAC permissions not currently held"},
		{right: "create pods/portforward", args: []string{"exec"}, developed: true},
		{right: "list apps/deployments", args: []string{"exec"}, developed: true},
		{right: "list apps/deployments", args: []string{"down"}, developed: true},
		{right: "patch apps/deployments", args: []string{"down"}, developed: true},
		{right: "delete apps/deployments", args: []string{"down"}, developed: true},
	} {
		t.Run(c.args[0]+" without "+c.right, func(t *testing.T) {
			here := *p
			here.t = t
			as := here.user(fmt.Sprintf("user-%d", i), without(role, c.right))
			if c.developed {
				here.ok("up", "--", "true")
			}
			args := append(c.args, as)
			if c.args[0] != "down" {
				args = append(args, "--", "true")
			}
			r := here.run("", args...)
			verb, resource, _ := strings.Cut(c.right, " ")
			group := ""
			if strings.HasPrefix(resource, "apps/") {
				group, resource, _ = strings.Cut(resource, "/")
			}
			if c.doesWithout != "" {
				if r.code != 0 || !strings.Contains(r.stderr, c.doesWithout) {
					t.Errorf("exit code %d, and %q is to be said:\n%s", r.code, c.doesWithout, r.stderr)
				}
				if c.right != "list events" {
					eventually(t, "nothing is there that gives the original back", func() bool { return len(here.autoDownParts()) == 0 })
				}
			} else {
				code := 255
				if c.args[0] == "down" {
					code = 1
				}
				here.refused(r, refusal{code, []string{
					fmt.Sprintf("you may not %s %s", verb, resource), fmt.Sprintf("namespace %q", here.Namespace),
					fmt.Sprintf("{apiGroups: [%q], resources: [%q], verbs: [%q]}", group, resource, verb),
				}, []string{"docs/cluster-permissions.md"}})
			}
			here.restores("deploy/api", before, "api")
		})
	}
}
