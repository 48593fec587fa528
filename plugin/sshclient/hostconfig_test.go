package sshclient

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// hostKeyLine is any host key.
const hostKeyLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGbM9YcnEcGHvnTqVvEwHwtZlKqjRDH3YDmnSAUGqIsn"

func hostKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostKeyLine))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newConfigDir returns a ConfigDir in an empty home with a name that needs
// quoting.
func newConfigDir(t *testing.T) ConfigDir {
	t.Helper()
	home := filepath.Join(t.TempDir(), `my 50% "home" [1]`)
	if runtime.GOOS == "windows" {
		home = filepath.Join(t.TempDir(), "my 50% home [1]")
	}
	return ConfigDir{Dir: filepath.Join(home, ".okteto", "ssh"), UserConfig: filepath.Join(home, ".ssh", "config")}
}

func (d ConfigDir) read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// sshOptions asks the real ssh what it understands of the user's file.
func (d ConfigDir) sshOptions(t *testing.T, alias string) map[string]string {
	t.Helper()
	client, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("needs ssh of openssh-client, which make test installs")
	}
	out, err := exec.Command(client, "-G", "-F", d.UserConfig, alias).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh -G: %v: %s", err, out)
	}
	options := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		options[name] = value
	}
	return options
}

// TestEntry has the real ssh read the entries.
func TestEntry(t *testing.T) {
	d := newConfigDir(t)
	command := []string{"/opt/my tools/kubectl-okteto", "proxy", "it's $HOME", "100%", "--context=a b"}
	identity := filepath.Join(d.Dir, KeyFile)
	for _, h := range []Host{
		{Alias: "api.okteto", HostKey: hostKey(t), IdentityFile: identity, ProxyCommand: command},
		{Alias: "web.okteto", HostKey: hostKey(t), IdentityFile: identity, Port: 40022},
	} {
		if err := d.Add(h); err != nil {
			t.Fatal(err)
		}
	}
	common := map[string]string{
		"stricthostkeychecking": "true",
		"updatehostkeys":        "false",
		"identitiesonly":        "yes",
		"serveraliveinterval":   "10",
		"forwardagent":          "no",
		"identityfile":          identity,
		"userknownhostsfile":    filepath.Join(d.Dir, knownName),
	}
	for alias, own := range map[string]map[string]string{
		"api.okteto": {"hostkeyalias": "api.okteto", "proxycommand": proxyCommand(command, runtime.GOOS)},
		"web.okteto": {"hostkeyalias": "web.okteto", "hostname": "127.0.0.1", "port": "40022", "proxycommand": ""},
	} {
		got := d.sshOptions(t, alias)
		for _, want := range []map[string]string{common, own} {
			for name, value := range want {
				// Some versions print what is in the file, before they expand it.
				if got[name] != value && got[name] != escapeTokens(value) {
					t.Errorf("%s: %s is %q, want %q", alias, name, got[name], value)
				}
			}
		}
	}
	if got := d.sshOptions(t, "elsewhere.example")["stricthostkeychecking"]; got == "true" {
		t.Error("the entries change other hosts")
	}
}

// TestProxyCommandRuns has ssh start a ProxyCommand and looks at its argv.
func TestProxyCommandRuns(t *testing.T) {
	client, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("needs ssh of openssh-client, which make test installs")
	}
	d := newConfigDir(t)
	seen := filepath.Join(t.TempDir(), "argv")
	argv := []string{"a b", "it's", "$HOME", "50%", "%h", `back\slash`, `"quoted"`, "*", ""}
	command := append([]string{"sh", "-c", `printf '%s\n' "$@" >"$0"`, seen}, argv...)
	if err := d.Add(Host{Alias: "api.okteto", HostKey: hostKey(t), ProxyCommand: command}); err != nil {
		t.Fatal(err)
	}
	_ = exec.Command(client, "-F", d.UserConfig, "-o", "BatchMode=yes", "api.okteto", "true").Run()
	if got, want := d.read(t, seen), strings.Join(argv, "\n")+"\n"; got != want {
		t.Errorf("the command gets %q, want %q", got, want)
	}
}

func TestReplaceAndRemove(t *testing.T) {
	d := newConfigDir(t)
	add := func(alias string, port int) {
		t.Helper()
		if err := d.Add(Host{Alias: alias, HostKey: hostKey(t), Port: port}); err != nil {
			t.Fatal(err)
		}
	}
	add("api.okteto", 1001)
	add("web.okteto", 1002)
	add("api.okteto", 1003)
	config := d.read(t, d.ConfigFile())
	if strings.Contains(config, "1001") || strings.Count(config, "Host api.okteto\n") != 1 || !strings.Contains(config, "Port 1003") {
		t.Errorf("the entry is not replaced:\n%s", config)
	}
	known := "api.okteto " + hostKeyLine + "\n"
	if got := d.read(t, filepath.Join(d.Dir, knownName)); strings.Count(got, known) != 1 {
		t.Errorf("known_hosts is\n%s", got)
	}
	user := d.read(t, d.UserConfig)
	for range 2 {
		if err := d.Remove("api.okteto"); err != nil {
			t.Fatal(err)
		}
	}
	config = d.read(t, d.ConfigFile())
	if strings.Contains(config, "api.okteto") || !strings.Contains(config, "Port 1002") {
		t.Errorf("the wrong entry is removed:\n%s", config)
	}
	if got := d.read(t, filepath.Join(d.Dir, knownName)); got != "web.okteto "+hostKeyLine+"\n" {
		t.Errorf("known_hosts is\n%s", got)
	}
	if got := d.read(t, d.UserConfig); got != user {
		t.Errorf("the user's file has changed to\n%s", got)
	}
	for _, file := range []string{d.ConfigFile(), filepath.Join(d.Dir, knownName)} {
		if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != privateFile {
			t.Errorf("%s: mode %v, error %v", file, info.Mode(), err)
		}
	}
	if err := newConfigDir(t).Remove("never.okteto"); err != nil {
		t.Errorf("Remove without anything fails with %v", err)
	}
}

func TestRefusedHosts(t *testing.T) {
	key := hostKey(t)
	for name, h := range map[string]Host{
		"no alias":     {HostKey: key, Port: 1},
		"pattern":      {Alias: "*", HostKey: key, Port: 1},
		"two words":    {Alias: "a b", HostKey: key, Port: 1},
		"line break":   {Alias: "a\nProxyCommand x", HostKey: key, Port: 1},
		"option":       {Alias: "-F", HostKey: key, Port: 1},
		"no key":       {Alias: "a", Port: 1},
		"no way":       {Alias: "a", HostKey: key},
		"bad port":     {Alias: "a", HostKey: key, Port: 65536},
		"bad command":  {Alias: "a", HostKey: key, ProxyCommand: []string{"x\ny"}},
		"bad identity": {Alias: "a", HostKey: key, Port: 1, IdentityFile: "x\ny"},
	} {
		d := newConfigDir(t)
		if err := d.Add(h); err == nil {
			t.Errorf("%s: Add works", name)
		}
		if _, err := os.Stat(d.UserConfig); err == nil {
			t.Errorf("%s: the user's file was written", name)
		}
	}
}

// TestUserConfig adds the Include to files as users have them.
func TestUserConfig(t *testing.T) {
	const include = "<INCLUDE>"
	tests := map[string]struct {
		// before is the user's file, with OWN for the path of ours and HOME
		// for the user's home; after is what is expected, with include where
		// our line is.
		before, after string
	}{
		"empty":             {"", include + "\n"},
		"host":              {"Host a\n  User b\n", include + "\nHost a\n  User b\n"},
		"no final newline":  {"Host a", include + "\nHost a"},
		"windows":           {"Host a\r\n\tUser b\r\n", include + "\r\nHost a\r\n\tUser b\r\n"},
		"comments":          {"# mine\n\n   Host=a\n", include + "\n# mine\n\n   Host=a\n"},
		"other include":     {"Include ~/other\n", include + "\nInclude ~/other\n"},
		"commented out":     {"# Include OWN\n", include + "\n# Include OWN\n"},
		"only for one host": {"Host a\nInclude OWN\n", include + "\nHost a\nInclude OWN\n"},
		"only for a match":  {"Match user b\nInclude OWN\n", include + "\nMatch user b\nInclude OWN\n"},
		"there":             {"Include OWN\nHost a\n", ""},
		"there, later":      {"# mine\nForwardAgent no\n\nInclude OWN\n", ""},
		"there, quoted":     {"Include \"OWN\"\n", ""},
		"there, shouted":    {"INCLUDE OWN\n", ""},
		"there, equals":     {"  include = OWN\n", ""},
		"there, tight":      {"include=\"OWN\"\r\n", ""},
		"there, second":     {"Include ~/other OWN\n", ""},
		"there, at home":    {"Include ~/.okteto/ssh/config\n", ""},
		"there, relative":   {"Include ../.okteto/ssh/config\n", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			d := ConfigDir{Dir: filepath.Join(home, ".okteto", "ssh"), UserConfig: filepath.Join(home, ".ssh", "config")}
			expand := strings.NewReplacer("OWN", filepath.ToSlash(d.ConfigFile()), include, `Include "`+filepath.ToSlash(d.ConfigFile())+`"`).Replace
			before, after := expand(test.before), expand(test.after)
			if test.after == "" {
				after = before
			}
			if err := os.Mkdir(filepath.Dir(d.UserConfig), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(d.UserConfig, []byte(before), 0o640); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := d.Add(Host{Alias: "api.okteto", HostKey: hostKey(t), Port: 40022}); err != nil {
					t.Fatal(err)
				}
				if got := d.read(t, d.UserConfig); got != after {
					t.Errorf("the file is\n%q, want\n%q", got, after)
				}
			}
			if info, err := os.Stat(d.UserConfig); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, error %v", info.Mode(), err)
			}
			if strings.Contains(test.before, "../") || strings.Contains(test.before, "~/.okteto") {
				return // ssh looks in the home of whoever runs the test.
			}
			if got := d.sshOptions(t, "api.okteto")["port"]; got != "40022" {
				t.Errorf("ssh finds port %s", got)
			}
		})
	}
}

func TestNewUserConfig(t *testing.T) {
	d := newConfigDir(t)
	if err := d.Add(Host{Alias: "api.okteto", HostKey: hostKey(t), Port: 40022}); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{filepath.Dir(d.UserConfig): 0o700, d.UserConfig: 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: mode %v, error %v", path, info.Mode(), err)
			}
		}
	}
	if got := d.read(t, d.UserConfig); got != includeLine(d.ConfigFile())+"\n" {
		t.Errorf("the file is %q", got)
	}
	if got := d.sshOptions(t, "api.okteto")["port"]; got != "40022" {
		t.Errorf("ssh finds port %s", got)
	}
}

// TestLinkedUserConfig keeps links into a folder of dotfiles.
func TestLinkedUserConfig(t *testing.T) {
	for name, content := range map[string]string{"existing": "Host a\n", "dangling": ""} {
		t.Run(name, func(t *testing.T) {
			d := newConfigDir(t)
			target := filepath.Join(t.TempDir(), "dotfiles-config")
			if content != "" {
				if err := os.WriteFile(target, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(filepath.Dir(d.UserConfig), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, d.UserConfig); err != nil {
				t.Skip("needs symbolic links: ", err)
			}
			if err := d.Add(Host{Alias: "api.okteto", HostKey: hostKey(t), Port: 40022}); err != nil {
				t.Fatal(err)
			}
			if link, err := os.Readlink(d.UserConfig); err != nil || link != target {
				t.Errorf("the link leads to %q, error %v", link, err)
			}
			if got, want := d.read(t, target), includeLine(d.ConfigFile())+"\n"+content; got != want {
				t.Errorf("the file is %q, want %q", got, want)
			}
		})
	}
}

// TestManyAtOnce adds and removes entries in parallel: none is lost.
func TestManyAtOnce(t *testing.T) {
	d := newConfigDir(t)
	const hosts = 20
	key := hostKey(t)
	var all sync.WaitGroup
	for i := range hosts {
		all.Go(func() {
			h := Host{Alias: "dev" + string(rune('a'+i)) + ".okteto", HostKey: key, Port: 1000 + i}
			err := d.Add(h)
			if err == nil && i%2 == 1 {
				err = d.Remove(h.Alias)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := strings.Count(d.read(t, d.ConfigFile()), hostKeyword); got != hosts/2 {
		t.Errorf("%d entries, want %d", got, hosts/2)
	}
	if got := strings.Count(d.read(t, d.UserConfig), "Include"); got != 1 {
		t.Errorf("%d Includes", got)
	}
}

func TestWindowsCommand(t *testing.T) {
	argv := []string{`C:\Program Files\okteto\kubectl-okteto.exe`, "proxy", `a "b"`, `c:\dir with\`, "", "100%"}
	want := `"C:\Program Files\okteto\kubectl-okteto.exe" proxy "a \"b\"" "c:\dir with\\" "" 100%%`
	if got := proxyCommand(argv, "windows"); got != want {
		t.Errorf("the command is %s, want %s", got, want)
	}
}

func FuzzSplitLine(f *testing.F) {
	for _, line := range []string{`Include a "b c" 'd' e\"f`, "include=x", "", "#", `"`, `a\`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		keyword, args := splitLine(line)
		if keyword == "" && len(args) > 0 {
			t.Errorf("arguments %q without a keyword", args)
		}
		if slices.Contains(args, "") && !strings.ContainsAny(line, `"'`) {
			t.Errorf("an empty argument out of %q", line)
		}
	})
}
