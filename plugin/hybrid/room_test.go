//go:build linux

package hybrid

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/netns"
)

// roomVariable has this test binary run every process in a room of its own.
const roomVariable = "HYBRID_TEST_ROOM"

// room is a new one where every process has one.
func room() *netns.Room {
	if os.Getenv(roomVariable) == "" {
		return nil
	}
	r, err := netns.New(netns.Plan{}, func(netns.Entrances) {})
	if err != nil {
		panic(err)
	}
	return r
}

// TestRooms makes the other tests in rooms, as an ordinary user: there is no
// difference.
func TestRooms(t *testing.T) {
	if os.Getenv(roomVariable) != "" {
		t.Skip("this is a room")
	}
	dir, err := os.MkdirTemp("", "rooms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "test")
	if err := os.WriteFile(self, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), roomVariable+"=yes")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestTerminal") {
		t.Errorf("%v\n%s", err, out)
	}
}
