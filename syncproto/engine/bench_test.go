//go:build unix

package engine

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// These benchmarks run both ends in this process, over a pipe. Beside the time
// they report the processor time of both ends (cpu-s/op), which other work on
// the machine changes little, and the bytes in both directions (wire-B/op).

// BenchmarkInitial syncs Go's sources into an empty root.
func BenchmarkInitial(b *testing.B) {
	p := newBenchPair(b)
	var c cost
	for b.Loop() {
		b.StopTimer()
		p.reset()
		c.begin(b, p)
		p.session(func(ctx context.Context, l *Leader) {
			flush(ctx, b, l)
			c.end(b, p)
		})
		b.StartTimer()
	}
	c.report(b)
}

// BenchmarkResume begins a session of two new processes that find on disk what
// the last ones left, and nothing changed since.
func BenchmarkResume(b *testing.B) {
	p := newBenchPair(b)
	p.session(func(ctx context.Context, l *Leader) { flush(ctx, b, l) })
	var c cost
	for b.Loop() {
		b.StopTimer()
		c.begin(b, p)
		p.session(func(ctx context.Context, l *Leader) {
			flush(ctx, b, l)
			c.end(b, p)
		})
		b.StartTimer()
	}
	c.report(b)
}

// BenchmarkBurst has another program replace 10,000 files of a tree that is
// in sync, as a git checkout does.
func BenchmarkBurst(b *testing.B) {
	const files = 10_000
	p := newBenchPair(b)
	archive := filepath.Join(b.TempDir(), "burst.tar")
	p.session(func(ctx context.Context, l *Leader) {
		flush(ctx, b, l)
		var c cost
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			if err := archiveChanged(archive, p.laptop, files, fmt.Sprintf("\n// %d\n", i)); err != nil {
				b.Fatal(err)
			}
			c.begin(b, p)
			if out, err := exec.CommandContext(ctx, "tar", "-C", p.laptop, "-xf", archive).CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			flush(ctx, b, l)
			c.end(b, p)
			b.StartTimer()
		}
		c.report(b)
	})
}

// benchPair is two roots and their state folders, and counts what travels
// between them.
type benchPair struct {
	b                  *testing.B
	laptop, pod        string
	leading, following string // state folders
	wire               atomic.Int64
}

// newBenchPair returns a pair whose laptop has a copy of Go's sources.
func newBenchPair(b *testing.B) *benchPair {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skipf("no Go to take a tree from: %v", err)
	}
	p := newEmptyBenchPair(b)
	if err := os.CopyFS(p.laptop, os.DirFS(filepath.Join(strings.TrimSpace(string(goroot)), "src"))); err != nil {
		b.Fatal(err)
	}
	return p
}

// newEmptyBenchPair returns a pair of empty roots.
func newEmptyBenchPair(b *testing.B) *benchPair {
	dir := b.TempDir()
	p := &benchPair{
		b: b, laptop: filepath.Join(dir, "laptop"), pod: filepath.Join(dir, "pod"),
		leading: filepath.Join(dir, "leader"), following: filepath.Join(dir, "follower"),
	}
	if err := os.Mkdir(p.laptop, 0o755); err != nil {
		b.Fatal(err)
	}
	p.reset()
	return p
}

// reset empties the pod and makes both ends forget.
func (p *benchPair) reset() {
	for _, dir := range []string{p.pod, p.leading, p.following} {
		if err := os.RemoveAll(dir); err != nil {
			p.b.Fatal(err)
		}
	}
	if err := os.Mkdir(p.pod, 0o755); err != nil {
		p.b.Fatal(err)
	}
}

// session makes both ends, connects them, and ends them after use.
func (p *benchPair) session(use func(ctx context.Context, l *Leader)) {
	ctx, cancel := context.WithTimeout(p.b.Context(), 10*time.Minute)
	defer cancel()
	l, err := NewLeader(Config{Root: p.laptop, StateDir: p.leading})
	if err != nil {
		p.b.Fatal(err)
	}
	f, err := NewFollower(Config{Root: p.pod, StateDir: p.following})
	if err != nil {
		p.b.Fatal(err)
	}
	here, there := net.Pipe()
	over := make(chan error, 2)
	go func() {
		over <- Accept(ctx, there, func(string) (*Follower, error) { return f, nil })
	}()
	go func() { over <- l.Run(ctx, &countingConn{here, &p.wire}, "/src") }()
	use(ctx, l)
	cancel()
	<-over
	<-over
	if err := l.Close(); err != nil {
		p.b.Fatal(err)
	}
}

func flush(ctx context.Context, b *testing.B, l *Leader) {
	b.Helper()
	if err := l.Flush(ctx); err != nil {
		b.Fatalf("flush: %v, status %+v", err, l.Status())
	}
}

// archiveChanged writes the first files of a root to an archive, each with
// tail added.
func archiveChanged(archive, root string, files int, tail string) error {
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer out.Close()
	w := tar.NewWriter(out)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || files == 0 {
			return err
		}
		files--
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		content = append(content, tail...)
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Now()}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

// countingConn counts the bytes of both directions.
type countingConn struct {
	io.ReadWriteCloser
	n *atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(b)
	c.n.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// cost adds up what the timed parts of a benchmark use.
type cost struct {
	began time.Duration
	cpu   time.Duration
	wire  int64
	times int
}

func (c *cost) begin(b *testing.B, p *benchPair) {
	p.wire.Store(0)
	c.began = cpuTime(b)
	b.StartTimer()
}

func (c *cost) end(b *testing.B, p *benchPair) {
	b.StopTimer()
	c.cpu += cpuTime(b) - c.began
	c.wire += p.wire.Load()
	c.times++
}

func (c *cost) report(b *testing.B) {
	b.ReportMetric(c.cpu.Seconds()/float64(c.times), "cpu-s/op")
	b.ReportMetric(float64(c.wire)/float64(c.times), "wire-B/op")
}

// cpuTime is the processor time of this process, the kernel's part included.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
