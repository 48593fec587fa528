package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDiskTrouble lets the pod's disk fill up, then turn read-only, and heal
// each time.
func TestDiskTrouble(t *testing.T) {
	p := newPair(t)
	if err := unix.Mount("tmpfs", p.pod, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	defer func() { must(t, unix.Unmount(p.pod, unix.MNT_DETACH)) }()
	for i := range 8 {
		write(t, p.laptop, fmt.Sprint("f", i), strings.Repeat(fmt.Sprint(i), 400_000))
	}
	s := p.start()
	defer s.stop()
	trouble := func(reason string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for p.leader.Flush(ctx) == nil {
			if ctx.Err() != nil {
				t.Fatal("nothing went wrong")
			}
		}
		if st := p.leader.Status(); st.State != Stopped || !strings.Contains(st.Reason, reason) {
			t.Fatalf("status %+v", st)
		}
	}
	healed := func() {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); p.diff() != ""; {
			if time.Now().After(deadline) {
				t.Fatalf("not healed: %+v", p.leader.Status())
			}
			p.awaitEvent(t.Context())
		}
	}
	trouble("the disk is full in the pod")
	must(t, unix.Mount("tmpfs", p.pod, "tmpfs", unix.MS_REMOUNT, "size=64m"))
	healed()
	must(t, unix.Mount("tmpfs", p.pod, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	write(t, p.laptop, "f1", "changed")
	trouble("read-only in the pod")
	must(t, unix.Mount("tmpfs", p.pod, "tmpfs", unix.MS_REMOUNT, ""))
	healed()
	if p.sawEvent(Conflict) {
		t.Error("a full disk made a conflict")
	}
}
