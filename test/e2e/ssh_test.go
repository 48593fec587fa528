//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// client prepares a run of one of OpenSSH's programs, or of one that uses them,
// with the configuration of the lab's user. They take the home folder from
// passwd(5) and not from HOME, so that they have to be told.
func (p *place) client(ctx context.Context, program string, args ...string) *exec.Cmd {
	config := []string{"-F", filepath.Join(p.Home, ".ssh", "config")}
	if program == "rsync" {
		config = []string{"-e", "ssh -F " + config[1]}
	}
	cmd := exec.CommandContext(ctx, program, append(config, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+p.Home, "OKTETO_FOLDER="+filepath.Join(p.Home, ".okteto"))
	cmd.Dir = p.src
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// runClient runs a client to its end, whatever that is.
func (p *place) runClient(stdin, program string, args ...string) result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), lab.Patience)
	defer cancel()
	return p.finish(ctx, stdin, p.client(ctx, program, args...))
}

// with runs a client that has to succeed and returns its output.
func (p *place) with(program string, args ...string) string {
	p.t.Helper()
	r := p.runClient("", program, args...)
	if r.code != 0 {
		p.t.Fatalf("%s %s: exit code %d\n%s%s", program, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// inBackground runs ssh until the test ends.
func (p *place) inBackground(args ...string) {
	p.t.Helper()
	cmd := p.client(context.WithoutCancel(p.t.Context()), "ssh", append([]string{"-N", "-o", "ExitOnForwardFailure=yes"}, args...)...)
	output := lab.NewTranscript()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("%s\n%s", cmd, output)
		}
	})
}

// listens awaits somebody at a local port.
func listens(t *testing.T, port int) {
	t.Helper()
	eventually(t, fmt.Sprintf("port %d is open", port), func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// sum is the SHA-256 of a text as sha256sum(1) prints it.
func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// noise is text that no compression and no lucky guess reproduces.
func noise(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		b.WriteString(sum(fmt.Sprint(i)))
	}
	return b.String()[:size]
}

// TestSSHClients runs the clients that people use against one development
// container, whose image has rsync but no part of OpenSSH.
func TestSSHClients(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.deployed("api")
	p.write("okteto.yaml", manifest+fmt.Sprintf("    image: %s/debian:1\n", p.Registry))
	p.write("www/index.html", "from the pod")
	s := p.start("up", "--", "sh", "-c", `python3 -m http.server --bind 127.0.0.1 --directory www 8080 &
		until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8080))' 2>/dev/null; do :; done; echo ready; cat; kill $!`)
	s.out("ready\n")
	for name, test := range map[string]func(*testing.T, *place){
		"commands": sshCommands, "scp": scpCopies, "sftp": sftpBatch, "rsync": rsyncTree, "sshfs": sshfsMount,
		"forwards": sshForwards, "agent": sshAgent, "master": sshMaster,
	} {
		t.Run(name, func(t *testing.T) {
			here := *p
			here.t = t
			test(t, &here)
		})
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
}

func sshCommands(t *testing.T, p *place) {
	for _, code := range []int{0, 1, 42, 255} {
		if r := p.runClient("", "ssh", "api.okteto", fmt.Sprintf("exit %d", code)); r.code != code {
			t.Errorf("exit %d: ssh ended with %d\n%s", code, r.code, r.stderr)
		}
	}
	if r := p.runClient("", "ssh", "api.okteto", "no-such-program"); r.code != 127 {
		t.Errorf("an unknown program: ssh ended with %d\n%s", r.code, r.stderr)
	}
	r := p.runClient("", "ssh", "api.okteto", "pwd; echo $FROM_SPEC $FROM_MANIFEST; echo problem >&2; test -t 0 || echo no tty")
	if r.stdout != "/app\nspec manifest\nno tty\n" || r.stderr != "problem\n" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
	text := noise(3 << 20)
	if r := p.runClient(text, "ssh", "api.okteto", "sha256sum"); !strings.HasPrefix(r.stdout, sum(text)) {
		t.Errorf("%d bytes of input arrived as %q", len(text), r.stdout)
	}
	if r := p.runClient(text, "ssh", "api.okteto", "cat"); r.stdout != text {
		t.Errorf("%d bytes of %d came back", len(r.stdout), len(text))
	}
	r = p.runClient("", "ssh", "-tt", "api.okteto", "tty; test -t 1 && exit 5")
	if !strings.HasPrefix(r.stdout, "/dev/pts/") || r.code != 5 {
		t.Errorf("with a terminal: %q, exit code %d", r.stdout, r.code)
	}
}

func scpCopies(t *testing.T, p *place) {
	if r := p.runClient("", "ssh", "api.okteto", "command -v scp"); r.code == 0 {
		t.Fatalf("the image has %s: this proves nothing", r.stdout)
	}
	dir := t.TempDir()
	text := noise(1 << 20)
	file := filepath.Join(dir, "a file")
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	for mode, flags := range map[string][]string{"SFTP": {"-p"}, "the old protocol": {"-p", "-O"}} {
		scp := func(args ...string) string { return p.with("scp", append(flags, args...)...) }
		scp(file, "api.okteto:/tmp/copied")
		if got := p.with("ssh", "api.okteto", "sha256sum </tmp/copied; stat -c %a /tmp/copied"); got != sum(text)+"  -\n640\n" {
			t.Errorf("by %s the pod got %q", mode, got)
		}
		back := filepath.Join(dir, "back "+mode)
		scp("api.okteto:/tmp/copied", back)
		if got, err := os.ReadFile(back); err != nil || string(got) != text {
			t.Errorf("by %s %d bytes of %d came back, %v", mode, len(got), len(text), err)
		}
		if r := p.runClient("", "scp", append(flags, "api.okteto:/missing", dir)...); r.code != 1 || !strings.Contains(r.stderr, "o such file") {
			t.Errorf("by %s a missing file: exit code %d, %q", mode, r.code, r.stderr)
		}
		tree := filepath.Join(dir, "tree "+mode)
		scp("-r", "api.okteto:/app", tree)
		if got, err := os.ReadFile(filepath.Join(tree, "www/index.html")); string(got) != "from the pod" {
			t.Errorf("by %s a folder came as %q, %v", mode, got, err)
		}
	}
}

func sftpBatch(t *testing.T, p *place) {
	dir := t.TempDir()
	p.runClient("", "ssh", "api.okteto", "rm -rf /tmp/made")
	batch := strings.Join([]string{
		"pwd", "mkdir /tmp/made", "put " + p.src + "/www/index.html /tmp/made/put", "rename /tmp/made/put /tmp/made/renamed",
		"chmod 600 /tmp/made/renamed", "ls -la /tmp/made", "get /tmp/made/renamed " + dir + "/got", "get /etc/debian_version " + dir + "/version",
	}, "\n")
	r := p.runClient(batch+"\n", "sftp", "-b", "-", "api.okteto")
	if r.code != 0 || !strings.Contains(r.stdout, "Remote working directory: /app\n") || !strings.Contains(r.stdout, "-rw-------") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "got")); string(got) != "from the pod" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "version")); len(got) == 0 {
		t.Errorf("the image's own files are not served: %v", err)
	}
}

func rsyncTree(t *testing.T, p *place) {
	dir := t.TempDir()
	for i := range 50 {
		file := filepath.Join(dir, "from", fmt.Sprintf("d%d", i%5), fmt.Sprintf("f%d", i))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(noise(i*100)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.with("rsync", "-a", "--delete", dir+"/from/", "api.okteto:/srv/tree/")
	p.with("rsync", "-az", "--delete", "api.okteto:/srv/tree/", dir+"/back/")
	if out, err := exec.Command("diff", "-r", dir+"/from", dir+"/back").CombinedOutput(); err != nil {
		t.Errorf("what came back differs: %v\n%s", err, out)
	}
	if got := p.with("rsync", "-ani", "--delete", dir+"/from/", "api.okteto:/srv/tree/"); got != "" {
		t.Errorf("rsync finds a difference:\n%s", got)
	}
}

func sshfsMount(t *testing.T, p *place) {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this machine has no FUSE: %v", err)
	}
	_ = f.Close()
	if _, err := exec.LookPath("sshfs"); err != nil {
		t.Skip("sshfs is not installed: apt-get install sshfs")
	}
	mount := t.TempDir()
	p.with("sshfs", "api.okteto:/", mount)
	t.Cleanup(func() { _ = exec.Command("fusermount3", "-uz", mount).Run() })
	if got, err := os.ReadFile(filepath.Join(mount, "app/www/index.html")); string(got) != "from the pod" {
		t.Errorf("through the mount: %q, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(mount, "tmp/mounted"), []byte("written here"), 0o600); err != nil {
		t.Error(err)
	}
	if got := p.with("ssh", "api.okteto", "cat /tmp/mounted"); got != "written here" {
		t.Errorf("the pod has %q", got)
	}
}

func sshForwards(t *testing.T, p *place) {
	ports := freePorts(t, 2)
	answered := serve(t, ports[1], "from the laptop")
	p.inBackground("-L", fmt.Sprintf("%d:localhost:8080", ports[0]), "-R", fmt.Sprintf("9000:127.0.0.1:%d", ports[1]), "api.okteto")
	listens(t, ports[0])
	if got := get(t, ports[0]); got != "from the pod" {
		t.Errorf("through -L: %q", got)
	}
	ask := `until exec 3<>/dev/tcp/127.0.0.1/9000; do :; done 2>/dev/null; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3`
	if got := p.with("ssh", "api.okteto", "bash -c '"+strings.ReplaceAll(ask, "'", `'\''`)+"'"); !strings.HasSuffix(got, "from the laptop") || answered() == 0 {
		t.Errorf("through -R: %q after %d requests", got, answered())
	}
}

func sshAgent(t *testing.T, p *place) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "agent")
	agent := exec.CommandContext(t.Context(), "ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Wait() })
	eventually(t, "the agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	env := append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	for _, line := range []string{"ssh-keygen -q -t ed25519 -N '' -C one-of-mine -f " + dir + "/key", "ssh-add -q " + dir + "/key"} {
		cmd := exec.Command("sh", "-c", line)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	// The agent's protocol by hand: SSH_AGENTC_REQUEST_IDENTITIES.
	const list = `python3 -c 'import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ["SSH_AUTH_SOCK"]); ` +
		`s.sendall(b"\0\0\0\1\13"); print(s.recv(4096))'`
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	defer cancel()
	cmd := p.client(ctx, "ssh", "-A", "api.okteto", list)
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
	if r := p.finish(ctx, "", cmd); !strings.Contains(r.stdout, "one-of-mine") {
		t.Errorf("through -A the pod sees %q\n%s", r.stdout, r.stderr)
	}
	if got := p.with("ssh", "-a", "api.okteto", "echo agent=$SSH_AUTH_SOCK"); got != "agent=\n" {
		t.Errorf("without -A: %q", got)
	}
}

func sshMaster(t *testing.T, p *place) {
	control := "ControlPath=" + filepath.Join(t.TempDir(), "mux")
	p.inBackground("-o", control, "-o", "ControlMaster=yes", "api.okteto")
	eventually(t, "the master is there", func() bool {
		return p.runClient("", "ssh", "-o", control, "-O", "check", "api.okteto").code == 0
	})
	for i := range 3 {
		// Nobody but the master can answer: the client could not connect.
		if got := p.with("ssh", "-o", control, "-o", "ProxyCommand=false", "api.okteto", fmt.Sprint("echo ", i)); got != fmt.Sprintln(i) {
			t.Errorf("through the master: %q", got)
		}
	}
	p.with("ssh", "-o", control, "-O", "exit", "api.okteto")
}
