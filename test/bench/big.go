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

// bigEdit is a way to edit the large file.
type bigEdit struct {
	name, note string
	// prepare and change make the edit of a run; only change is timed.
	prepare, change func(run int) error
	// ours and theirs are the figures of the runs.
	ours, theirs edits
}

// edits are the figures of some runs: bytes are the most.
type edits struct {
	took  []time.Duration
	bytes int64
	note  string // of the run with the most bytes
}

func (e *edits) add(took time.Duration, bytes int64, note string) {
	e.took = append(e.took, took)
	if bytes > e.bytes {
		e.bytes, e.note = bytes, note
	}
}

// bigEdits edits a file of 1 GiB in the middle, in place, and at its head, by
// which all that follows moves.
func (b *bench) bigEdits(ctx context.Context) error {
	s, err := b.routed(ctx, t3)
	if err != nil {
		return err
	}
	b.report.say("t3 was first synced in %.1f s", s.synced.Seconds())
	rsync, err := b.syncedByRsync(ctx, s)
	if err != nil {
		return err
	}
	file, beside := filepath.Join(s.dir, trees.LargeName), filepath.Join(b.lab.Home, "large.new")
	all := []*bigEdit{
		{
			name: "middle", note: "1 KiB changed in the middle, in place",
			prepare: func(int) error { return nil }, change: func(run int) error { return patchMiddle(file, run) },
		},
		{
			name: "head", note: "1 KiB inserted at the head, written beside and renamed",
			prepare: func(run int) error { return prepend(file, beside, run) }, change: func(int) error { return os.Rename(beside, file) },
		},
	}
	for run := range b.runs {
		for _, e := range all {
			if err := errors.Join(e.prepare(run), settle(ctx)); err != nil {
				return err
			}
			took, passed, err := b.observe(ctx, s.via, func() error { return e.change(run) })
			if err != nil {
				return err
			}
			e.ours.add(took, passed.Sent+passed.Received, fmt.Sprintf("TLS, sent %d and received %d", passed.Sent, passed.Received))
			if rsync == nil {
				continue
			}
			took, bytes, err := rsync()
			if err != nil {
				return err
			}
			e.theirs.add(took, bytes, "")
		}
	}
	if _, err := b.verify(ctx, s); err != nil {
		return err
	}
	var worstTime time.Duration
	var worstBytes int64
	for _, e := range all {
		key := "big_edit_" + e.name
		worstTime, worstBytes = max(worstTime, median(e.ours.took)), max(worstBytes, e.ours.bytes)
		b.report.add(key+"_s", median(e.ours.took).Seconds(), fmt.Sprintf("%s, median of %d: %s", e.note, b.runs, seconds(e.ours.took)))
		b.report.add(key+"_bytes", float64(e.ours.bytes), e.ours.note)
		if rsync != nil {
			b.report.add("rsync_"+key+"_s", median(e.theirs.took).Seconds(), "")
			b.report.add("rsync_"+key+"_bytes", float64(e.theirs.bytes), "")
		}
	}
	b.report.add("big_edit_s", worstTime.Seconds(), "the slower of the two edits of t3")
	b.report.add("big_edit_bytes", float64(worstBytes), "the larger of the two")
	return nil
}

// patchMiddle changes bytes in the middle of a file, other ones in each run.
func patchMiddle(file string, run int) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, trees.LargeBytes/2), noise(run))
	return errors.Join(err, f.Close())
}

// noise is as many random bytes as an edit has.
func noise(run int) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1, byte(run)}), patch)
}

// prepend writes a copy of a file that begins with new bytes.
func prepend(file, to string, run int) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.MultiReader(noise(run), from))
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
