package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
		ctx, cancel := context.WithTimeout(t.Context(), patience)
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
		for deadline := time.Now().Add(patience); p.diff() != ""; {
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

// TestReadOnlyRoot makes a root read-only by a bind mount, and writable again.
func TestReadOnlyRoot(t *testing.T) {
	eachSide(t, func(t *testing.T, p *pair, root, other, where string) {
		if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("mounting a folder over itself: %v", err)
		}
		defer func() { must(t, unix.Unmount(root, unix.MNT_DETACH)) }()
		s := p.start()
		defer s.stop()
		p.settle()
		must(t, unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		write(t, other, "d/f1", "changed")
		p.stopped("the folder is read-only " + where)
		must(t, unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT, ""))
		p.until("the end of the stop", func(st Status) bool { return st.State == Converged && p.diff() == "" })
	})
}

// TestFullDisk fills the file system of the laptop's root, and makes room.
func TestFullDisk(t *testing.T) {
	p := newPair(t)
	if err := unix.Mount("tmpfs", p.laptop, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	defer func() { must(t, unix.Unmount(p.laptop, unix.MNT_DETACH)) }()
	for i := range 4 {
		write(t, p.pod, fmt.Sprint("f", i), strings.Repeat(fmt.Sprint(i), 400_000))
	}
	s := p.start()
	defer s.stop()
	p.stopped("the disk is full on the laptop")
	for i := range 4 {
		if !exists(p.pod, fmt.Sprint("f", i)) {
			t.Errorf("f%d is lost", i)
		}
	}
	must(t, unix.Mount("tmpfs", p.laptop, "tmpfs", unix.MS_REMOUNT, "size=64m"))
	p.until("the end of the stop", func(st Status) bool { return st.State == Converged && p.diff() == "" })
}

// TestStateOnAFullDisk has a root and the state of its end on one disk, and
// takes the rest of it: sync stops until there is room, and each connection
// stays as it is.
func TestStateOnAFullDisk(t *testing.T) {
	eachSide(t, func(t *testing.T, p *pair, root, other, where string) {
		top := t.TempDir()
		if err := unix.Mount("tmpfs", top, "tmpfs", 0, "size=1m"); err != nil {
			t.Skipf("mounting a small file system: %v", err)
		}
		defer func() { must(t, unix.Unmount(top, unix.MNT_DETACH)) }()
		small := filepath.Join(top, "root")
		must(t, os.Mkdir(small, 0o755))
		if root == p.laptop {
			p.laptop, p.leaderState = small, filepath.Join(top, "state")
		} else {
			p.pod, p.followerState = small, filepath.Join(top, "state")
		}
		for i := range 100 {
			write(t, other, fmt.Sprint("before", i), "x")
		}
		s := p.start()
		defer func() { s.stop() }()
		p.settle()
		filler := filepath.Join(top, "filler")
		if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		for i := range 100 {
			write(t, other, fmt.Sprint("after", i), strings.Repeat("y", 1000))
		}
		p.stopped("the disk is full " + where)
		// Also one that begins only now.
		s.stop()
		must(t, p.leader.Close())
		s = p.start()
		p.stopped("the disk is full " + where)
		select {
		case err := <-s.leads:
			t.Fatal(err)
		default:
		}
		must(t, os.Remove(filler))
		p.until("the end of the stop", func(st Status) bool { return st.State == Converged && p.diff() == "" })
	})
}
