//go:build linux

package node

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	for _, name := range []string{"(cat)", "(a) b)", "((x) R 1)"} {
		state, start, err := parseStat([]byte("12 " + name + tail))
		if state != "S" || start != "4711" || err != nil {
			t.Errorf("%s: state %q, start %q, %v", name, state, start, err)
		}
	}
	if _, _, err := parseStat([]byte("12 (cat) S 1")); err == nil {
		t.Error("a short file is accepted")
	}
}

func TestParseChild(t *testing.T) {
	t.Parallel()
	status := "Name:\tx\nPPid:\t77\nNSpid:\t4000\t12\n"
	if outer, inner, ok := parseChild(status, 77); outer != 4000 || inner != 12 || !ok {
		t.Errorf("got %d, %d, %v", outer, inner, ok)
	}
	if _, _, ok := parseChild(status, 7); ok {
		t.Error("a stranger's child is taken for ours")
	}
}

// TestProcess follows a real process to its end.
func TestProcess(t *testing.T) {
	t.Parallel()
	command := exec.Command("sleep", "1000")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := identify(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !p.alive() {
		t.Error("a running process is not alive")
	}
	// The same number with another start is another process, and is spared.
	other := p
	other.Start = "1"
	if err := other.end(t.Context(), time.Minute); err != nil || !p.alive() {
		t.Errorf("ending another process of the same number: %v, alive %v", err, p.alive())
	}
	if err := p.end(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("an ended process that nobody has waited for is alive")
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("it ended by %v, want SIGTERM", err)
	}
	if err := p.end(t.Context(), time.Minute); err != nil {
		t.Errorf("ending a process that is gone: %v", err)
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if _, err := readRecord(state); !errors.Is(err, ErrStopped) {
		t.Errorf("without a record: %v, want ErrStopped", err)
	}
	want := record{
		Config: testConfig(state), Supervisor: process{1, "2", "3"}, Ready: true, Boot: "3",
		Sysctls: map[string]string{"net/ipv4/ip_forward": "0"}, Tables: []string{"ip nat"},
	}
	if err := want.write(); err != nil {
		t.Fatal(err)
	}
	got, err := readRecord(state)
	if err != nil {
		t.Fatal(err)
	}
	if got.Config.Subnet != want.Config.Subnet {
		t.Errorf("subnet %s, want %s", got.Config.Subnet, want.Config.Subnet)
	}
	if diff := cmp.Diff(want.Sysctls, got.Sysctls); diff != "" || got.Supervisor != want.Supervisor || !got.Ready {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLockState(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	unlock, err := lockState(state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(state); err == nil {
		t.Error("a state folder is locked twice")
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty state folder stays: %v", err)
	}
	if unlock, err = lockState(state); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "node.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(state, "node.json")); err != nil {
		t.Errorf("unlocking removes what is in use: %v", err)
	}
}

func TestParseTrees(t *testing.T) {
	t.Parallel()
	one, two := parseTrees(`tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0
`)
	if diff := cmp.Diff([]string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids"}, one); diff != "" {
		t.Errorf("version 1 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/sys/fs/cgroup/unified"}, two); diff != "" {
		t.Errorf("version 2 (-want +got):\n%s", diff)
	}
}

// TestRemoveGroup removes a tree of folders as if they were control groups;
// those have files that go with them, which a plain folder has not.
func TestRemoveGroup(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "group")
	if err := os.MkdirAll(filepath.Join(dir, "kubepods", "burstable"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := removeGroup(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the group stays: %v", err)
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	if static(os.DevNull) {
		t.Error("what is no program is static")
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip("no shell here")
	}
	output, err := exec.Command("ldd", shell).CombinedOutput()
	if dynamic := err == nil && len(output) > 0; dynamic && static(shell) {
		t.Errorf("%s is static, but ldd prints %s", shell, output)
	}
}
