package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKeys holds every key to one measurement, and every peer's to one of ours.
func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range slices.Concat(ours(), peers()) {
		if seen[k.name] {
			t.Errorf("%s is there twice", k.name)
		}
		seen[k.name] = true
		var by []string
		for _, m := range measurements() {
			if slices.Contains(m.matching(), k) {
				by = append(by, m.keys)
			}
		}
		if len(by) != 1 {
			t.Errorf("%s is measured by %q, want exactly one", k.name, by)
		}
		if k.of == "" {
			continue
		}
		if of, err := find(k.of); err != nil || of.of != "" || of.unit != k.unit {
			t.Errorf("%s stands beside %s, which is %+v, %v", k.name, k.of, of, err)
		}
	}
	for _, m := range measurements() {
		if len(m.matching()) == 0 {
			t.Errorf("%s yields no key", m.keys)
		}
	}
}

// TestReport looks at the table and the file.
func TestReport(t *testing.T) {
	r := newReport(io.Discard)
	r.add("initial_t1_s", 2, "a note")
	r.add("tar_t1_s", 4, "")
	r.addRatio("initial_t1_s", "tar_t1_s")
	r.addRatio("initial_t2_s", "tar_t2_s") // not measured
	r.add("resume_t1_s", 0.5, "")
	r.say("left out: %s", "rsync")
	var out bytes.Buffer
	if err := r.table(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"initial_t1_s", "2", "s", "tar", "4", "a", "note"},
		{"initial_t1_ratio", "0.5", "<=", "0.5", "yes", "initial_t1_s", "over", "tar_t1_s"},
		{"resume_t1_s", "0.5", "s", "<=", "0.3", "NO"},
		{"left", "out:", "rsync"},
	} {
		found := slices.ContainsFunc(slices.Collect(strings.Lines(out.String())), func(line string) bool {
			return slices.Equal(strings.Fields(line), want)
		})
		if !found {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
	file := filepath.Join(t.TempDir(), "bench.json")
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var flat map[string]float64
	if err := json.Unmarshal(content, &flat); err != nil {
		t.Fatal(err)
	}
	if len(flat) != 4 || flat["initial_t1_ratio"] != 0.5 {
		t.Errorf("the file has %v", flat)
	}
}

func TestQuantile(t *testing.T) {
	values := []time.Duration{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 3, 0.95: 5, 1: 5} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
}

// TestCells counts cells, and neither the test around them nor output.
func TestCells(t *testing.T) {
	passed, failed, err := cells(strings.NewReader(`{"Action":"start","Package":"e2e"}
{"Action":"run","Test":"TestPolicies/none/busybox"}
{"Action":"output","Test":"TestPolicies/none/busybox","Output":"pass"}
{"Action":"pass","Test":"TestPolicies/none/busybox","Elapsed":3.2}
{"Action":"fail","Test":"TestPolicies/none/scratch","Elapsed":1}
{"Action":"pass","Test":"TestPolicies/quota/scratch","Elapsed":1}
{"Action":"pass","Test":"TestPoliciesBesides/mesh","Elapsed":1}
{"Action":"fail","Test":"TestPolicies"}
{"Action":"fail"}
`))
	if err != nil || passed != 2 || !slices.Equal(failed, []string{"none/scratch"}) {
		t.Errorf("passed %d, failed %q, %v", passed, failed, err)
	}
	if _, _, err := cells(strings.NewReader("no JSON")); err == nil {
		t.Error("what is no JSON was read")
	}
}

// TestJudge looks at both kinds of targets.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		k           key
		value       float64
		target, met string
	}{
		{key{target: 10}, 10, "<= 10", "yes"},
		{key{target: 10}, 11, "<= 10", "NO"},
		{key{least: 32}, 32, ">= 32", "yes"},
		{key{least: 32}, 31, ">= 32", "NO"},
		{key{}, 1, "", ""},
	} {
		if target, met := tt.k.judge(figure{value: tt.value}, true); target != tt.target || met != tt.met {
			t.Errorf("%+v, %v: %q, %q", tt.k, tt.value, target, met)
		}
		if _, met := tt.k.judge(figure{}, false); met != "" {
			t.Errorf("%+v, not measured: %q", tt.k, met)
		}
	}
}
