package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/trees"
)

// patch is the size of an edit of the large file.
const patch = 1 << 10

// bigEdits edits a file of 1 GiB in the middle, in place, and at its head, by
// which all that follows moves.
func (b *bench) bigEdits(ctx context.Context) error {
	via, err := b.through(ctx)
	if err != nil {
		return err
	}
	s, err := b.on(ctx, t3, via)
	if err != nil {
		return err
	}
	b.report.say("t3 was first synced in %.1f s", s.synced.Seconds())
	theirs, err := b.syncedByRsync(ctx, s)
	if err != nil {
		return err
	}
	file, beside := filepath.Join(s.dir, trees.LargeName), filepath.Join(b.lab.Home, "large.new")
	var worstTime time.Duration
	var worstBytes int64
	for _, edit := range []struct {
		name, note string
		prepare    func() error
		change     func() error
	}{
		{"middle", "1 KiB changed in the middle, in place", func() error { return nil }, func() error { return patchMiddle(file) }},
		{"head", "1 KiB inserted at the head, written beside and renamed", func() error { return prepend(file, beside) },
			func() error { return os.Rename(beside, file) }},
	} {
		if err := errors.Join(edit.prepare(), settleDisk(ctx)); err != nil {
			return err
		}
		took, passed, err := b.observe(ctx, via, edit.change)
		if err != nil {
			return err
		}
		bytes := passed.Sent + passed.Received
		worstTime, worstBytes = max(worstTime, took), max(worstBytes, bytes)
		key := "big_edit_" + edit.name
		b.report.add(key+"_s", took.Seconds(), edit.note)
		b.report.add(key+"_bytes", float64(bytes), fmt.Sprintf("TLS, sent %d and received %d", passed.Sent, passed.Received))
		if theirs == nil {
			continue
		}
		took, bytes, err = theirs()
		if err != nil {
			return err
		}
		b.report.add("rsync_"+key+"_s", took.Seconds(), "")
		b.report.add("rsync_"+key+"_bytes", float64(bytes), "")
	}
	if _, err := b.verify(ctx, s); err != nil {
		return err
	}
	b.report.add("big_edit_s", worstTime.Seconds(), "the slower of the two edits of t3")
	b.report.add("big_edit_bytes", float64(worstBytes), "the larger of the two")
	return nil
}

// patchMiddle changes bytes in the middle of a file.
func patchMiddle(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	content := make([]byte, patch)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content) // never fails
	_, err = f.WriteAt(content, trees.LargeBytes/2)
	return errors.Join(err, f.Close())
}

// prepend writes a copy of a file that begins with new bytes.
func prepend(file, to string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.MultiReader(io.LimitReader(rand.NewChaCha8([32]byte{2}), patch), from))
	return errors.Join(err, f.Close())
}

// syncedByRsync brings the session's tree to a folder of rsync's and returns
// what does so again; nil where there is no rsync.
func (b *bench) syncedByRsync(ctx context.Context, s *session) (func(args ...string) (time.Duration, int64, error), error) {
	if _, err := exec.LookPath("rsync"); err != nil {
		b.report.say("left out: rsync: %v", err)
		return nil, nil
	}
	to, err := b.folder(ctx, s, "rsync")
	if err != nil {
		return nil, err
	}
	again := func(args ...string) (time.Duration, int64, error) { return b.rsync(ctx, s, to, args...) }
	_, _, err = again()
	return again, err
}
