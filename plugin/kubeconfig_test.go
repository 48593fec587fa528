package plugin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
)

// kubeconfigOf writes a kubeconfig with two contexts: shop, whose server is
// named, and another.
func kubeconfigOf(t *testing.T, file, current, shop, token string) {
	t.Helper()
	entry := func(name, field string, values map[string]any) []any {
		return []any{map[string]any{"name": name, field: values}}
	}
	clusters := append(entry("shop", "cluster", map[string]any{"server": shop, "insecure-skip-tls-verify": true}), entry("other", "cluster", map[string]any{"server": "http://other"})...)
	contexts := append(entry("shop", "context", map[string]any{"cluster": "shop", "user": "me"}), entry("other", "context", map[string]any{"cluster": "other", "user": "me"})...)
	content, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": current,
		"clusters": clusters, "contexts": contexts, "users": entry("me", "user", map[string]any{"token": token}),
	})
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestKubeconfigIsReadAgain(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("Authorization")))
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "config")
	kubeconfigOf(t, file, "shop", server.URL, "first")
	f, err := newFactory(func(string) (string, bool) { return "", false }, genericiooptions.NewTestIOStreamsDiscard())
	if err != nil {
		t.Fatal(err)
	}
	f.Flags.KubeConfig = &file
	cluster, err := f.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := cluster.login.client()
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		resp, err := client.Get(cfg.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for _, step := range []struct {
		what   string
		change func()
		want   string
	}{
		{"at first", func() {}, "first"},
		{"after another login", func() { kubeconfigOf(t, file, "shop", server.URL, "second one") }, "second one"},
		{"in another current context", func() { kubeconfigOf(t, file, "other", server.URL, "the third one") }, "the third one"},
		{"while it is written", func() {
			if err := os.WriteFile(file, []byte("clusters: ["), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "the third one"},
		{"when it names another server", func() { kubeconfigOf(t, file, "shop", "http://elsewhere.example.com", "no") }, "the third one"},
		{"when it names the server again", func() { kubeconfigOf(t, file, "shop", server.URL, "fourth") }, "fourth"},
		{"when it is gone", func() { _ = os.Remove(file) }, "fourth"},
	} {
		step.change()
		if got := ask(); got != "Bearer "+step.want {
			t.Errorf("%s a request logs in with %q", step.what, got)
		}
		if got := cluster.login.REST().BearerToken; got != step.want {
			t.Errorf("%s a connection logs in with %q", step.what, got)
		}
	}
}
