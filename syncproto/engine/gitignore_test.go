package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startGit syncs a pair whose .gitignore files count.
func startGit(t *testing.T, p *pair) *session {
	t.Helper()
	p.git = true
	s := p.start()
	p.leader.settleNow(t)
	return s
}

func TestGitIgnore(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, ".gitignore", "*.log\n/out\n!keep.log\n")
	write(t, p.laptop, "a.log", "")
	write(t, p.laptop, "keep.log", "")
	write(t, p.laptop, "out/x", "")
	write(t, p.laptop, "api/.gitignore", "*\n!*.go\n")
	write(t, p.laptop, "api/a.go", "")
	write(t, p.laptop, "api/a.txt", "")
	write(t, p.laptop, ".git/info/exclude", "*.mine\n")
	write(t, p.laptop, "x.mine", "")
	write(t, p.pod, "pod.log", "")
	write(t, p.pod, "api/pod.txt", "")
	s := startGit(t, p)
	defer s.stop()
	for name, want := range map[string]bool{
		".gitignore": true, "keep.log": true, "api/a.go": true,
		"a.log": false, "out": false, "api/.gitignore": false, "api/a.txt": false, "x.mine": false, ".git": false,
	} {
		if exists(p.pod, name) != want {
			t.Errorf("%s in the pod: %v", name, !want)
		}
	}
	if exists(p.laptop, "pod.log") || exists(p.laptop, "api/pod.txt") {
		t.Error("what is ignored came from the pod")
	}
}

// Every source of patterns may change, appear and disappear.
func TestGitIgnoreReload(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, ".gitignore", "*.log\n")
	write(t, p.laptop, "a.log", "laptop")
	write(t, p.laptop, "d/x.tmp", "x")
	s := startGit(t, p)
	defer s.stop()
	steps := []struct {
		name    string
		do      func()
		in, out string // of the pod's tree, separated by spaces
	}{
		{"a pattern goes", func() { write(t, p.laptop, ".gitignore", "") }, "a.log d/x.tmp", ""},
		{"a file appears", func() {
			write(t, p.laptop, "d/.gitignore", "*.tmp\n")
			write(t, p.laptop, "d/y.tmp", "y")
		}, "d/x.tmp d/.gitignore", "d/y.tmp"},
		{"a folder appears", func() {
			write(t, filepath.Dir(p.laptop), "aside/sub/.gitignore", "*\n")
			write(t, filepath.Dir(p.laptop), "aside/sub/z", "z")
			must(t, os.Rename(filepath.Join(filepath.Dir(p.laptop), "aside"), filepath.Join(p.laptop, "aside")))
		}, "aside/sub", "aside/sub/z aside/sub/.gitignore"},
		{"it is renamed", func() { must(t, os.Rename(filepath.Join(p.laptop, "aside"), filepath.Join(p.laptop, "moved"))) }, "moved/sub", "moved/sub/z"},
		{"a file goes", func() { must(t, os.Remove(filepath.Join(p.laptop, "d/.gitignore"))) }, "d/x.tmp d/y.tmp", "d/.gitignore"},
		{"a repository appears", func() {
			write(t, p.laptop, ".git/info/exclude", "*.mine\n")
			p.leader.settleNow(t)
			write(t, p.laptop, "x.mine", "")
		}, "", "x.mine"},
		{"its exclude file changes", func() { write(t, p.laptop, ".git/info/exclude", "*.yours\n") }, "x.mine", ""},
		{"the pod writes one", func() {
			write(t, p.pod, "d/.gitignore", "*.pod\n")
			p.leader.settleNow(t)
			write(t, p.laptop, "d/a.pod", "")
		}, "d/.gitignore", "d/a.pod"},
	}
	for _, step := range steps {
		step.do()
		p.leader.settleNow(t)
		for name := range strings.FieldsSeq(step.in) {
			if !exists(p.pod, name) {
				t.Errorf("%s: %s is not in the pod", step.name, name)
			}
		}
		for name := range strings.FieldsSeq(step.out) {
			if exists(p.pod, name) {
				t.Errorf("%s: %s is in the pod", step.name, name)
			}
		}
	}
}

// A path that becomes ignored is forgotten and not deleted; one that is ignored
// no more is new, and nothing of either side is lost.
func TestIgnoredIsForgotten(t *testing.T) {
	for _, file := range []string{".stignore", ".gitignore"} {
		t.Run(file, func(t *testing.T) {
			p := newPair(t)
			write(t, p.laptop, "both", "one")
			write(t, p.laptop, "gone", "one")
			write(t, p.laptop, file, "other\n")
			s := startGit(t, p)
			defer s.stop()
			write(t, p.laptop, file, "both\ngone\n")
			p.leader.settleNow(t)
			write(t, p.laptop, "both", "laptop's")
			write(t, p.pod, "both", "pod's")
			must(t, os.Remove(filepath.Join(p.laptop, "gone")))
			p.leader.settleNow(t)
			if read(t, p.pod, "both") != "pod's" || !exists(p.pod, "gone") {
				t.Error("an ignored path was touched")
			}
			must(t, os.Remove(filepath.Join(p.laptop, file)))
			p.leader.settleNow(t)
			if read(t, p.laptop, "gone") != "one" {
				t.Error("a path that only the pod has did not come back")
			}
			if read(t, p.pod, "both") != "laptop's" || !strings.Contains(strings.Join(p.leader.Status().Conflicts, " "), "both.conflict-pod") {
				t.Errorf("both in the pod: %q, conflicts: %q", read(t, p.pod, "both"), p.leader.Status().Conflicts)
			}
		})
	}
}

func TestBrokenPatternKeepsThoseBefore(t *testing.T) {
	p := newPair(t)
	write(t, p.laptop, ".stignore", "*.log\n#include more\n")
	write(t, p.laptop, "more", "*.tmp\n")
	s := startGit(t, p)
	defer s.stop()
	write(t, p.laptop, "more", "*.nope\n{a,\n")
	p.leader.settleNow(t)
	write(t, p.laptop, "x.tmp", "")
	write(t, p.laptop, "x.nope", "")
	write(t, p.laptop, ".gitignore", "*.bak\n[a\n")
	p.leader.settleNow(t)
	if exists(p.pod, "x.tmp") || !exists(p.pod, "x.nope") {
		t.Error("the patterns before do not stay")
	}
	if warned(p, `.stignore:2: more:2: "{a,": { without }; the patterns before stay`) != 1 {
		t.Error("nobody said what is wrong")
	}
	write(t, p.laptop, "more", "*.nope\n")
	p.leader.settleNow(t)
	write(t, p.laptop, "x.bak", "")
	p.leader.settleNow(t)
	if !exists(p.pod, "x.tmp") || exists(p.pod, "x.bak") {
		t.Error("the repaired patterns do not count")
	}
	if warned(p, `.gitignore:2: "[a": [ without ]`) != 1 {
		t.Error("nobody said what git makes nothing of")
	}
}

// warned counts the warnings that hold a text.
func warned(p *pair, part string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, e := range p.events {
		if e.Kind == Warning && strings.Contains(e.Detail, part) {
			n++
		}
	}
	return n
}
