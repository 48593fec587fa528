package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
)

func TestUsage(t *testing.T) {
	t.Setenv(contextVar, "")
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "usage:"},
		{"-state x", 2, "usage:"},
		{"up now", 2, "usage:"},
		{"kill", 2, "usage:"},
		{"status -nothing", 2, "usage:"},
		{"up -subnet 10.0.0.0", 2, "usage:"},
		{"jump", 1, "jump"},
	} {
		var out, log strings.Builder
		if code := run(t.Context(), strings.Fields(tt.args), &out, &log); code != tt.code || !strings.Contains(log.String(), tt.want) {
			t.Errorf("%q: code %d, messages %q; want %d and %q", tt.args, code, &log, tt.code, tt.want)
		}
	}
}

// TestExternal names a cluster that is not ours: it is asked for its version
// and nothing else, and no state is made.
func TestExternal(t *testing.T) {
	var requests []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.URL.Path)
		fmt.Fprint(w, `{"gitVersion": "v1.30.1"}`)
	}))
	defer server.Close()
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "production",
		"contexts": [{"name": "kind-x", "context": {"cluster": "x"}}, {"name": "production", "context": {"cluster": "p"}}],
		"clusters": [{"name": "x", "cluster": {"server": %q}}, {"name": "p", "cluster": {"server": "http://127.0.0.1:1"}}]}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	state := filepath.Join(t.TempDir(), "state")
	for _, tt := range []struct {
		context, verb string
		code          int
		out, log      string
	}{
		{"kind-x", "up", 0, "", "v1.30.1"},
		{"kind-x", "status", 0, "", "reachable"},
		{"kind-x", "env", 0, "export OKTETO_TEST_CONTEXT='kind-x'\n", ""},
		{"kind-x", "down", 0, "", "left as it is"},
		{"it's", "env", 0, `export OKTETO_TEST_CONTEXT='it'\''s'` + "\n", ""},
		{"kind-y", "up", 1, "", `"kind-y"`},
		{"production", "up", 1, "", "127.0.0.1:1"},
	} {
		t.Setenv(contextVar, tt.context)
		var out, log strings.Builder
		code := run(t.Context(), []string{tt.verb, "-state", state}, &out, &log)
		if code != tt.code || out.String() != tt.out || !strings.Contains(log.String(), tt.log) {
			t.Errorf("%s %s: code %d, output %q, messages %q; want %+v", tt.context, tt.verb, code, &out, &log, tt)
		}
	}
	if got := strings.Join(requests, ", "); got != "GET /version, GET /version" {
		t.Errorf("requests to the cluster: %s", got)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("a state folder was made")
	}
}

// TestOwnContext checks that the environment of our own cluster, once taken
// over by a shell, is not mistaken for somebody else's cluster.
func TestOwnContext(t *testing.T) {
	t.Setenv(contextVar, node.Context)
	var out, log strings.Builder
	if code := run(t.Context(), []string{"status", "-state", filepath.Join(t.TempDir(), "none")}, &out, &log); code != 1 {
		t.Errorf("status of no cluster: code %d, %s", code, &log)
	}
	if strings.Contains(log.String(), "context") {
		t.Errorf("our own context is taken for another's: %s", &log)
	}
}
