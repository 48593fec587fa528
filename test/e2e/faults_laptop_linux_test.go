//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// laptopFaults are those of the laptop, of its user and of his credentials.
func laptopFaults() []fault {
	return []fault{
		tokenExpired(),
		kubeconfigRotated(),
		clockSkewed(),
		{
			name: "plugin killed", how: "`kill -9`; `up` again ends the command that was left, and runs it anew",
			inflict: func(o *ordeal) {
				o.without(func() {
					if err := o.up.Cmd.Process.Kill(); err != nil {
						o.t.Fatal(err)
					}
					o.awaitEnd()
					o.begin()
				})
			},
		},
		{
			name: "two plugins", how: "a second `up` here, and one on another machine",
			inflict: func(o *ordeal) {
				r := o.run("", append([]string{"up"}, append(o.flags, "--", "true")...)...)
				if r.code != 255 {
					o.t.Errorf("a second up ended with %d:\n%s", r.code, r.stderr)
				}
				o.also += "\n" + r.stderr
				o.refusedElsewhere()
			},
		},
	}
}

// refusedElsewhere has another machine ask for the environment, which is held.
func (o *ordeal) refusedElsewhere() {
	other := o.onDesk()
	other.write("okteto.yaml", manifest)
	r := other.run("", "up", "--", "true")
	if r.code != 255 {
		o.t.Errorf("up on another machine ended with %d:\n%s", r.code, r.stderr)
	}
	o.also += "\n" + r.stderr
}

// account makes the plugin's user a ServiceAccount with the documented rights,
// who logs in with what entry makes of a token, and returns a function that
// makes the next token and has the server forget the one before.
func (o *ordeal) account(entry func(token string) map[string]any) (next func()) {
	const name = "developer"
	o.user(name, documentedRole(o.t))
	tokens := 0
	use := func() {
		tokens++
		secret := fmt.Sprintf("token-%d", tokens)
		o.kubectl("create", "secret", "generic", secret)
		token := o.kubectl("create", "token", name, "--bound-object-kind=Secret", "--bound-object-name="+secret)
		o.login(entry(strings.TrimSpace(token)))
	}
	use()
	return func() {
		o.kubectl("delete", "secret", fmt.Sprintf("token-%d", tokens))
		// The server knows tokens by heart for ten seconds.
		eventually(o.t, "the token is not accepted any more", func() bool {
			_, err := o.Kubectl(o.t.Context(), "", o.flags[0], o.flags[1], "get", "pods")
			return err != nil && strings.Contains(err.Error(), "Unauthorized")
		})
		use()
	}
}

// login writes the user's entry of the plugin's kubeconfig.
func (o *ordeal) login(user map[string]any) {
	file := o.flags[1]
	var config map[string]any
	content, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(content, &config)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	config["users"].([]any)[0].(map[string]any)["user"] = user
	if content, err = json.Marshal(config); err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// tokenExpired has a credential plugin whose token is refused in mid-session, and
// which has another by then.
func tokenExpired() fault {
	var next func()
	return fault{
		name: "token expired", how: "the server refuses the token of a credential plugin, and the connections are reset",
		prepare: func(o *ordeal) {
			file := filepath.Join(o.t.TempDir(), "credential")
			next = o.account(func(token string) map[string]any {
				const version = "client.authentication.k8s.io/v1"
				content, err := json.Marshal(map[string]any{
					"apiVersion": version, "kind": "ExecCredential", "status": map[string]any{"token": token},
				})
				if err == nil {
					err = os.WriteFile(file, content, 0o600)
				}
				if err != nil {
					o.t.Fatal(err)
				}
				return map[string]any{"exec": map[string]any{
					"apiVersion": version, "command": "cat", "args": []string{file}, "interactiveMode": "Never",
				}}
			})
		},
		inflict: func(o *ordeal) {
			next()
			o.proxy.Cut()
		},
	}
}

// kubeconfigRotated has a kubeconfig whose token is refused, until its user logs
// in again.
func kubeconfigRotated() fault {
	var next func()
	return fault{
		name: "kubeconfig rotated", how: "the server refuses its token, the connections are reset, and then it has another",
		prepare: func(o *ordeal) {
			first := true
			next = o.account(func(token string) map[string]any {
				if !first {
					o.proxy.Cut()
					o.up.err("log in again")
				}
				first = false
				return map[string]any{"token": token}
			})
		},
		inflict: func(*ordeal) { next() },
	}
}

// clockSkewed has an `up` for which it is earlier than for anybody else, and
// another machine ask whether it is still there.
func clockSkewed() fault {
	const skew = -time.Hour
	var right string
	return fault{
		alone: true, // to build that plugin takes minutes of all processors
		name:  "clock skewed by an hour", how: "the laptop's clock is behind, the times of its files too; another machine asks whether it is still there",
		prepare: func(o *ordeal) {
			right = o.Plugin
			o.Plugin = o.pluginOff(skew)
			o.laptop.skew = skew
		},
		inflict: func(o *ordeal) {
			o.Plugin = right
			o.refusedElsewhere()
		},
	}
}

// pluginOff returns a plugin whose clock is off: one that is built with another
// package time, since a static binary asks nobody who could be replaced.
func (o *ordeal) pluginOff(by time.Duration) string {
	o.t.Helper()
	dir := o.t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		o.t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		o.t.Fatal(err)
	}
	const read = "sec, nsec, mono := runtimeNow()\n"
	if !strings.Contains(string(source), read) {
		o.t.Fatalf("%s does not have the line %q", original, read)
	}
	changed := strings.ReplaceAll(string(source), read, read+fmt.Sprintf("sec += %d\n", int(by.Seconds())))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: filepath.Join(dir, "time.go")}})
	for name, content := range map[string]string{"time.go": changed, "overlay.json": string(overlay)} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)
		}
	}
	if err != nil {
		o.t.Fatal(err)
	}
	skewed := filepath.Join(dir, "kubectl-okteto")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", skewed, "../../cmd/kubectl-okteto")
	if out, err := build.CombinedOutput(); err != nil {
		o.t.Fatalf("building a plugin with another clock: %v\n%s", err, out)
	}
	return skewed
}
