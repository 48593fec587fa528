package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// mutagen measures Mutagen between two folders of this machine, where it is
// installed.
func (b *bench) mutagen(ctx context.Context) (err error) {
	if _, err := exec.LookPath("mutagen"); err != nil {
		b.report.say("left out: mutagen: %v", err)
		return nil
	}
	if err := b.leave(ctx); err != nil {
		return err
	}
	m := mutagen{data: filepath.Join(b.lab.Home, "mutagen")}
	if err := os.Mkdir(m.data, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.run(context.WithoutCancel(ctx), "daemon", "stop")) }()
	for _, t := range b.wantedOf("mutagen") {
		from, err := b.copyOf(ctx, t)
		if err != nil {
			return err
		}
		to := filepath.Join(m.data, string(t))
		began := time.Now()
		if err := m.run(ctx, "sync", "create", "--no-global-configuration", "--name", string(t), from, to); err != nil {
			return err
		}
		if err := m.run(ctx, "sync", "flush", string(t)); err != nil {
			return err
		}
		b.report.add("mutagen_"+string(t)+"_s", time.Since(began).Seconds(), "one run, creation of the session included")
		if t == t2 {
			if err := b.localEdits(ctx, "mutagen", from, to); err != nil {
				return err
			}
		}
		if err := m.run(ctx, "sync", "terminate", string(t)); err != nil {
			return err
		}
	}
	return nil
}

// mutagen runs the program with a daemon of its own, whose folder is data.
type mutagen struct{ data string }

func (m mutagen) run(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mutagen", args...)
	cmd.Env = append(os.Environ(), "MUTAGEN_DATA_DIRECTORY="+m.data)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mutagen %s: %w: %s", args[0], err, out)
	}
	return nil
}
