package engine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limitVariable tells the test binary that it runs with the limit that it
// names.
const limitVariable = "ENGINE_TEST_LIMIT"

// TestWatchLimit runs this test again in a user namespace, where limits can be
// set without harm to others.
func TestWatchLimit(t *testing.T) {
	if limit := os.Getenv(limitVariable); limit != "" {
		testWatchLimit(t, limit)
		return
	}
	for _, limit := range []string{"max_inotify_watches=40", "max_inotify_instances=0"} {
		t.Run(limit, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWatchLimit$", "-test.v")
			cmd.Env = append(os.Environ(), limitVariable+"="+limit)
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			switch {
			case err != nil && !errors.As(err, &exit):
				t.Skipf("no user namespace: %v", err)
			case err != nil:
				t.Errorf("%v:\n%s", err, out)
			case strings.Contains(string(out), "--- SKIP"):
				t.Skipf("%s", out)
			}
		})
	}
}

func testWatchLimit(t *testing.T, limit string) {
	key, value, _ := strings.Cut(limit, "=")
	if err := os.WriteFile("/proc/sys/user/"+key, []byte(value), 0); err != nil {
		t.Skip(err)
	}
	p := newPair(t)
	for i := range 60 {
		write(t, p.laptop, fmt.Sprintf("d/%d/f", i), "one")
	}
	s := p.start()
	defer s.stop()
	p.settle()
	// Each side warns once, or when the number has doubled.
	p.await(func() bool { return p.told(Warning, "sysctl -w fs.inotify.max_user_") >= 2 })
	for i := range 60 {
		write(t, p.laptop, fmt.Sprintf("d/%d/f", i), "two")
		write(t, p.pod, fmt.Sprintf("d/%d/g", i), "two")
	}
	p.settle()
	// Nobody asks, and still it arrives.
	for i := range 60 {
		write(t, p.laptop, fmt.Sprintf("d/%d/f", i), "three")
		write(t, p.pod, fmt.Sprintf("d/%d/g", i), "three")
	}
	write(t, p.pod, "new/below/f", "three")
	p.await(func() bool { return p.diff() == "" && exists(p.laptop, "new/below/f") })
	if n := p.told(Warning, "sysctl -w fs.inotify.max_user_"); n > 8 {
		t.Errorf("%d warnings", n)
	}
	if c := p.leader.Status().Conflicts; len(c) > 0 {
		t.Errorf("conflicts %q", c)
	}
}

// What cannot be synced is told once, whichever side it is on, and nothing else
// suffers.
func TestSpecialFilesAreSkippedOnce(t *testing.T) {
	p := newPair(t)
	short, err := os.MkdirTemp("", "sock")
	must(t, err)
	defer os.RemoveAll(short)
	for _, root := range []string{p.laptop, p.pod} {
		must(t, unix.Mkfifo(filepath.Join(root, "fifo-"+filepath.Base(root)), 0o644))
		// A socket's whole name is bounded by 107 bytes, so that it is made
		// elsewhere.
		l, err := net.Listen("unix", filepath.Join(short, filepath.Base(root)))
		must(t, err)
		defer l.Close()
		must(t, os.Rename(filepath.Join(short, filepath.Base(root)), filepath.Join(root, "socket-"+filepath.Base(root))))
	}
	write(t, p.laptop, "f", "x")
	s := p.start()
	defer s.stop()
	p.leader.settleNow(t)
	for i := range 3 {
		for _, root := range []string{p.laptop, p.pod} {
			must(t, os.Chmod(filepath.Join(root, "fifo-"+filepath.Base(root)), os.FileMode(0o600+i)))
			must(t, os.Mkdir(filepath.Join(root, fmt.Sprint("d", i)+filepath.Base(root)), 0o755))
		}
		p.leader.settleNow(t)
	}
	for _, name := range []string{"fifo-laptop", "fifo-pod", "socket-laptop", "socket-pod"} {
		p.await(func() bool { return p.told(Skipped, name+": ") > 0 })
		if n := p.told(Skipped, name+": "); n != 1 {
			t.Errorf("%s was reported %d times", name, n)
		}
	}
	if exists(p.pod, "fifo-laptop") || exists(p.laptop, "socket-pod") || !exists(p.pod, "f") {
		t.Error("skipped what should be there, or not what should not")
	}
}

// A pod cannot flood the user, nor the memory.
func TestNotesAreBounded(t *testing.T) {
	var l notes
	count := 0
	for i := range 10 * maxNotes {
		if _, news := l.add(note{Skipped, fmt.Sprint(i), "text"}); news {
			count++
		}
	}
	if count != maxNotes+1 || len(l.told) != maxNotes+1 {
		t.Errorf("%d notes were told, %d are remembered", count, len(l.told))
	}
}

func TestPace(t *testing.T) {
	now := time.Unix(0, 0)
	var p pace
	if at := p.plan(now); !at.Equal(now.Add(pollSoon)) {
		t.Errorf("first after %v", at.Sub(now))
	}
	for range 30 {
		p.scanned(now, time.Millisecond, false)
	}
	if got := p.plan(now).Sub(now); got != pollLate {
		t.Errorf("after a quiet time every %v", got)
	}
	p.scanned(now, time.Millisecond, true)
	if got := p.plan(now).Sub(now); got != pollSoon {
		t.Errorf("after a change every %v", got)
	}
	p.scanned(now, time.Second, true)
	if got := p.plan(now).Sub(now); got != pollShare*time.Second {
		t.Errorf("where a scan takes a second, every %v", got)
	}
}
