//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

// fault is what goes wrong under an `up` at work: a row of the table in
// docs/reliability.md.
type fault struct {
	// name is what it is called, how what is done, in a few words.
	name, how string
	// before, when not nil, is done before there is a pod, and returns lines that
	// the manifest has more. prepare, when not nil, is done before `up` starts.
	before  func(*place) string
	prepare func(*ordeal)
	// inflict returns when the fault is over; at once, when there is nothing to
	// wait for; when it was felt, when it lasts.
	inflict func(*ordeal)
	// says is what `up` has to say of it; empty for anything.
	says string
	// lasts: recovery is to work as ever while the fault goes on.
	lasts bool
	// restarts: the command's process ends of it, and `up`, or another one, starts
	// it again before inflict returns. Nobody works until then.
	restarts bool
	// alone: the whole cluster suffers, so that no other test may run beside.
	alone bool
}

// faults are all rows, in their order.
func faults() []fault {
	return slices.Concat(networkFaults(), laptopFaults(), podFaults(), machineFaults())
}

// TestFaults inflicts every fault that concerns nobody else, and TestFaultsAlone
// the others, while a command counts and repeats what is typed, and files are
// saved on both sides. With FAULTS they write what they saw into that page, but
// for faults that cost something.
func TestFaults(t *testing.T) {
	t.Parallel()
	inflictAll(t, func(f fault) bool { return !f.alone })
}

func TestFaultsAlone(t *testing.T) { inflictAll(t, func(f fault) bool { return f.alone }) }

func inflictAll(t *testing.T, which func(fault) bool) {
	var mu sync.Mutex
	rows := map[string]string{}
	t.Cleanup(func() {
		if page := os.Getenv("FAULTS"); page != "" {
			writeFaults(t, page, rows)
		}
	})
	for _, f := range faults() {
		if !which(f) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			if !f.alone {
				t.Parallel()
			}
			row := newOrdeal(t, f).undergo()
			t.Log(row)
			if t.Failed() {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			rows[f.name] = row
		})
	}
}

// repeater is the command under a fault. It counts by itself, and repeats what
// is typed, with a count of its own: a line names a file, and is repeated when
// that is there.
const repeater = `echo started
i=0; while :; do i=$((i+1)); echo "tick $i"; sleep 0.1; done &
n=0; while read -r line; do until [ -e "$line" ]; do sleep 0.01; done; n=$((n+1)); echo "line $n $line"; done
kill $!`

// ordeal is an `up` at work while a fault is inflicted on it.
type ordeal struct {
	*trial
	fault
	// proxy is between the plugin and the API server.
	proxy *tunneltest.Proxy

	// mu is held for each bit of work, and by a fault under which there is none.
	mu sync.Mutex
	// typed are the lines, steps counts the bits of work.
	typed []string
	steps int
	// also is what others said than the `up` that runs in the end.
	also string
	// took is how long it was until things went on, from inflict where that waits
	// for it.
	took time.Duration
	// outputs are what the commands of each `up` wrote.
	outputs []fmt.Stringer
	failed  error
}

// newOrdeal brings an `up` to work through a proxy of its own.
func newOrdeal(t *testing.T, f fault) *ordeal {
	t.Helper()
	p := newPlace(t)
	o := &ordeal{fault: f}
	proxy, kubeconfig := p.outage()
	o.proxy = proxy
	lines := manifest
	if f.before != nil {
		lines += f.before(p)
	}
	p.podFromElsewhere(lines)
	o.trial = newTrial(p, "--kubeconfig", kubeconfig)
	if f.prepare != nil {
		f.prepare(o)
	}
	o.begin()
	return o
}

// begin starts `up`, the first one or the next.
func (o *ordeal) begin() {
	o.t.Helper()
	o.up = o.start(slices.Concat([]string{"up"}, o.flags, []string{"--", "sh", "-c", repeater})...)
	o.outputs = append(o.outputs, o.up.Stdout)
	o.up.out("started\n")
}

// undergo inflicts the fault, awaits recovery, looks for what was lost, and
// returns the row of the table.
func (o *ordeal) undergo() string {
	o.t.Helper()
	const before, after = 5, 5
	stop := o.work()
	o.stepped(before)
	o.await(o.step(true))
	up, said := o.up, len(o.up.Stderr.String())
	if o.restarts {
		stop()
	}
	o.inflict(o)
	over := time.Now()
	if o.restarts {
		stop = o.work()
	}
	o.await(o.step(true))
	if o.took == 0 {
		o.took = time.Since(over)
	}
	o.stepped(after)
	stop()
	o.await(o.step(true))
	o.up.err(o.says)
	if up != o.up {
		said = 0
	}
	seen := o.also + "\n" + o.up.Stderr.String()[said:]
	if r := o.flush(); r.code != 0 {
		o.t.Errorf("sync flush: exit code %d\n%s", r.code, r.stderr)
	}
	_ = o.up.Stdin.Close()
	if code := o.up.code(); code != 0 {
		o.t.Errorf("up ended with %d", code)
	}
	o.verify()
	if o.failed != nil {
		o.t.Error(o.failed)
	}
	return o.row(seen, o.heard())
}

// work has both users work until stop is called.
func (o *ordeal) work() (stop func()) {
	const pause = 100 * time.Millisecond
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(pause):
				o.step(false)
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(done)
		<-ended
	})
	o.t.Cleanup(stop)
	return stop
}

// step is a bit of work: the laptop's user saves a file and types its name, the
// pod's saves one. An awaited line is unlike others. It returns the line.
func (o *ordeal) step(awaited bool) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.steps++
	line := fmt.Sprintf("laptop/%d.txt", o.steps)
	if awaited {
		line = fmt.Sprintf("laptop/awaited-%d.txt", o.steps)
	}
	o.laptop.replace(line)
	o.pod.replace(fmt.Sprintf("pod/%d.txt", o.steps))
	if _, err := fmt.Fprintln(o.up.Stdin, line); err != nil && o.failed == nil {
		o.failed = fmt.Errorf("typing: %w", err)
	}
	o.typed = append(o.typed, line)
	return line
}

// await waits until a line was repeated, and so its file is in the pod.
func (o *ordeal) await(line string) {
	o.t.Helper()
	o.up.out(" " + line + "\n")
}

// stepped waits for as many further bits of work.
func (o *ordeal) stepped(more int) {
	o.t.Helper()
	done := func() int {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.steps
	}
	first := done()
	eventually(o.t, "work", func() bool { return done() >= first+more })
}

// without has nobody work while something is done.
func (o *ordeal) without(do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	do()
}

// heard verifies what the commands wrote, and returns how many lines that is:
// each process counts without a gap, and what was typed is repeated once, in
// order. Only a process that ends may take what was typed with it.
func (o *ordeal) heard() (lines int) {
	o.t.Helper()
	var repeated []string
	starts := 0
	for _, output := range o.outputs {
		ticks, n := 0, 0
		for text := range strings.Lines(output.String()) {
			lines++
			var number int
			var line string
			switch text = strings.TrimSuffix(text, "\n"); {
			case text == "started":
				starts++
				ticks, n = 0, 0
			case scan(text, "tick %d", &number):
				if ticks++; number != ticks {
					o.t.Errorf("%q follows tick %d", text, ticks-1)
					ticks = number
				}
			case scan(text, "line %d %s", &number, &line):
				if n++; number != n {
					o.t.Errorf("%q follows line %d", text, n-1)
					n = number
				}
				repeated = append(repeated, line)
			default:
				o.t.Errorf("the command wrote %q", text)
			}
		}
	}
	want := len(o.outputs)
	if o.restarts {
		want = 2
	}
	if starts != want {
		o.t.Errorf("the command was started %d times, want %d", starts, want)
	}
	if !slices.Equal(repeated, o.typed) {
		o.t.Errorf("typed were\n%v\nrepeated\n%v", o.typed, repeated)
	}
	return lines
}

func scan(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}

// row renders what was seen.
func (o *ordeal) row(seen string, lines int) string {
	after := fmt.Sprintf("%.2g s", max(o.took.Seconds(), 0.01))
	if o.took > 10*time.Second {
		after = fmt.Sprintf("%.0f s", o.took.Seconds())
	}
	if o.lasts {
		after += " each time, while it lasts"
	}
	lost := fmt.Sprintf("nothing of %d files and %d lines", len(o.laptop.owed)+len(o.pod.owed), lines)
	seen = strings.ReplaceAll(seen, o.src, "~/shop")
	return fmt.Sprintf("| **%s**: %s | %s | %s | %s |", o.name, o.how, shown(seen), after, lost)
}

// shown renders what `up` said, without what is another each time.
func shown(said string) string {
	duration := regexp.MustCompile(`\s{2,}\d+(\.\d+)? m?s$`)
	pod := regexp.MustCompile(`api-okteto-[0-9a-z]+-[0-9a-z]{5}`)
	local := regexp.MustCompile(`127\.0\.0\.1:\d+(->127\.0\.0\.1:\d+)?`)
	own := regexp.MustCompile(`e2e-[0-9a-f]{6}`)
	runtime := regexp.MustCompile(`[0-9a-f]{64}|"/\S*/netns/\S*"`)
	var all []string
	for line := range strings.Lines(said) {
		line = duration.ReplaceAllString(strings.TrimSpace(line), "")
		line = pod.ReplaceAllString(line, "api-okteto-…")
		line = local.ReplaceAllString(line, "…")
		line = own.ReplaceAllString(line, "shop")
		line = runtime.ReplaceAllString(line, "…")
		if line != "" && !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	if len(all) == 0 {
		return "nothing"
	}
	for i, line := range all {
		all[i] = "`" + strings.ReplaceAll(strings.ReplaceAll(line, "`", "'"), "|", `\|`) + "`"
	}
	return strings.Join(all, "<br>")
}

// writeFaults puts rows into the table of a page, between its markers; those of
// faults that were not inflicted stay.
func writeFaults(t *testing.T, page string, rows map[string]string) {
	t.Helper()
	const begin, end = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(content), begin)
	old, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no lines %q and %q", page, begin, end)
	}
	table := "| fault | what `up` says | goes on after | lost |\n|---|---|--:|---|\n"
	for _, f := range faults() {
		row, inflicted := rows[f.name]
		if !inflicted {
			_, row, inflicted = strings.Cut(old, "| **"+f.name+"**: ")
			row, _, _ = strings.Cut("| **"+f.name+"**: "+row, "\n")
		}
		if inflicted {
			table += row + "\n"
		}
	}
	if err := os.WriteFile(page, []byte(head+begin+table+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
