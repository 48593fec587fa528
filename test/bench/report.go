package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one measured number.
type figure struct {
	value float64
	note  string
}

// report collects figures by key.
type report struct {
	figures map[string]figure
	// lines are said below the table.
	lines []string
	// log hears of each figure at once.
	log io.Writer
}

func newReport(log io.Writer) *report { return &report{figures: map[string]figure{}, log: log} }

// add notes a figure. The note says how it came about, where the key does not.
func (r *report) add(name string, value float64, note string) {
	k, err := find(name)
	if err != nil {
		panic(err) // a name in this package, which a test covers
	}
	r.figures[name] = figure{value, note}
	fmt.Fprintf(r.log, "%s  %s = %s %s\n", time.Now().Format(time.TimeOnly), name, show(value), k.unit)
}

// addRatio notes the quotient of a figure in seconds and a peer's.
func (r *report) addRatio(seconds, peer string) {
	ours, have := r.figures[seconds]
	theirs, too := r.figures[peer]
	if have && too {
		r.add(ratio(seconds), ours.value/theirs.value, seconds+" over "+peer)
	}
}

// say adds a line below the table, such as why something was left out.
func (r *report) say(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
	fmt.Fprintf(r.log, format+"\n", args...)
}

// table prints the figures beside their targets and the peers'.
func (r *report) table(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tOURS\tTARGET\tMET\tPEERS\tNOTE")
	for _, k := range ours() {
		f, measured := r.figures[k.name]
		beside := r.beside(k)
		if !measured && beside == "" {
			continue
		}
		value := ""
		if measured {
			value = strings.TrimSpace(show(f.value) + " " + k.unit)
		}
		target, met := k.judge(f, measured)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.name, value, target, met, beside, f.note)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, line := range r.lines {
		fmt.Fprintln(out, line)
	}
	return nil
}

// beside renders the peers' figures for a key of ours.
func (r *report) beside(k key) string {
	var all []string
	for _, p := range peers() {
		if f, ok := r.figures[p.name]; ok && p.of == k.name {
			all = append(all, p.peer+" "+show(f.value))
		}
	}
	return strings.Join(all, ", ")
}

// write writes the figures as one flat JSON object.
func (r *report) write(file string) error {
	flat := map[string]float64{}
	for name, f := range r.figures {
		flat[name] = f.value
	}
	data, err := json.MarshalIndent(flat, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// show renders a number with three digits, or all of a large one.
func show(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// quantile returns the smallest value that at least the share q of all values
// does not exceed.
func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

func median(values []time.Duration) time.Duration { return quantile(values, 0.5) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// seconds renders durations for a note.
func seconds(values []time.Duration) string {
	var all []string
	for _, v := range values {
		all = append(all, fmt.Sprintf("%.2f", v.Seconds()))
	}
	return strings.Join(all, " ")
}
