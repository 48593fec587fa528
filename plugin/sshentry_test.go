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

// surroundings are where a command runs, besides its arguments.
type surroundings struct{ dir, kubeconfig, folder string }

// in returns the factory of an ssh-proxy with these arguments, and its options.
func (s surroundings) in(t *testing.T, args ...string) (*Factory, *proxyOptions) {
	t.Helper()
	t.Setenv(envKubeconfig, s.kubeconfig)
	t.Setenv(envFolder, s.folder)
	t.Chdir(s.dir)
	f, err := newFactory(os.LookupEnv, genericiooptions.NewTestIOStreamsDiscard())
	if err != nil {
		t.Fatal(err)
	}
	cmd := newProxyCmd(f)
	f.Flags.AddFlags(cmd.Flags())
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	o := &proxyOptions{factory: f, kubeconfigs: cmd.Flag(flagKubeconfigs).Value.String(), folder: cmd.Flag(flagFolder).Value.String()}
	if err := o.Complete(cmd, []string{"api"}); err != nil {
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
	at := func(kubeconfig string) surroundings { return surroundings{dir: dir, kubeconfig: kubeconfig} }
	for name, c := range map[string]struct {
		surroundings
		args []string
	}{
		"a file":      {at("kube/all"), nil},
		"a flag":      {at(""), []string{"--kubeconfig", "kube/all"}},
		"two files":   {at(both), nil},
		"an empty":    {at(string(filepath.ListSeparator) + "kube/all"), nil},
		"context":     {at(both), []string{"--context", "one"}},
		"namespace":   {at(both), []string{"-n", "other"}},
		"cluster":     {at(both), []string{"--cluster", "near", "--user", "me"}},
		"server":      {at(both), []string{"--server", "https://127.0.0.1:1", "--tls-server-name", "far", "--insecure-skip-tls-verify"}},
		"files":       {at(both), []string{"--certificate-authority", "kube/ca.crt", "--client-certificate", "kube/my.crt", "--client-key=kube/my.key"}},
		"impersonate": {at(both), []string{"--as", "jane doe", "--as-uid", "7", "--as-group", "a,b", "--as-group", "it's", "--as-user-extra", "k=v", "--as-user-extra", "k=w"}},
		"timeout":     {at(both), []string{"--request-timeout", "30s"}},
		"folder":      {surroundings{dir, both, "my folder"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			up, _ := c.in(t, c.args...)
			want, err := up.Cluster()
			if err != nil {
				t.Fatal(err)
			}
			args, folder := up.proxyArgs(want), up.Folder()
			// ssh-proxy runs itself again with the variable when it has a list.
			elsewhere := surroundings{dir: t.TempDir()}
			_, first := elsewhere.in(t, args...)
			elsewhere.kubeconfig = first.kubeconfigs
			proxy, _ := elsewhere.in(t, args...)
			got, err := proxy.Cluster()
			if err != nil {
				t.Fatalf("%q: %v", args, err)
			}
			if got.Context != want.Context || got.Namespace != want.Namespace || proxy.Folder() != folder {
				t.Errorf("%q lead to %s, %s, %s instead of %s, %s, %s", args,
					got.Context, got.Namespace, proxy.Folder(), want.Context, want.Namespace, folder)
			}
			if diff := cmp.Diff(connection(dir, want.login.REST()), connection(elsewhere.dir, got.login.REST())); diff != "" {
				t.Errorf("%q (-up +ssh):\n%s", args, diff)
			}
			if again := proxy.proxyArgs(got); !slices.Equal(again, args) {
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
		f, _ := surroundings{dir: t.TempDir()}.in(t, append(args, "--server", "https://127.0.0.1:1")...)
		if args := strings.Join(f.proxyArgs(Cluster{}), " "); strings.Contains(args, "hush") || !strings.Contains(args, "127.0.0.1") {
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
