//go:build linux

package interop

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestExec(t *testing.T) {
	p := start(t)
	t.Run("output and working directory", func(t *testing.T) {
		if got := strings.TrimSpace(p.output("dev", "pwd")); got != p.work {
			t.Errorf("pwd = %q, want %q", got, p.work)
		}
	})
	t.Run("streams are separate", func(t *testing.T) {
		c := p.ssh("dev", "echo out; echo err >&2")
		out, err := c.Output()
		if err != nil || string(out) != "out\n" || fmt.Sprint(c.Stderr) != "err\n" {
			t.Errorf("out %q, err %q, %v", out, c.Stderr, err)
		}
	})
	t.Run("standard input", func(t *testing.T) {
		sent := bytes.Repeat([]byte("0123456789abcdef\x00\n"), 100_000)
		c := p.ssh("dev", "cat")
		c.Stdin = bytes.NewReader(sent)
		got, err := c.Output()
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("got %d bytes of %d, %v", len(got), len(sent), err)
		}
	})
	t.Run("environment of the image", func(t *testing.T) {
		got := p.output("dev", `echo "$IMAGE $HOME $SHELL ${USER:-nobody}"`)
		if want := "yes " + p.path("home") + " /bin/bash root\n"; os.Getuid() == 0 && got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("environment of the client", func(t *testing.T) {
		c := p.ssh("-o", "SendEnv=LC_TEST OKTETO_TEST LD_TEST", "dev", `echo "$LC_TEST $OKTETO_TEST $LD_TEST"`)
		c.Env = append(os.Environ(), "LC_TEST=a", "OKTETO_TEST=b", "LD_TEST=c")
		if got, err := c.Output(); string(got) != "a b \n" {
			t.Errorf("got %q, %v; want the filter to let the first two pass", got, err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		for i := range 8 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				if got := p.output("dev", fmt.Sprintf("echo %d", i)); got != fmt.Sprintf("%d\n", i) {
					t.Errorf("got %q", got)
				}
			})
		}
	})
}

func TestExitStatus(t *testing.T) {
	p := start(t)
	if err := os.WriteFile(filepath.Join(p.work, "plain"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		line   string
		status int
		stderr string
	}{
		{"true", 0, ""},
		{"exit 3", 3, ""},
		{"exit 255", 255, ""},
		{"no-such-command", 127, "not found"},
		{"./plain", 126, "ermission denied"},
		// ssh has no way to show a signal but this.
		{"kill -9 $$", 255, ""},
		{"kill -TERM $$", 255, ""},
	} {
		status, stderr := exitStatus(t, p.ssh("dev", test.line))
		if status != test.status || !strings.Contains(stderr, test.stderr) {
			t.Errorf("%q: status %d, stderr %q; want %d, %q", test.line, status, stderr, test.status, test.stderr)
		}
	}
}

// A process that does not read its input must neither hold up its output nor
// its end.
func TestUnreadInput(t *testing.T) {
	p := start(t)
	c := p.ssh("dev", "echo ready; exec sleep 1000")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(stdin, zeros{}) }()
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait()
	eventually(t, "the process is hung up", func() bool { return !p.hasProcess("sleep 1000") })
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A client that goes away takes its command with it, children included.
func TestDisconnect(t *testing.T) {
	for _, tty := range []string{"-T", "-tt"} {
		t.Run(tty, func(t *testing.T) {
			p := start(t)
			c := p.ssh(tty, "dev", "sleep 1001 & sleep 1002; true")
			stdin, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the command runs", func() bool { return p.hasProcess("sleep 1001") && p.hasProcess("sleep 1002") })
			_ = c.Process.Kill()
			_ = c.Wait()
			eventually(t, "the command has ended", func() bool { return !p.hasProcess("sleep 1001") && !p.hasProcess("sleep 1002") })
		})
	}
}

// hasProcess says whether the runner has a descendant with a command line.
func (p *pod) hasProcess(line string) bool {
	for _, pid := range descendants(p.runner.Process.Pid) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " ")) == line {
			return true
		}
	}
	return false
}

// descendants returns the processes below one.
func descendants(pid int) []int {
	var all []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for field := range strings.FieldsSeq(string(b)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}

func TestLogin(t *testing.T) {
	p := start(t)
	p.run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", "other", "-f", p.path("other"))
	conf, err := os.ReadFile(p.path("ssh_config"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("other_config", strings.Replace(string(conf), p.path("id"), p.path("other"), 1))
	other := []string{"-F", p.path("other_config"), "dev", "echo in"}
	if status, stderr := exitStatus(t, p.ssh(other...)); status != 255 || !strings.Contains(stderr, "Permission denied (publickey)") {
		t.Errorf("a key that nobody added: status %d, %s", status, stderr)
	}
	key, err := os.ReadFile(p.path("other.pub"))
	if err != nil {
		t.Fatal(err)
	}
	c := p.command(self(t), "authorize", p.path("state"))
	c.Stdin = bytes.NewReader(key)
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, c.Stderr)
	}
	if got := p.output(other...); got != "in\n" {
		t.Errorf("an added key: got %q", got)
	}
	for _, method := range []string{"password", "keyboard-interactive", "none"} {
		c := p.ssh("-o", "PreferredAuthentications="+method, "-o", "BatchMode=no", "-o", "NumberOfPasswordPrompts=0", "dev", "echo in")
		if status, _ := exitStatus(t, c); status != 255 {
			t.Errorf("%s: status %d, want a refusal", method, status)
		}
	}
}

// The host key outlives the container, the whole login cipher is AES-GCM.
func TestHostKeyAndCipher(t *testing.T) {
	p := start(t)
	_ = p.sidecar.Process.Kill()
	_, _ = p.sidecar.Process.Wait()
	p.startSidecar()
	c := p.ssh("-v", "-o", "LogLevel=DEBUG1", "dev", "true")
	if err := c.Run(); err != nil {
		t.Fatalf("after a restart: %v\n%s", err, c.Stderr)
	}
	c = p.ssh("-v", "-o", "LogLevel=DEBUG1", "-c", "aes128-gcm@openssh.com", "dev", "true")
	if err := c.Run(); err != nil || !strings.Contains(fmt.Sprint(c.Stderr), "cipher: aes128-gcm@openssh.com") {
		t.Errorf("AES-GCM: %v\n%s", err, c.Stderr)
	}
}

// Clients that are not OpenSSH offer less: these are what libraries for Java have
// in common with us, and the ones that nobody should have any more.
func TestAlgorithms(t *testing.T) {
	p := start(t)
	try := func(kex, cipher, mac string) (int, string) {
		return exitStatus(t, p.ssh("-o", "LogLevel=INFO", "-o", "KexAlgorithms="+kex, "-o", "Ciphers="+cipher, "-o", "MACs="+mac,
			"-o", "HostKeyAlgorithms=ssh-ed25519", "-o", "PubkeyAcceptedAlgorithms=ssh-ed25519", "dev", "true"))
	}
	const kex, cipher, mac = "curve25519-sha256", "aes128-ctr", "hmac-sha2-256"
	for _, kex := range []string{
		"curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
		"diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512", "diffie-hellman-group-exchange-sha256",
	} {
		if status, stderr := try(kex, cipher, mac); status != 0 {
			t.Errorf("%s: status %d, %s", kex, status, stderr)
		}
	}
	for _, cipher := range []string{
		"aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com",
	} {
		if status, stderr := try(kex, cipher, mac); status != 0 {
			t.Errorf("%s: status %d, %s", cipher, status, stderr)
		}
	}
	for _, mac := range []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"} {
		if status, stderr := try(kex, cipher, mac); status != 0 {
			t.Errorf("%s: status %d, %s", mac, status, stderr)
		}
	}
	for _, weak := range [][]string{
		{"diffie-hellman-group14-sha1", cipher, mac}, {"diffie-hellman-group1-sha1", cipher, mac},
		{kex, "aes128-cbc", mac}, {kex, "3des-cbc", mac}, {kex, cipher, "hmac-sha1-96"}, {kex, cipher, "hmac-md5"},
	} {
		if status, stderr := try(weak[0], weak[1], weak[2]); status != 255 || !strings.Contains(stderr, "no matching") {
			t.Errorf("%q: status %d, %s", weak, status, stderr)
		}
	}
}
