package plugin

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
)

func TestNestedFolders(t *testing.T) {
	dev := &manifest.Dev{
		Sync: []manifest.SyncFolder{
			{Local: filepath.FromSlash("/src"), Remote: "/app"},
			{Local: filepath.FromSlash("/src/web"), Remote: "/www"},
			{Local: filepath.FromSlash("/other"), Remote: "/app/vendor/other"},
			{Local: filepath.FromSlash("/src-two"), Remote: "/apple"},
			{Local: filepath.FromSlash("/src/..hidden"), Remote: "/srv"},
		},
		Volumes:         []string{"/app/cache", "/www/cache", "/data"},
		ExternalVolumes: []manifest.ExternalVolume{{Claim: "models", Mount: "/srv/models"}},
		Secrets:         []manifest.Secret{{Remote: "/srv/token"}},
	}
	for i, want := range [][]string{
		{"cache", "web", "vendor/other", "..hidden"},
		{"cache"},
		nil, nil,
		{"models", "token"},
	} {
		if diff := cmp.Diff(want, nestedFolders(dev, dev.Sync[i])); diff != "" {
			t.Errorf("below %s -> %s (-want +got):\n%s", dev.Sync[i].Local, dev.Sync[i].Remote, diff)
		}
	}
}

func TestPairIDIsOfBothFolders(t *testing.T) {
	ids := map[string]manifest.SyncFolder{}
	for _, s := range []manifest.SyncFolder{
		{Local: "/a", Remote: "/b"}, {Local: "/b", Remote: "/a"}, {Local: "/a", Remote: "/bb"}, {Local: "/a/b", Remote: ""}, {Local: "/a", Remote: ""},
	} {
		id := pairID(s)
		if other, taken := ids[id]; taken || id != pairID(s) || filepath.Base(id) != id {
			t.Errorf("the ID of %v is %q, that of %v too", s, id, other)
		}
		ids[id] = s
	}
}

func TestStateFolderIsOfOneEnvironment(t *testing.T) {
	f := &Factory{Home: "/home/me", Env: func(string) (string, bool) { return "", false }}
	cluster := func(host, namespace string) Cluster {
		return Cluster{Namespace: namespace, Host: host}
	}
	seen := map[string]bool{}
	for _, folder := range []string{
		f.stateFolder(cluster("https://a", "shop"), "api"),
		f.stateFolder(cluster("https://b", "shop"), "api"),
		f.stateFolder(cluster("https://a", "shop2"), "api"),
		f.stateFolder(cluster("https://a", "shop"), "web"),
		f.stateFolder(cluster("https://a", "sho"), "papi"),
	} {
		if seen[folder] {
			t.Errorf("%s is of two environments", folder)
		}
		seen[folder] = true
		// macOS allows 104 bytes with the name of the socket.
		if name := filepath.Join(folder, "up.sock"); len(name) > 60 {
			t.Errorf("%s is long for a socket", name)
		}
	}
}

func TestSplitDash(t *testing.T) {
	for _, c := range []struct {
		args    []string
		name    string
		command []string
		wrong   bool
	}{
		{args: nil},
		{args: []string{"api"}, name: "api"},
		{args: []string{"--"}, command: []string{}},
		{args: []string{"api", "--"}, name: "api", command: []string{}},
		{args: []string{"--", "npm", "test"}, command: []string{"npm", "test"}},
		{args: []string{"api", "--", "npm", "--", "-x"}, name: "api", command: []string{"npm", "--", "-x"}},
		{args: []string{"api", "npm"}, wrong: true},
		{args: []string{"api", "npm", "--", "test"}, wrong: true},
	} {
		var name string
		var command []string
		cmd := &cobra.Command{Use: "up", SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, args []string) (err error) {
			name, command, err = splitDash(cmd, args)
			return err
		}}
		cmd.SetArgs(append([]string{}, c.args...))
		err := cmd.ExecuteContext(t.Context())
		if (err != nil) != c.wrong || name != c.name || cmp.Diff(c.command, command) != "" {
			t.Errorf("%q is split into %q and %q, %v; want %q and %q", c.args, name, command, err, c.name, c.command)
		}
	}
}

func TestFlagsGoBeforeTheManifest(t *testing.T) {
	dev := &manifest.Dev{Remote: 22000, Environment: []manifest.EnvVar{{Name: "A", Value: "manifest"}, {Name: "B", Value: "manifest"}}}
	o := &upOptions{env: []string{"B=flag", "C=", "A0=x=y", "C=last"}, remote: 22001}
	got := o.withFlags(dev)
	want := []manifest.EnvVar{{Name: "A", Value: "manifest"}, {Name: "A0", Value: "x=y"}, {Name: "B", Value: "flag"}, {Name: "C", Value: "last"}}
	if diff := cmp.Diff(want, got.Environment); diff != "" || got.Remote != 22001 {
		t.Errorf("port %d, environment (-want +got):\n%s", got.Remote, diff)
	}
	if len(dev.Environment) != 2 || dev.Environment[1].Value != "manifest" || dev.Remote != 22000 {
		t.Errorf("the manifest was changed: %+v", dev)
	}
	if got := (&upOptions{}).withFlags(dev); got.Remote != 22000 {
		t.Errorf("without the flag the port is %d, want the manifest's", got.Remote)
	}
}

func TestCommandLine(t *testing.T) {
	shell := &manifest.Dev{Command: manifest.Command{Argv: []string{"npm i && npm start"}, Shell: true}}
	argv := &manifest.Dev{Command: manifest.Command{Argv: []string{"npm", "run", "a b"}}}
	for _, c := range []struct {
		dev     *manifest.Dev
		command []string
		want    string
	}{
		{shell, nil, "npm i && npm start"},
		{argv, nil, "npm run 'a b'"},
		{shell, []string{"echo", "$HOME", ""}, `echo '$HOME' ''`},
		{argv, []string{"true"}, "true"},
	} {
		if got := (&upOptions{command: c.command}).line(c.dev); got != c.want {
			t.Errorf("the command line is %q, want %q", got, c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	started := time.Date(2026, 5, 4, 3, 2, 1, 0, time.Local)
	for _, c := range []struct {
		runner config.RunnerStatus
		want   string
	}{
		{config.RunnerStatus{}, "not started yet"},
		{config.RunnerStatus{Starts: 1}, "ended, waiting for its restart"},
		{config.RunnerStatus{Starts: 1, Running: true, Started: started}, "running since 2026-05-04 03:02:01"},
		{config.RunnerStatus{Starts: 3, Running: true, Started: started}, "running since 2026-05-04 03:02:01, restarted 2 times"},
	} {
		if got := describeRunner(c.runner); got != c.want {
			t.Errorf("%+v is described as %q, want %q", c.runner, got, c.want)
		}
	}
	root := devsession.FolderStatus{Remote: "/app", State: "converged", Files: 3, Bytes: 2048}
	busy := root
	busy.State, busy.PendingFiles, busy.PendingBytes, busy.LagSeconds, busy.SentBytesPerSecond = "syncing", 2, 1024, 1.5, 4096
	stopped := root
	stopped.State, stopped.Reason, stopped.PendingFiles, stopped.LagSeconds = "stopped", "the disk is full", 7, 61
	for _, c := range []struct {
		root devsession.FolderStatus
		want string
	}{
		{root, "/app: converged, 3 files, 2.0 KiB"},
		{busy, "/app: syncing, 3 files, 2.0 KiB; 2 (1.0 KiB) pending for 1.5 s, 4.0 KiB/s up, 0 B/s down"},
		{stopped, "/app: stopped, 3 files, 2.0 KiB: the disk is full; 7 pending for 1m1s"},
	} {
		if got := describeFolder(c.root); got != c.want {
			t.Errorf("%+v is described as %q, want %q", c.root, got, c.want)
		}
	}
}
