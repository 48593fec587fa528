//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// refusal is how the plugin has to turn something down: the exit code, what
// its error says is wrong, and what its hint says to do.
type refusal struct {
	code  int
	error []string
	hint  []string
}

// refused checks a run against the refusal that it should have been.
func (p *place) refused(r result, want refusal) {
	p.t.Helper()
	said, hint, _ := strings.Cut(r.stderr, "\nhint: ")
	_, said, found := strings.Cut("\n"+said, "\nerror: ")
	if r.code != want.code || !found {
		p.t.Errorf("exit code %d, want %d with an error\n%s", r.code, want.code, r.stderr)
	}
	for _, text := range want.error {
		if !strings.Contains(said, text) {
			p.t.Errorf("the error does not say %q:\n%s", text, r.stderr)
		}
	}
	for _, text := range want.hint {
		if !strings.Contains(hint, text) {
			p.t.Errorf("the hint does not say %q:\n%s", text, r.stderr)
		}
	}
}

// runIn runs the plugin to its end with more environment variables.
func (p *place) runIn(env []string, args ...string) result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), lab.Patience)
	defer cancel()
	cmd := p.Command(ctx, p.src, args...)
	cmd.Env = append(cmd.Env, env...)
	return p.finish(ctx, "", cmd)
}

// traces lists what of `up` is in the namespace.
func (p *place) traces() []string {
	p.t.Helper()
	names := strings.Fields(p.kubectl("get", "deployments,leases,persistentvolumeclaims,secrets", "-o", "name"))
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, "-okteto") })
}

// restores runs down and checks that the original is back to the byte and that
// nothing of `up` is left.
func (p *place) restores(object, before string, down ...string) {
	p.t.Helper()
	p.ok(append([]string{"down"}, down...)...)
	if after := p.snapshot(object); after != before {
		p.t.Errorf("down did not restore %s:\n%s\nwas\n%s", object, after, before)
	}
	eventually(p.t, "nothing of up is left", func() bool { return len(p.traces()) == 0 && len(p.autoDownParts()) == 0 })
}

// TestBadInputChangesNothing gives what cannot work: every run says what is
// wrong and what to do, and leaves the cluster as it was.
func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(p.deployment("api") + "---" + p.deployment("api-worker"))
	p.kubectl("label", "deployments", "--all", "tier=back")
	objects := []string{"deploy/api", "deploy/api-worker"}
	var before []string
	for _, o := range objects {
		before = append(before, p.snapshot(o))
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port

	for _, c := range []struct {
		name string
		// manifest is okteto.yaml; "-" means that there is none.
		manifest string
		env      []string
		args     []string
		want     refusal
	}{
		{"no kubeconfig", manifest, []string{"KUBECONFIG=/nonexistent"}, []string{"up"},
			refusal{255, []string{"no kubeconfig was found"}, []string{"KUBECONFIG", "--kubeconfig"}}},
		{"a kubeconfig that is not there", manifest, nil, []string{"up", "--kubeconfig", "/nonexistent"},
			refusal{255, []string{"reading the kubeconfig", "/nonexistent"}, []string{"--kubeconfig"}}},
		{"wrong context", manifest, nil, []string{"up", "--context", "nope"},
			refusal{255, []string{`no context "nope"`}, []string{p.Context}}},
		{"no such namespace", manifest, nil, []string{"up", "-n", "no-such-namespace"},
			refusal{255, []string{`namespace "no-such-namespace" does not exist`}, []string{"kubectl create namespace no-such-namespace"}}},
		{"nobody answers", manifest, nil, []string{"up", "--server", "http://127.0.0.1:1"},
			refusal{255, []string{"127.0.0.1:1", "connection refused"}, []string{"kubectl cluster-info"}}},
		{"workload not found", "-", nil, []string{"up", "apj"},
			refusal{255, []string{`no workload "apj"`, "there is api"}, []string{"kubectl get deployments,statefulsets,replicasets,daemonsets,jobs,cronjobs,pods -n " + p.Namespace}}},
		{"workload of the manifest not found", "dev:\n  apj:\n    sync: ['.:/app']\n", nil, []string{"up"},
			refusal{255, []string{`no workload "apj"`, "there is api"}, []string{"autocreate: true"}}},
		{"wrong kind", "-", nil, []string{"up", "frobnicate/api"},
			refusal{255, []string{`kind "frobnicate"`}, nil}},
		{"no workload of that kind", "-", nil, []string{"up", "daemonset/api"},
			refusal{255, []string{`no workload "daemonset/api"`, "deployment/api"}, nil}},
		{"two workloads for one selector", "dev:\n  api:\n    selector: {tier: back}\n    sync: ['.:/app']\n", nil, []string{"up"},
			refusal{255, []string{"2 workloads", "deployment/api, deployment/api-worker"}, []string{"selector"}}},
		{"no such container", "dev:\n  api:\n    container: mian\n    sync: ['.:/app']\n", nil, []string{"up"},
			refusal{255, []string{`no container "mian"`, "main"}, []string{"container"}}},
		{"manifest missing", "-", nil, []string{"up"},
			refusal{255, []string{"there is no okteto manifest", "okteto.yml", "-f"}, []string{"kubectl okteto up <name>"}}},
		{"the named manifest missing", manifest, nil, []string{"up", "-f", "other.yaml"},
			refusal{255, []string{"there is no okteto manifest at", "other.yaml"}, nil}},
		{"manifest empty", "", nil, []string{"up"}, refusal{2, []string{"okteto.yaml", "empty"}, nil}},
		{"manifest not YAML", "dev: [\n", nil, []string{"up"}, refusal{2, []string{"okteto.yaml:", "not valid YAML"}, nil}},
		{"unknown field", "dev:\n  api:\n    snyc: ['.:/app']\n", nil, []string{"up"},
			refusal{2, []string{"okteto.yaml:3:", `"snyc"`, `"sync"`}, nil}},
		{"missing sync folder", "dev:\n  api:\n    sync: ['gone:/app']\n", nil, []string{"up"},
			refusal{2, []string{"okteto.yaml:3:", "gone", "does not exist"}, nil}},
		{"sync of the plugin's own folder", manifest, []string{"OKTETO_FOLDER=own"}, []string{"up"},
			refusal{255, []string{"cannot be synced", "/own", "OKTETO_FOLDER"}, nil}},
		{"unknown development container", manifest, nil, []string{"up", "apj"},
			refusal{255, []string{`"apj" doesn't exist`, `"api"`}, nil}},
		{"port in use", fmt.Sprintf(manifest+"    forward: ['%d:8080']\n", port), nil, []string{"up"},
			refusal{255, []string{fmt.Sprintf("local port %d", port), fmt.Sprintf("(pid %d)", os.Getpid())}, []string{"`forward`"}}},
		{"interface of another machine", manifest + "    interface: 192.0.2.1\n    forward: ['20000:8080']\n", nil, []string{"up"},
			refusal{255, []string{"local port 20000", "cannot assign requested address"}, []string{"`interface`", "0.0.0.0"}}},
		{"socket in no folder", manifest + "    forward: ['./none/a.sock:8080']\n", nil, []string{"up"},
			refusal{255, []string{"local socket ", "/none/a.sock", "no such file or directory"}, []string{"another path"}}},
		{"port for SSH in use", manifest, nil, []string{"up", "--remote", fmt.Sprint(port)},
			refusal{255, []string{fmt.Sprintf("local port %d", port), fmt.Sprintf("(pid %d)", os.Getpid())}, []string{"another local port"}}},
		{"exec of what is not in development", manifest, nil, []string{"exec", "--", "true"},
			refusal{255, []string{`nothing is in development as "api"`}, []string{"kubectl okteto up api"}}},
		{"status of what is not in development", manifest, nil, []string{"status"},
			refusal{1, []string{`nothing is in development as "api"`}, []string{"kubectl okteto up api"}}},
		{"down without a name", "-", nil, []string{"down"},
			refusal{1, []string{"there is no okteto manifest"}, []string{"kubectl okteto up <name>", "down"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			here := *p
			here.t, here.src = t, t.TempDir()
			if c.manifest != "-" {
				here.write("okteto.yaml", c.manifest)
			}
			here.refused(here.runIn(c.env, c.args...), c.want)
		})
	}
	for i, o := range objects {
		if after := p.snapshot(o); after != before[i] {
			t.Errorf("%s changed:\n%s\nwas\n%s", o, after, before[i])
		}
	}
	if left := p.traces(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
