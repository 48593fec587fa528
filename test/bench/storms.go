package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/trees"
	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

// burst changes 10,000 files of the large tree as a git checkout does, beside a
// tar of the same files.
func (b *bench) burst(ctx context.Context) error {
	const share = 5 // one file of five: 10,000
	s, err := b.on(ctx, t2, nil)
	if err != nil {
		return err
	}
	all, err := listFiles(s.dir)
	if err != nil {
		return err
	}
	var files []string
	for i := 0; i < len(all); i += share {
		files = append(files, all[i])
	}
	list := filepath.Join(b.lab.Home, "burst-files")
	if err := os.WriteFile(list, []byte(strings.Join(files, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	to, err := b.folder(ctx, s, "burst")
	if err != nil {
		return err
	}
	// What tar overwrites is there before, as it is for us.
	if _, err := b.tarExec(ctx, s, to, "-cf", "-", "-T", list); err != nil {
		return err
	}
	var ours, theirs, writing []time.Duration
	for run := range b.runs {
		stage := filepath.Join(b.lab.Home, fmt.Sprintf("burst-%d", run))
		if err := stageChanged(s.dir, stage, files, fmt.Sprintf("// checkout %d\n", run)); err != nil {
			return err
		}
		if err := settle(ctx); err != nil {
			return err
		}
		began := time.Now()
		if err := checkOut(stage, s.dir, files); err != nil {
			return err
		}
		writing = append(writing, time.Since(began))
		if err := b.flush(ctx, false); err != nil {
			return err
		}
		ours = append(ours, time.Since(began))
		if err := errors.Join(os.RemoveAll(stage), settle(ctx)); err != nil {
			return err
		}
		took, err := b.tarExec(ctx, s, to, "-cf", "-", "-T", list)
		if err != nil {
			return err
		}
		theirs = append(theirs, took)
	}
	if _, err := b.verify(ctx, s); err != nil {
		return err
	}
	b.report.add("burst_10k_s", median(ours).Seconds(), fmt.Sprintf(
		"%d files, first write to converged, median of %d: %s; the writing alone %.2f s", len(files), b.runs, seconds(ours), median(writing).Seconds()))
	b.report.add("tar_burst_10k_s", median(theirs).Seconds(), "")
	b.report.addRatio("burst_10k_s", "tar_burst_10k_s")
	return nil
}

// stageChanged writes the changed contents of files into a folder of its own.
func stageChanged(dir, stage string, files []string, line string) error {
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		to := filepath.Join(stage, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, append([]byte(line), content...), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// checkOut brings staged files into a tree as git does: it removes the old file
// and writes the new one.
func checkOut(stage, dir string, files []string) error {
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(stage, name))
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.Remove(to); err != nil {
			return err
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// backFarAway makes 1,000 small files in the pod where the API server is far away:
// an installer of packages does.
func (b *bench) backFarAway(ctx context.Context) error {
	const make1000 = "mkdir back && cd back && i=0 && while [ $i -lt 1000 ]; do echo content of $i >$i; i=$((i+1)); done"
	s, err := b.routed(ctx, t2)
	if err != nil {
		return err
	}
	s.via.proxy.SetDelay(farAway / 2)
	defer s.via.proxy.SetDelay(0)
	began := time.Now()
	if out, err := b.inPod(ctx, s, "sh", "-c", "cd "+app+" && "+make1000).CombinedOutput(); err != nil {
		return fmt.Errorf("making files in the pod: %w: %s", err, out)
	}
	making := time.Since(began)
	if err := b.flush(ctx, true); err != nil {
		return err
	}
	took := time.Since(began)
	if _, err := b.verify(ctx, s); err != nil {
		return err
	}
	b.report.add("back_1k_rtt40_s", took.Seconds(), fmt.Sprintf("1000 files made in the pod, until on the laptop; the making alone %.2f s", making.Seconds()))
	return nil
}

// renameFolder renames a folder with a tenth of the large tree.
func (b *bench) renameFolder(ctx context.Context) error {
	s, err := b.routed(ctx, t2)
	if err != nil {
		return err
	}
	from, to := filepath.Join(s.dir, trees.Module(trees.Modules-1)), filepath.Join(s.dir, "renamed-module")
	files, err := listFiles(from)
	if err != nil {
		return err
	}
	theirs, err := b.syncedByRsync(ctx, s)
	if err != nil {
		return err
	}
	took, passed, err := b.observe(ctx, s.via, func() error { return os.Rename(from, to) })
	if err != nil {
		return err
	}
	if _, err := b.verify(ctx, s); err != nil {
		return err
	}
	b.report.add("rename_dir_bytes", float64(passed.Sent+passed.Received), fmt.Sprintf(
		"%d files; TLS, sent %d and received %d", len(files), passed.Sent, passed.Received))
	b.report.add("rename_dir_s", took.Seconds(), "rename to converged")
	if theirs == nil || !b.wants("rsync_rename_dir_bytes") {
		return nil
	}
	_, bytes, err := theirs("--delete")
	if err != nil {
		return err
	}
	b.report.add("rsync_rename_dir_bytes", float64(bytes), "")
	return nil
}

// observe measures a change from its beginning until it is in the pod, and what
// passed the proxy meanwhile.
func (b *bench) observe(ctx context.Context, via *route, change func() error) (time.Duration, tunneltest.Traffic, error) {
	before := via.proxy.Traffic()
	began := time.Now()
	if err := errors.Join(change(), b.flush(ctx, false)); err != nil {
		return 0, tunneltest.Traffic{}, err
	}
	took := time.Since(began)
	after := via.proxy.Traffic()
	return took, tunneltest.Traffic{Sent: after.Sent - before.Sent, Received: after.Received - before.Received}, nil
}
