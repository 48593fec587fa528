//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTrashOnTheWorkspacesVolume keeps what is replaced in the pod as a hard
// link, for users of any kind, and with a claim for longer than the pod lives.
func TestTrashOnTheWorkspacesVolume(t *testing.T) {
	const claim = "    persistentVolume: {size: 20Mi}\n    volumes: [/app/inner]\n"
	const user = "    securityContext: {runAsUser: 1234, runAsGroup: 1234, runAsNonRoot: true}\n"
	for name, section := range map[string]string{"with the pod": "", "on a claim": claim, "on a claim, as a user": claim + user} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.deployed("api")
			p.write("okteto.yaml", manifest+section)
			p.write("file.txt", "one")
			p.write("gone.txt", "gone")
			s := p.start("up", "--", "sh", "-c", loop)
			s.started(1)
			// How many names the old version has, its own lost.
			s.say("exec 3<file.txt; echo open")
			s.out("open\n")
			p.write("file.txt", "two")
			s.say("until [ \"$(cat file.txt)\" = two ]; do :; done; echo names $(stat -L -c %h /proc/self/fd/3)")
			s.out("names 1\n")
			if got := p.inPod("ls -d /var/okteto/*"); got != "/var/okteto/bin\n/var/okteto/run\n" {
				t.Errorf("the dev container has %q", got)
			}
			if err := os.Remove(filepath.Join(p.src, "gone.txt")); err != nil {
				t.Fatal(err)
			}
			p.ok("sync", "flush")
			s.say("exit 0")
			s.code()
			if !strings.Contains(section, claim) {
				return
			}
			p.ok("down")
			p.start("up", "--", "sh", "-c", "echo ready; cat").out("ready\n")
			p.ok("sync", "undo", "--yes")
			eventually(t, "what was deleted is back", func() bool { return p.read("gone.txt") == "gone" })
		})
	}
}
