package plugin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
)

// proxyFactory is the factory of a command with these flags, in this folder and
// with this KUBECONFIG, and the ssh-proxy that parsed them.
func proxyFactory(t *testing.T, dir, kubeconfig string, args ...string) (*Factory, *proxyOptions) {
	t.Helper()
	t.Setenv(envKubeconfig, kubeconfig)
	t.Chdir(dir)
	f, err := newFactory(os.LookupEnv, genericiooptions.NewTestIOStreamsDiscard())
	if err != nil {
		t.Fatal(err)
	}
	o := &proxyOptions{factory: f}
	cmd := newProxyCmd(f)
	f.Flags.AddFlags(cmd.Flags())
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	o.kubeconfigs, err = cmd.Flags().GetString(flagKubeconfigs)
	if err != nil {
		t.Fatal(err)
	}
	return f, o
}

const (
	kubeContexts = `apiVersion: v1
kind: Config
current-context: two
contexts:
- name: one
  context: {cluster: far, user: me, namespace: shop}
- name: two
  context: {cluster: far, user: other}
`
	kubeClusters = `apiVersion: v1
kind: Config
clusters:
- name: far
  cluster: {server: "https://far.example.com:6443"}
- name: near
  cluster: {server: "https://near.example.com:6443"}
users:
- name: me
  user: {token: mine}
- name: other
  user: {token: others}
`
)

// TestEntryLeadsToTheSameCluster compares what `up` connects with, and what
// ssh-proxy does with the arguments of the entry, which starts in another folder
// and without the variable.
func TestEntryLeadsToTheSameCluster(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's 50% of it")
	if err := os.MkdirAll(filepath.Join(dir, "kube"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"contexts": kubeContexts, "clusters": kubeClusters, "all": kubeContexts + strings.SplitN(kubeClusters, "kind: Config\n", 2)[1], "ca.crt": "", "my.crt": "", "my.key": ""} {
		if err := os.WriteFile(filepath.Join(dir, "kube", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	both := strings.Join([]string{"kube/contexts", "kube/clusters"}, string(filepath.ListSeparator))
	for name, c := range map[string]struct {
		kubeconfig string
		args       []string
	}{
		"a file":      {"kube/all", nil},
		"a flag":      {"", []string{"--kubeconfig", "kube/all"}},
		"two files":   {both, nil},
		"an empty":    {string(filepath.ListSeparator) + "kube/all", nil},
		"context":     {both, []string{"--context", "one"}},
		"namespace":   {both, []string{"-n", "other"}},
		"cluster":     {both, []string{"--cluster", "near", "--user", "me"}},
		"server":      {both, []string{"--server", "https://127.0.0.1:1", "--tls-server-name", "far", "--insecure-skip-tls-verify"}},
		"files":       {both, []string{"--certificate-authority", "kube/ca.crt", "--client-certificate", "kube/my.crt", "--client-key=kube/my.key"}},
		"impersonate": {both, []string{"--as", "jane doe", "--as-uid", "7", "--as-group", "a,b", "--as-group", "it's", "--as-user-extra", "k=v", "--as-user-extra", "k=w"}},
		"timeout":     {both, []string{"--request-timeout", "30s"}},
	} {
		t.Run(name, func(t *testing.T) {
			up, _ := proxyFactory(t, dir, c.kubeconfig, c.args...)
			want, err := up.Cluster()
			if err != nil {
				t.Fatal(err)
			}
			args := up.clusterArgs(want)
			elsewhere := t.TempDir()
			// ssh-proxy runs itself again with the variable when it has a list.
			_, first := proxyFactory(t, elsewhere, "", args...)
			proxy, _ := proxyFactory(t, elsewhere, first.kubeconfigs, args...)
			got, err := proxy.Cluster()
			if err != nil {
				t.Fatalf("%q: %v", args, err)
			}
			if got.Context != want.Context || got.Namespace != want.Namespace {
				t.Errorf("%q lead to %s, %s instead of %s, %s", args, got.Context, got.Namespace, want.Context, want.Namespace)
			}
			if diff := cmp.Diff(connection(dir, want.REST), connection(elsewhere, got.REST)); diff != "" {
				t.Errorf("%q (-up +ssh):\n%s", args, diff)
			}
			if again := proxy.clusterArgs(got); !slices.Equal(again, args) {
				t.Errorf("ssh-proxy would write %q instead of %q", again, args)
			}
		})
	}
}

// connection is what decides where a configuration leads, and as whom.
func connection(dir string, c *rest.Config) map[string]any {
	file := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	return map[string]any{
		"host": c.Host, "token": c.BearerToken, "timeout": c.Timeout, "impersonate": c.Impersonate,
		"insecure": c.Insecure, "name": c.ServerName, "ca": file(c.CAFile), "cert": file(c.CertFile), "key": file(c.KeyFile),
	}
}

// TestEntryHasNoSecret gives secrets as flags: the entry goes without them, which
// is said.
func TestEntryHasNoSecret(t *testing.T) {
	for given, args := range map[string][]string{
		"":                           {"--as", "me"},
		"--token,":                   {"--token", "hush-hush"},
		"--username and --password,": {"--username", "me", "--password", "hush-hush"},
	} {
		f, _ := proxyFactory(t, t.TempDir(), "", append(args, "--server", "https://127.0.0.1:1")...)
		if args := strings.Join(f.clusterArgs(Cluster{}), " "); strings.Contains(args, "hush") || !strings.Contains(args, "127.0.0.1") {
			t.Errorf("the entry has %s", args)
		}
		var said strings.Builder
		d := &development{factory: f, dev: &manifest.Dev{Name: "api"}, console: console.New(&said, console.Style{}, time.Now)}
		d.pinForSSH(&devsession.Connector{})
		if given == "" && said.Len() > 0 || given != "" && !strings.Contains(said.String(), "`ssh api.okteto` will not use "+given) {
			t.Errorf("%q: said was %q", args, &said)
		}
	}
}
