package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// swapping measures how long a development pod takes from its request to
// Running, beside the pod of a plain restart in the same turn, and how long the
// original takes to be back.
func (b *bench) swapping(ctx context.Context) error {
	if err := b.leave(ctx); err != nil {
		return err
	}
	dir := filepath.Join(b.lab.Home, "swapped")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var plain, swaps, restores []time.Duration
	for range b.runs {
		took, err := b.podStart(ctx, func() error {
			_, err := b.lab.Kubectl(ctx, "", "rollout", "restart", "deploy/"+workload)
			return err
		})
		if err != nil {
			return err
		}
		if err := b.lab.Ready(ctx, "deploy/"+workload); err != nil {
			return err
		}
		plain = append(plain, took)
		var s *session
		took, err = b.podStart(ctx, func() (err error) {
			s, err = b.up(ctx, session{workload: workload, dir: dir})
			return err
		})
		if err != nil {
			return err
		}
		swaps = append(swaps, took)
		b.current = nil
		if err := s.End(); err != nil {
			return err
		}
		began := time.Now()
		if err := b.down(ctx, s); err != nil {
			return err
		}
		restores = append(restores, time.Since(began))
	}
	b.report.add("swap_s", median(swaps).Seconds(), fmt.Sprintf("request to Running of the development pod, image present, median of %d: %s", b.runs, seconds(swaps)))
	b.report.add("pod_start_s", median(plain).Seconds(), "the same of the pod of a plain restart: "+seconds(plain))
	b.report.add("swap_ratio", median(swaps).Seconds()/median(plain).Seconds(), "swap_s over pod_start_s")
	b.report.add("restore_s", median(restores).Seconds(), "start of down to the original Ready: "+seconds(restores))
	return nil
}

// podStart returns how long the pod that start requests takes from its first
// sight to Running.
func (b *bench) podStart(ctx context.Context, start func() error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	old, err := b.lab.Kubectl(ctx, "", "get", "pods", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "kubectl", "--context", b.lab.Context, "-n", b.lab.Namespace, "get", "pods", "--watch",
		"-o", `jsonpath={.metadata.name} {.status.phase}{"\n"}`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() { // the pod that there is, from when on the watch works
		return 0, fmt.Errorf("watching pods: %w", lines.Err())
	}
	took := make(chan time.Duration, 1)
	go func() {
		defer close(took)
		var name string
		var seen time.Time
		for lines.Scan() {
			pod, phase, _ := strings.Cut(lines.Text(), " ")
			switch {
			case strings.Contains(old, pod):
			case name == "":
				name, seen = pod, time.Now()
			case pod == name && phase == "Running":
				took <- time.Since(seen)
				return
			}
		}
	}()
	if err := start(); err != nil {
		return 0, err
	}
	t, ok := <-took
	if !ok {
		return 0, fmt.Errorf("no pod ran: %w", ctx.Err())
	}
	return t, nil
}
