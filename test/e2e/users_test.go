//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestOtherUsers develops as users that are not root: that of the image, with
// and without a claim, and one that the pod's security context names, without
// any right to write to the image.
func TestOtherUsers(t *testing.T) {
	const restricted = `    securityContext:
      runAsUser: 1234
      runAsGroup: 1234
      runAsNonRoot: true
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
`
	for name, test := range map[string]struct{ image, section, user string }{
		"image's":              {"busybox-user:1", "", "1000"},
		"image's with a claim": {"busybox-user:1", "    persistentVolume: {size: 20Mi}\n    volumes: [/var/cache/tool]\n", "1000"},
		"restricted":           {"busybox:1", restricted, "1234"},
		"restricted, claim":    {"busybox:1", restricted + "    persistentVolume: {size: 20Mi}\n    volumes: [/var/cache/tool]\n", "1234"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.deployed("api")
			p.write("okteto.yaml", fmt.Sprintf("%s    image: %s/%s\n%s", manifest, p.Registry, test.image, test.section))
			p.write("file.txt", "one")
			p.write("deep/er/file.txt", "deep")
			s := p.start("up", "--", "sh", "-c", loop)
			s.started(1)
			s.say("id -u; stat -c %u file.txt deep deep/er deep/er/file.txt | sort | uniq -c; echo listed")
			s.out("listed\n")
			if got := strings.Join(strings.Fields(s.Stdout.String()), " "); got != "started "+test.user+" 4 "+test.user+" listed" {
				t.Errorf("owners: %q", got)
			}
			p.write("file.txt", "two")
			p.write("later/file.txt", "later")
			s.say("until [ -e later/file.txt ] && [ \"$(cat file.txt)\" = two ]; do :; done; echo came")
			s.out("came\n")
			s.say("echo pod >>file.txt && rm -r deep && mkdir made && mv later/file.txt made/ && rmdir later && echo done")
			s.out("done\n")
			if strings.Contains(test.section, "volumes:") {
				s.say("echo cached >/var/cache/tool/file && cat /var/cache/tool/file")
				s.out("cached\n")
			}
			s.say("exit 9")
			if code := s.code(); code != 9 {
				t.Errorf("up ended with %d, want 9", code)
			}
			if got := p.read("file.txt") + p.read("made/file.txt") + p.read("deep/er/file.txt"); got != "twopod\nlater" {
				t.Errorf("here is %q", got)
			}
			if got := p.with("ssh", "api.okteto", "id -u"); got != test.user+"\n" {
				t.Errorf("ssh is user %q", got)
			}
		})
	}
}

// TestUserWithoutShell develops in an image that has nothing but one program
// and a user, and looks at files through the agent's own SFTP server.
func TestUserWithoutShell(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(p.podAs("api", `
containers: [{name: main, image: "REGISTRY/distroless:1"}]
`))
	p.write("okteto.yaml", "dev:\n  api:\n    sync: ['.:/app']\n    secrets: ['../token:/run/made/token']\n")
	p.write("../token", "secret")
	p.write("file.txt", "from the laptop")
	s := p.start("up", "--", "/app/web")
	s.err("development container api is running")
	batch := "ls -ln /app\nput " + p.src + "/file.txt /app/copied.txt\nget /run/made/token " + p.src + "/got.txt\n"
	r := p.runClient(batch, "sftp", "-b", "-", "api.okteto")
	if r.code != 0 {
		t.Fatalf("sftp: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for line := range strings.Lines(r.stdout) {
		if fields := strings.Fields(line); strings.HasSuffix(line, "file.txt\n") && fields[2] != "65532" {
			t.Errorf("the file's owner is not the image's user: %s", line)
		}
	}
	if got := p.read("got.txt"); got != "secret" {
		t.Errorf("the secret is %q", got)
	}
	eventually(t, "the copy arrives", func() bool { return p.read("copied.txt") == "from the laptop" })
	eventually(t, "the image's own program arrives", func() bool { return len(p.read("web")) > 1<<20 })
}
