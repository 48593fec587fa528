package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// starting compares `up` with a plain restart of the same workload, in turns.
func (b *bench) starting(ctx context.Context) error {
	if err := b.leave(ctx); err != nil {
		return err
	}
	dir := filepath.Join(b.lab.Home, "small")
	if err := smallTree(dir); err != nil {
		return err
	}
	var restarts, ups []time.Duration
	for range b.runs {
		began := time.Now()
		if _, err := b.lab.Kubectl(ctx, "", "rollout", "restart", "deploy/"+workload); err != nil {
			return err
		}
		if err := b.lab.Ready(ctx, "deploy/"+workload); err != nil {
			return err
		}
		restarts = append(restarts, time.Since(began))
		s, err := b.up(ctx, session{workload: workload, dir: dir})
		if err != nil {
			return err
		}
		ups = append(ups, s.ready)
		if err := b.leave(ctx); err != nil {
			return err
		}
	}
	b.report.add("up_ready_s", median(ups).Seconds(), fmt.Sprintf("start of up to the first output of its command, 400 files, median of %d", b.runs))
	b.report.add("up_ready_max_s", quantile(ups, 1).Seconds(), "the slowest of these")
	b.report.add("pod_restart_s", median(restarts).Seconds(), "kubectl rollout restart to Ready, the same pod")
	b.report.add("up_ratio", median(ups).Seconds()/median(restarts).Seconds(), "up_ready_s over pod_restart_s")
	return nil
}

// smallTree makes a folder with 400 files of 4 KiB.
func smallTree(dir string) error {
	const files, folders, size = 400, 40, 4 << 10
	random := rand.NewChaCha8([32]byte{})
	for i := range files {
		file := filepath.Join(dir, fmt.Sprintf("d%02d", i%folders), fmt.Sprintf("f%04d.txt", i))
		content := make([]byte, size)
		_, _ = random.Read(content) // never fails
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
