package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

// starts measures the first sync of a tree into a fresh pod, its peers into the
// same pod, and then `up` again after both ends were restarted.
func (b *bench) starts(ctx context.Context, t tree) error {
	var initial, whole, resume, again []time.Duration
	var files int
	theirs := map[string][]time.Duration{}
	for i := range b.runs {
		if _, err := b.copyOf(ctx, t); err != nil {
			return err
		}
		if err := errors.Join(b.leave(ctx), settle(ctx)); err != nil {
			return err
		}
		s, err := b.on(ctx, t, nil)
		if err != nil {
			return err
		}
		initial, whole = append(initial, s.synced), append(whole, s.ready)
		if i == 0 {
			tree, err := b.verify(ctx, s)
			if err != nil {
				return err
			}
			files = tree.Files
			b.report.say("%s has %d files with %d bytes", t, tree.Files, tree.Bytes)
		}
		if err := b.peersStart(ctx, s, theirs); err != nil {
			return err
		}
		if !b.wants(resumeKey(t)) {
			continue
		}
		s, err = b.restart(ctx, s)
		if errors.Is(err, errElsewhere) {
			b.report.say("left out: %s: %v", resumeKey(t), err)
			continue
		}
		if err != nil {
			return err
		}
		resume, again = append(resume, s.synced), append(again, s.ready)
	}
	const note = "connection to converged, median of %d: %s; the whole up: %.2f s"
	b.report.add(initialKey(t), median(initial).Seconds(), fmt.Sprintf(note, len(initial), seconds(initial), median(whole).Seconds()))
	for name, all := range theirs {
		b.report.add(name, median(all).Seconds(), fmt.Sprintf("median of %d", len(all)))
	}
	b.report.addRatio(initialKey(t), "tar_"+string(t)+"_s")
	if t == t1 {
		b.plainNames(files, median(initial), theirs["tar_t1_s"])
	}
	if len(resume) > 0 {
		b.report.add(resumeKey(t), median(resume).Seconds(), fmt.Sprintf(note, len(resume), seconds(resume), median(again).Seconds()))
	}
	return nil
}

// plainNames reports the first sync of T1 under the names without a tree, too.
func (b *bench) plainNames(files int, initial time.Duration, tar []time.Duration) {
	b.report.add("initial_files", float64(files), "files of t1")
	b.report.add("initial_s", initial.Seconds(), "initial_t1_s")
	if len(tar) > 0 {
		b.report.add("tar_exec_s", median(tar).Seconds(), "tar_t1_s")
		b.report.addRatio("initial_s", "tar_exec_s")
	}
}

// peersStart lets the peers bring the tree to the pod. The slower ones of the
// larger tree do it once.
func (b *bench) peersStart(ctx context.Context, s *session, theirs map[string][]time.Duration) error {
	for _, p := range transfers() {
		name := p.peer + "_" + string(s.tree) + "_s"
		once := s.tree == t2 && p.peer != "tar"
		again := "rsync_resume_" + string(s.tree) + "_s"
		plain := s.tree == t1 && (b.wants("tar_exec_s") || b.wants("initial_ratio"))
		wanted := b.wants(name) || p.peer == "tar" && (plain || b.wants(ratio(initialKey(s.tree)))) || p.peer == "rsync" && b.wants(again)
		if !wanted || once && len(theirs[name]) > 0 {
			continue
		}
		dir, err := b.folder(ctx, s, p.peer)
		if err != nil {
			return err
		}
		took, err := p.copy(b, ctx, s, dir)
		if errors.Is(err, exec.ErrNotFound) {
			b.report.say("left out: %s: %v", name, err)
			continue
		}
		if err != nil {
			return err
		}
		theirs[name] = append(theirs[name], took)
		if p.peer != "rsync" {
			continue
		}
		if took, _, err = b.rsync(ctx, s, dir); err != nil {
			return err
		}
		theirs[again] = append(theirs[again], took)
	}
	return nil
}

// restart ends `up`, kills the agent, and starts `up` again in the same pod.
func (b *bench) restart(ctx context.Context, s *session) (*session, error) {
	sidecar, err := s.sidecar()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.End(), settle(ctx)); err != nil {
		return nil, err
	}
	if err := syscall.Kill(int(sidecar), syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("killing the agent: %w", err)
	}
	if err := b.sidecarRuns(ctx, s); err != nil {
		return nil, err
	}
	return b.up(ctx, session{workload: s.workload, dir: s.dir, tree: s.tree, via: s.via})
}

// sidecarRuns waits until the cluster says that the sidecar runs again.
func (b *bench) sidecarRuns(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	condition := fmt.Sprintf(`jsonpath={.status.initContainerStatuses[?(@.name=="%s")].restartCount}=1`, config.SidecarContainer)
	if _, err := b.lab.Kubectl(ctx, "", "wait", "--for="+condition, "pod/"+s.pod, "--timeout=90s"); err != nil {
		return err
	}
	_, err := b.lab.Kubectl(ctx, "", "wait", "--for=condition=Ready", "pod/"+s.pod, "--timeout=90s")
	return err
}
