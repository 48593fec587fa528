//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// userConfig writes the configuration that a user had before, and returns its
// path.
func (p *place) userConfig(content string) string {
	p.t.Helper()
	file := filepath.Join(p.Home, ".ssh", "config")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// ours returns the content of one of our own files for ssh.
func (p *place) ours(name string) string {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.Home, ".okteto", "ssh", name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(content)
}

// forgeHostKey puts another key in the place of the pinned one.
func (p *place) forgeHostKey() {
	p.t.Helper()
	const another = "api.okteto ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
	if err := os.WriteFile(filepath.Join(p.Home, ".okteto", "ssh", "known_hosts"), []byte(another), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// replacePod deletes the development container's pod and waits for its
// successor.
func (p *place) replacePod() {
	p.t.Helper()
	p.kubectl("delete", "pod", "-l", "interactive.dev.okteto.com=api", "--wait=true", "--grace-period=1")
	if err := p.Ready(p.t.Context(), "deploy/api-okteto"); err != nil {
		p.t.Fatal(err)
	}
}

// TestUsersSSHConfigGetsOneLine watches the user's own file over a whole life.
func TestUsersSSHConfigGetsOneLine(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	const before = "# mine\n\n\tHost *.example.com \n  User ü\nMatch all\nServerAliveInterval=7"
	file := p.userConfig(before)
	want := fmt.Sprintf("Include %q\n%s", filepath.Join(p.Home, ".okteto", "ssh", "config"), before)
	check := func(when string) {
		t.Helper()
		got, err := os.ReadFile(file)
		if err != nil || string(got) != want {
			t.Fatalf("%s the user's file is\n%s\nwant\n%s\n%v", when, got, want, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s the user's file has another mode: %v, %v", when, info, err)
		}
	}
	for _, when := range []string{"after the first up", "after the second up"} {
		p.ok("up", "--", "true")
		check(when)
	}
	if got := p.with("ssh", "api.okteto", "echo in"); got != "in\n" {
		t.Errorf("ssh wrote %q", got)
	}
	check("after ssh")
	if entries := p.ours("config"); strings.Count(entries, "Host ") != 1 {
		t.Errorf("several ups made\n%s", entries)
	}
	p.ok("down")
	check("after down")
	if left := p.ours("config") + p.ours("known_hosts"); strings.Contains(left, "api.okteto") {
		t.Errorf("down left\n%s", left)
	}
	if r := p.runClient("", "ssh", "-o", "BatchMode=yes", "api.okteto", "true"); r.code != 255 {
		t.Errorf("ssh after down: exit code %d\n%s", r.code, r.stderr)
	}
}

// TestSSHWithoutUp connects when no up runs: to the pod that it left, to that
// pod's successor, with a host key that somebody changed, and from a folder and
// an environment that are not those of up.
func TestSSHWithoutUp(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	kubeconfig, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("kube/config", string(kubeconfig))
	p.ok("up", "--kubeconfig", "kube/config", "--", "true")
	p.src = t.TempDir()
	pinned := p.ours("known_hosts")
	if got := p.with("ssh", "api.okteto", "hostname"); !strings.HasPrefix(got, "api-okteto-") {
		t.Errorf("after up: %q", got)
	}
	first := p.with("ssh", "api.okteto", "hostname")
	p.replacePod()
	second := p.with("ssh", "api.okteto", "hostname")
	if second == first || !strings.HasPrefix(second, "api-okteto-") {
		t.Errorf("after the pod %q was replaced: %q", first, second)
	}
	if p.ours("known_hosts") == pinned {
		t.Error("the new pod has the host key of the old one")
	}
	p.forgeHostKey()
	if got := p.with("ssh", "api.okteto", "hostname"); got != second {
		t.Errorf("with a forged host key: %q, want %q", got, second)
	}
}

// TestSSHEntryLeadsToTheSameCluster splits the kubeconfig, with the address in it
// wrong, and gives up the right one and a user by flags: ssh, from another folder
// and without the variables, gets to the same pod.
func TestSSHEntryLeadsToTheSameCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	var config map[string]any
	if err := json.Unmarshal([]byte(p.kubectl("config", "view", "--raw", "--minify", "-o", "json")), &config); err != nil {
		t.Fatal(err)
	}
	cluster := config["clusters"].([]any)[0].(map[string]any)["cluster"].(map[string]any)
	server := cluster["server"].(string)
	cluster["server"] = "https://127.0.0.1:1"
	users := map[string]any{"apiVersion": "v1", "kind": "Config", "users": config["users"]}
	delete(config, "users")
	for name, content := range map[string]any{"my 50% kube's/clusters": config, "my 50% kube's/users": users} {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		p.write(name, string(text))
	}
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	defer cancel()
	up := p.Command(ctx, p.src, "up", "--server", server, "--as", "jane doe", "--as-group", "system:masters", "--", "true")
	up.Env = append(up.Env, "KUBECONFIG=my 50% kube's/clusters:my 50% kube's/users", "OKTETO_FOLDER="+filepath.Join(t.TempDir(), "my 50% folder's"))
	if r := p.finish(ctx, "", up); r.code != 0 {
		t.Fatalf("up: exit code %d\n%s", r.code, r.stderr)
	}
	p.src = t.TempDir()
	for range 2 {
		ssh := p.client(ctx, "ssh", "api.okteto", "hostname")
		ssh.Env = append(ssh.Env, "KUBECONFIG=", "OKTETO_FOLDER=")
		if r := p.finish(ctx, "", ssh); !strings.HasPrefix(r.stdout, "api-okteto-") {
			t.Errorf("ssh wrote %q, exit code %d\n%s", r.stdout, r.code, r.stderr)
		}
	}
}

// TestWrongHostKeyIsRefused goes through the port that up opens, where nothing
// reads the host key anew before ssh compares it.
func TestWrongHostKeyIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	port := fmt.Sprint(freePorts(t, 1)[0])
	s := p.start("up", "-r", port, "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	if got := p.with("ssh", "api.okteto", "echo through the port"); got != "through the port\n" {
		t.Errorf("by the entry: %q", got)
	}
	// As a tool connects that knows nothing of our configuration.
	plain := []string{
		"-F", "none", "-p", port, "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + filepath.Join(t.TempDir(), "known"),
		"-o", "StrictHostKeyChecking=accept-new", "127.0.0.1", "echo plain",
	}
	key := filepath.Join(p.Home, ".okteto", "id_ed25519")
	if r := p.runClient("", "ssh", append([]string{"-i", key}, plain...)...); r.stdout != "plain\n" {
		t.Errorf("ssh -p: %q, exit code %d\n%s", r.stdout, r.code, r.stderr)
	}
	if r := p.runClient("", "ssh", append([]string{"-o", "IdentityFile=none", "-o", "IdentityAgent=none"}, plain...)...); r.code != 255 ||
		!strings.Contains(r.stderr, "Permission denied") {
		t.Errorf("without the key: %q, exit code %d\n%s", r.stdout, r.code, r.stderr)
	}
	p.forgeHostKey()
	if r := p.runClient("", "ssh", "api.okteto", "echo fooled"); r.code != 255 || r.stdout != "" ||
		!strings.Contains(r.stderr, "Host key verification failed") {
		t.Errorf("with a forged host key: %q, exit code %d\n%s", r.stdout, r.code, r.stderr)
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
	if got := p.with("ssh", "api.okteto", "echo without up"); got != "without up\n" {
		t.Errorf("after up the entry leads to %q", got)
	}
}

// TestNoPrivateKeyInTheCluster reads all that up makes.
func TestNoPrivateKeyInTheCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest)
	p.ok("up", "--", "true")
	if got := strings.TrimSpace(p.kubectl("get", "secrets", "-o", "name")); got != "" {
		t.Errorf("the namespace has %s", got)
	}
	everything := p.kubectl("get", "all,configmaps,leases,persistentvolumeclaims,events", "-o", "yaml")
	public, err := os.ReadFile(filepath.Join(p.Home, ".okteto", "id_ed25519.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if key := strings.Fields(string(public))[1]; !strings.Contains(everything, key) {
		t.Errorf("the public key %s is not in the template", key)
	}
	private, err := os.ReadFile(filepath.Join(p.Home, ".okteto", "id_ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(private)) {
		// The last lines hold the public half again, and padding.
		if line = strings.TrimSpace(line); len(line) > 60 && strings.Contains(everything, line) {
			t.Errorf("the cluster has a line of the private key: %s", line)
		}
	}
	if strings.Contains(everything, "PRIVATE KEY") {
		t.Error("the cluster has a private key")
	}
}
