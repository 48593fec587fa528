package sshclient_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// keyEnv tells a copy of the test program to print the key of a folder.
const keyEnv = "SSHCLIENT_TEST_KEY_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(keyEnv); dir != "" {
		signer, err := sshclient.LoadOrCreateKey(dir)
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		_, _ = os.Stdout.Write(ssh.MarshalAuthorizedKey(signer.PublicKey()))
		return
	}
	os.Exit(m.Run())
}

func TestLoadOrCreateKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "okteto", "ssh")
	created, err := sshclient.LoadOrCreateKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	public := ssh.MarshalAuthorizedKey(created.PublicKey())
	if got := created.PublicKey().Type(); got != ssh.KeyAlgoED25519 {
		t.Errorf("the key is of type %s", got)
	}
	private := filepath.Join(dir, sshclient.KeyFile)
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{dir: 0o700, private: 0o600, private + ".pub": 0o644} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: mode %v, error %v, want %v", path, info.Mode().Perm(), err, want)
			}
		}
	}
	// A lost public key comes back, a wrong one is replaced.
	for _, spoil := range []func() error{
		func() error { return nil },
		func() error { return os.Remove(private + ".pub") },
		func() error { return os.WriteFile(private+".pub", []byte("ssh-ed25519 AAAA other\n"), 0o644) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		loaded, err := sshclient.LoadOrCreateKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ssh.MarshalAuthorizedKey(loaded.PublicKey()), public) {
			t.Error("the key has changed")
		}
		if got, err := os.ReadFile(private + ".pub"); err != nil || !bytes.Equal(got, public) {
			t.Errorf("the public key is %q, error %v", got, err)
		}
	}
	if keygen, err := exec.LookPath("ssh-keygen"); err == nil {
		if out, err := exec.Command(keygen, "-y", "-f", private).Output(); err != nil || !bytes.HasPrefix(out, bytes.TrimSpace(public)) {
			t.Errorf("ssh-keygen reads %q, error %v", out, err)
		}
	}
}

func TestUnusableKey(t *testing.T) {
	tests := map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"readable by others": {"", 0o644, "chmod 600"},
		"empty":              {"", 0o600, "delete it"},
		"garbage":            {"hello", 0o600, "delete it"},
		"encrypted":          {encryptedKey(t), 0o600, "delete it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, sshclient.KeyFile)
			if err := os.WriteFile(path, []byte(test.content), test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := sshclient.LoadOrCreateKey(dir)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("LoadOrCreateKey fails with %v", err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != test.content {
				t.Errorf("the file was changed to %q, error %v", got, err)
			}
		})
	}
}

func encryptedKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return "needs ssh-keygen"
	}
	if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", rand.Text(), "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestKeyOfManyProcesses starts processes that all want the first key.
func TestKeyOfManyProcesses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ssh")
	const processes = 8
	type result struct {
		key string
		err error
	}
	results := make(chan result)
	for range processes {
		go func() {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), keyEnv+"="+dir)
			out, err := cmd.Output()
			results <- result{string(out), err}
		}()
	}
	keys := map[string]bool{}
	for range processes {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		keys[r.key] = true
	}
	if len(keys) != 1 {
		t.Errorf("%d processes see %d keys", processes, len(keys))
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".id_*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}
