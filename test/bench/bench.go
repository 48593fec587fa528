package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// figure is one measured number under its key.
type figure struct {
	key   string
	value float64
	note  string
}

// report collects figures in the order in which they were measured.
type report struct{ figures []figure }

func (r *report) add(key string, value float64, note string) {
	r.figures = append(r.figures, figure{key, value, note})
	fmt.Fprintf(os.Stderr, "%s = %.4g\n", key, value)
}

func (r *report) get(key string) float64 {
	for _, f := range r.figures {
		if f.key == key {
			return f.value
		}
	}
	return 0
}

func (r *report) write(file string) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	flat := map[string]float64{}
	for _, f := range r.figures {
		fmt.Fprintf(table, "%s\t%.4g\t%s\n", f.key, f.value, f.note)
		flat[f.key] = f.value
	}
	if err := table.Flush(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(flat, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// run measures everything and always removes what it made.
func run(ctx context.Context, out string, runs, edits int) (err error) {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	l, err := lab.Open(ctx, root, "okteto-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(ctx)) }()
	var r report
	agent, err := os.Stat(filepath.Join(root, "bin", "agent"))
	if err != nil {
		return err
	}
	r.add("agent_bytes", float64(agent.Size()), "size of the agent binary")
	if err := deploy(ctx, l); err != nil {
		return err
	}
	if err := measureUp(ctx, l, &r, runs); err != nil {
		return err
	}
	if err := measureEdits(ctx, l, &r, edits); err != nil {
		return err
	}
	if err := measureInitial(ctx, l, &r); err != nil {
		return err
	}
	return r.write(out)
}

// measureUp compares `up` with a plain restart of the same workload, in turns.
func measureUp(ctx context.Context, l *lab.Lab, r *report, runs int) error {
	src, err := tree(filepath.Join(l.Home, "small"), 400, 4<<10)
	if err != nil {
		return err
	}
	var restarts, ups []time.Duration
	for range runs {
		d, err := restart(ctx, l)
		if err != nil {
			return err
		}
		restarts = append(restarts, d)
		start := time.Now()
		s, err := up(ctx, l, src, "cat")
		if err != nil {
			return err
		}
		if err := s.Stdout.Await(ctx, "ready\n"); err != nil {
			return fmt.Errorf("%w\n%s", err, s.Stderr)
		}
		ups = append(ups, time.Since(start))
		if err := down(ctx, l, src, s); err != nil {
			return err
		}
	}
	r.add("up_ready_s", quantile(ups, 0.5).Seconds(), "start of up to the first output of its command, 400 files, median")
	r.add("up_ready_max_s", quantile(ups, 1).Seconds(), "the slowest of these")
	r.add("pod_restart_s", quantile(restarts, 0.5).Seconds(), "kubectl rollout restart to Ready, median")
	r.add("up_ratio", r.get("up_ready_s")/r.get("pod_restart_s"), "up_ready_s over pod_restart_s")
	return nil
}

// measureEdits times saves until a reader in the pod sees them. The reader's
// loop and the way of its answer back are part of the figure.
func measureEdits(ctx context.Context, l *lab.Lab, r *report, edits int) error {
	const files = 2000
	const reader = `while read -r file token; do
  until read -r got < "$file" && [ "$got" = "$token" ]; do :; done 2>/dev/null
  echo "seen $token"
done`
	src, err := tree(filepath.Join(l.Home, "edited"), files, 4<<10)
	if err != nil {
		return err
	}
	s, err := up(ctx, l, src, reader)
	if err != nil {
		return err
	}
	if err := s.Stdout.Await(ctx, "ready\n"); err != nil {
		return fmt.Errorf("%w\n%s", err, s.Stderr)
	}
	var took []time.Duration
	for i := range edits {
		file, token := fileName(i*7%files), fmt.Sprintf("token-%d", i)
		if _, err := fmt.Fprintln(s.Stdin, file, token); err != nil {
			return err
		}
		// The reader has to wait before the clock starts.
		time.Sleep(30 * time.Millisecond)
		start := time.Now()
		if err := os.WriteFile(filepath.Join(src, file), []byte(token+"\n"), 0o644); err != nil {
			return err
		}
		if err := s.Stdout.Await(ctx, "seen "+token+"\n"); err != nil {
			return err
		}
		took = append(took, time.Since(start))
	}
	r.add("edit_p50_ms", milliseconds(quantile(took, 0.5)), "save until a reader in the pod sees it, 2,000 files")
	r.add("edit_p95_ms", milliseconds(quantile(took, 0.95)), "")
	return down(ctx, l, src, s)
}

// measureInitial compares the first sync of the Go distribution's sources
// with tar through kubectl exec.
func measureInitial(ctx context.Context, l *lab.Lab, r *report) error {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	src := filepath.Join(l.Home, "src")
	if err := os.CopyFS(src, os.DirFS(filepath.Join(strings.TrimSpace(string(goroot)), "src"))); err != nil {
		return err
	}
	files, err := countFiles(src)
	if err != nil {
		return err
	}
	s, err := up(ctx, l, src, "cat")
	if err != nil {
		return err
	}
	if err := s.Stderr.Await(ctx, "connected"); err != nil {
		return err
	}
	start := time.Now()
	if err := s.Stderr.Await(ctx, "synchronized"); err != nil {
		return err
	}
	initial := time.Since(start)
	if err := s.Stdout.Await(ctx, "ready\n"); err != nil {
		return err
	}
	tar, err := tarExec(ctx, l, src)
	if err != nil {
		return err
	}
	r.add("initial_files", float64(files), "files in the tree: Go's src")
	r.add("initial_s", initial.Seconds(), "first sync of it")
	r.add("tar_exec_s", tar.Seconds(), "tar | kubectl exec tar of it")
	r.add("initial_ratio", initial.Seconds()/tar.Seconds(), "initial_s over tar_exec_s")
	return down(ctx, l, src, s)
}

// quantile returns the smallest value that at least the share q of all values
// does not exceed.
func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
