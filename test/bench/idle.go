package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idleFor is how long nothing changes, after a rest in which both ends finish
// what came before: they save their index half a minute later.
const (
	idleFor = 30 * time.Second
	rest    = 35 * time.Second
)

// idle measures what both ends use while the large tree is in sync and nothing
// changes.
func (b *bench) idle(ctx context.Context) error {
	s, err := b.on(ctx, t2, nil)
	if err != nil {
		return err
	}
	if err := b.flush(ctx, false); err != nil {
		return err
	}
	if err := sleep(ctx, rest); err != nil {
		return err
	}
	laptop := pid(s.Cmd.Process.Pid)
	agents, err := s.agents()
	if errors.Is(err, errElsewhere) {
		b.report.say("left out: idle_cpu_pct and rss_*: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	ends := map[string]pid{"laptop": laptop}
	for role, p := range agents {
		ends[role] = p
	}
	before, err := usage(ends)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := sleep(ctx, idleFor); err != nil {
		return err
	}
	passed := time.Since(began)
	after, err := usage(ends)
	if err != nil {
		return err
	}
	var total time.Duration
	note := ""
	for role := range ends {
		used := after[role] - before[role]
		total += used
		note += fmt.Sprintf(" %s %v,", role, used)
	}
	b.report.add("idle_cpu_pct", 100*total.Seconds()/passed.Seconds(), fmt.Sprintf("of a core, over %.0f s:%s in steps of %v", passed.Seconds(), note, clockTick))
	return b.memory(laptop, agents)
}

// sleep waits unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// usage returns the processor time of each end.
func usage(ends map[string]pid) (map[string]time.Duration, error) {
	all := map[string]time.Duration{}
	for role, p := range ends {
		used, err := p.cpu()
		if err != nil {
			return nil, err
		}
		all[role] = used
	}
	return all, nil
}

// memory notes the resident memory of both ends.
func (b *bench) memory(laptop pid, agents map[string]pid) error {
	now, peak, err := laptop.memory()
	if err != nil {
		return err
	}
	b.report.add("rss_laptop_mib", now, fmt.Sprintf("VmRSS with t2 in sync; peak (VmHWM) %.0f", peak))
	var total float64
	note := ""
	for role, p := range agents {
		if now, peak, err = p.memory(); err != nil {
			return err
		}
		total += now
		note += fmt.Sprintf(" %s %.0f (peak %.0f)", role, now, peak)
	}
	b.report.add("rss_agent_mib", total, "VmRSS of all of the agent's processes:"+note)
	return nil
}
