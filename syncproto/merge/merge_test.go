package merge

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

func file(content string, mode uint32) tree.Entry {
	return tree.Entry{Type: syncproto.EntryFile, Mode: mode, Size: int64(len(content)), Digest: tree.Sum([]byte(content))}
}

func dir(mode uint32) tree.Entry { return tree.Entry{Type: syncproto.EntryDir, Mode: mode} }

func link(target string) tree.Entry {
	return tree.Entry{Type: syncproto.EntrySymlink, Target: target}
}

func now() time.Time { return time.Date(2026, 11, 20, 19, 17, 30, 0, time.UTC) }

const stamp = "20261120-191730"

func view(t tree.Tree) View { return func(p string) tree.Entry { return t[p] } }

// input merges every path of three trees.
func input(base, laptop, pod tree.Tree, first bool) Input {
	in := Input{Base: view(base), Laptop: view(laptop), Pod: view(pod), First: first, Now: now()}
	for _, t := range []tree.Tree{base, laptop, pod} {
		in.Paths = append(in.Paths, t.Paths()...)
	}
	return in
}

// describe writes changes for comparison: operation, path, and marks for what
// else matters.
func describe(changes []Change) []string {
	var out []string
	for _, c := range changes {
		s := []string{"", "put", "delete", "mkdir", "symlink", "chmod"}[c.Op] + " " + c.Path
		if c.From != "" {
			s += " from " + c.From
		}
		if c.Keep {
			s += " keep"
		}
		if c.Agree {
			s += " agree"
		}
		out = append(out, s)
	}
	return out
}

// TestTable goes through every cell of the merge table in SPEC.md.
func TestTable(t *testing.T) {
	b, x, y := file("base", 0o644), file("x", 0o644), file("y", 0o644)
	bx, xx := file("base", 0o755), file("x", 0o755)
	podCopy := "p.conflict-pod-" + stamp
	none := tree.Entry{}
	tests := []struct {
		name         string
		base, l, p   tree.Entry
		first        bool
		laptop, pod  []string
		agreed       bool
		conflictCopy string
	}{
		{name: "unchanged", base: b, l: b, p: b},
		{name: "both the same new", l: x, p: x, agreed: true},
		{name: "both the same edit", base: b, l: x, p: x, agreed: true},
		{name: "both deleted", base: b, agreed: true},
		{name: "laptop edit", base: b, l: x, p: b, pod: []string{"put p agree"}},
		{name: "pod edit", base: b, l: b, p: y, laptop: []string{"put p agree"}},
		{name: "laptop delete", base: b, p: b, pod: []string{"delete p agree"}},
		{name: "pod delete", base: b, l: b, laptop: []string{"delete p agree"}},
		{name: "laptop edit, pod delete", base: b, l: x, pod: []string{"put p agree"}},
		{name: "laptop delete, pod edit", base: b, p: y, laptop: []string{"put p agree"}},
		{name: "laptop new", l: x, pod: []string{"put p agree"}},
		{name: "pod new", p: y, laptop: []string{"put p agree"}},
		{name: "laptop new, first", l: x, first: true, pod: []string{"put p agree"}},
		{name: "pod new, first", p: y, first: true, laptop: []string{"put p agree"}},
		{name: "both new", l: x, p: y, pod: []string{"put " + podCopy + " from p", "put p keep agree"}, conflictCopy: podCopy},
		{name: "both new, first", l: x, p: y, first: true, pod: []string{"put p keep agree"}},
		{name: "both edit", base: b, l: x, p: y, pod: []string{"put " + podCopy + " from p", "put p keep agree"}, conflictCopy: podCopy},
		{name: "both edit, first meeting not over", base: b, l: x, p: y, first: true,
			pod: []string{"put " + podCopy + " from p", "put p keep agree"}, conflictCopy: podCopy},
		{name: "laptop delete, first meeting not over", base: b, p: b, first: true, pod: []string{"delete p agree"}},
		{name: "same content, laptop mode", base: b, l: xx, p: x, pod: []string{"chmod p agree"}},
		{name: "same content, pod mode", base: b, l: x, p: xx, laptop: []string{"chmod p agree"}},
		{name: "same content, modes of a first meeting", l: x, p: xx, first: true, pod: []string{"chmod p agree"}},
		{name: "laptop mode, pod content", base: b, l: bx, p: y, laptop: []string{"put p"}, pod: []string{"chmod p"}},
		{name: "laptop content, pod mode", base: b, l: x, p: bx, laptop: []string{"chmod p"}, pod: []string{"put p"}},
		{name: "laptop chmod", base: b, l: bx, p: b, pod: []string{"chmod p agree"}},
		{name: "symlink over file", base: b, l: link("t"), p: b, pod: []string{"symlink p agree"}},
		{name: "symlink and file", base: b, l: link("t"), p: y,
			pod: []string{"put " + podCopy + " from p", "symlink p keep agree"}, conflictCopy: podCopy},
		{name: "file to folder", base: b, l: dir(0o755), p: b, pod: []string{"delete p", "mkdir p agree"}},
		{name: "folder to file", base: dir(0o755), l: x, p: dir(0o755), pod: []string{"delete p", "put p agree"}},
		{name: "folder here, file there", l: dir(0o755), p: y,
			pod: []string{"put " + podCopy + " from p", "delete p keep", "mkdir p agree"}, conflictCopy: podCopy},
		{name: "file here, folder there, first", l: x, p: dir(0o755), first: true,
			laptop:       []string{"put p.conflict-laptop-" + stamp + " from p", "delete p keep", "mkdir p agree"},
			conflictCopy: "p.conflict-laptop-" + stamp},
		{name: "folder modes", base: dir(0o755), l: dir(0o755), p: dir(0o700), laptop: []string{"chmod p agree"}},
		{name: "folder that locks out its owner", l: dir(0o555), pod: []string{"mkdir p", "chmod p agree"}},
		{name: "nothing anywhere", base: none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			trees := [3]tree.Tree{{}, {}, {}}
			for i, e := range []tree.Entry{tt.base, tt.l, tt.p} {
				trees[i].Set("p", e)
			}
			plan := Reconcile(input(trees[0], trees[1], trees[2], tt.first))
			if d := cmp.Diff(tt.laptop, describe(plan.Laptop)); d != "" {
				t.Errorf("laptop: %s", d)
			}
			if d := cmp.Diff(tt.pod, describe(plan.Pod)); d != "" {
				t.Errorf("pod: %s", d)
			}
			if (len(plan.Agreed) > 0) != tt.agreed {
				t.Errorf("agreed: %+v", plan.Agreed)
			}
			var copies string
			for _, c := range plan.Conflicts {
				copies += c.Copy
			}
			if copies != tt.conflictCopy {
				t.Errorf("conflict copy %q, want %q", copies, tt.conflictCopy)
			}
		})
	}
}

// TestFolders covers what one path cannot show.
func TestFolders(t *testing.T) {
	d, f := dir(0o755), file("f", 0o644)
	tests := []struct {
		name           string
		base, l, p     tree.Tree
		laptop, podOps []string
	}{
		{
			name: "a deleted folder goes with its content, children first",
			base: tree.Tree{"a": d, "a/b": d, "a/b/f": f, "a/g": f}, l: tree.Tree{},
			p:      tree.Tree{"a": d, "a/b": d, "a/b/f": f, "a/g": f},
			podOps: []string{"delete a/b/f agree", "delete a/g agree", "delete a/b agree", "delete a agree"},
		}, {
			name: "a new file keeps a deleted folder alive",
			base: tree.Tree{"a": d, "a/f": f}, l: tree.Tree{},
			p:      tree.Tree{"a": d, "a/f": f, "a/new": f},
			laptop: []string{"mkdir a agree", "put a/new agree"},
			podOps: []string{"delete a/f agree"},
		}, {
			name: "a new file keeps a folder that became a file",
			base: tree.Tree{"a": d, "a/f": f}, l: tree.Tree{"a": file("now a file", 0o644)},
			p:      tree.Tree{"a": d, "a/f": f, "a/new": f},
			laptop: []string{"put a.conflict-laptop-" + stamp + " from a", "delete a keep", "mkdir a agree", "put a/new agree"},
			podOps: []string{"delete a/f agree"},
		}, {
			name: "a folder that becomes a file is cleared first, its neighbours are not",
			base: tree.Tree{"a": d, "a/f": f, "a-b": d, "a-b/f": f}, l: tree.Tree{"a": file("x", 0o644), "a-b": link("y")},
			p:      tree.Tree{"a": d, "a/f": f, "a-b": d, "a-b/f": f},
			podOps: []string{"delete a/f agree", "delete a-b/f agree", "delete a-b", "delete a", "put a agree", "symlink a-b agree"},
		}, {
			name: "a rename puts before it deletes",
			base: tree.Tree{"a": d, "a/f": f}, l: tree.Tree{"b": d, "b/f": f}, p: tree.Tree{"a": d, "a/f": f},
			podOps: []string{"mkdir b agree", "put b/f agree", "delete a/f agree", "delete a agree"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := Reconcile(input(tt.base, tt.l, tt.p, false))
			if d := cmp.Diff(tt.laptop, describe(plan.Laptop)); d != "" {
				t.Errorf("laptop: %s", d)
			}
			if d := cmp.Diff(tt.podOps, describe(plan.Pod)); d != "" {
				t.Errorf("pod: %s", d)
			}
		})
	}
}

// TestAncestors makes sure that a path brings the folders it needs into the
// merge even when nobody asked about them.
func TestAncestors(t *testing.T) {
	d, f := dir(0o755), file("f", 0o644)
	in := input(tree.Tree{"a": d}, tree.Tree{}, tree.Tree{"a": d, "a/new": f}, false)
	in.Paths = []string{"a/new"}
	if diff := cmp.Diff([]string{"mkdir a agree", "put a/new agree"}, describe(Reconcile(in).Laptop)); diff != "" {
		t.Error(diff)
	}
}

func TestNoModes(t *testing.T) {
	base := tree.Tree{"f": file("b", 0o755)}
	laptop := tree.Tree{"f": file("b", 0), "new": file("n", 0)}
	pod := tree.Tree{"f": file("b", 0o755)}
	in := input(base, laptop, pod, false)
	in.NoLaptopModes = true
	plan := Reconcile(in)
	if len(plan.Pod) != 1 || plan.Pod[0].Path != "new" || plan.Pod[0].Entry.Mode != 0o644 || len(plan.Laptop) != 0 {
		t.Errorf("laptop %v, pod %v", describe(plan.Laptop), describe(plan.Pod))
	}
	in = input(tree.Tree{"f": file("b", 0o644)}, tree.Tree{"f": file("b", 0o755)}, tree.Tree{"f": file("b", 0o777)}, false)
	in.NoPodModes = true
	if plan := Reconcile(in); len(plan.Pod)+len(plan.Laptop) != 0 {
		t.Errorf("laptop %v, pod %v", describe(plan.Laptop), describe(plan.Pod))
	}
}

func TestCopyName(t *testing.T) {
	free := func(string) bool { return false }
	long := strings.Repeat("n", 250)
	tests := []struct{ path, want string }{
		{"f.txt", "f.conflict-pod-" + stamp + ".txt"},
		{"a.b/f", "a.b/f.conflict-pod-" + stamp},
		{".env", ".env.conflict-pod-" + stamp},
		{"a/.env.local", "a/.env.conflict-pod-" + stamp + ".local"},
		{long + ".go", long[:255-len(".conflict-pod-"+stamp)-3] + ".conflict-pod-" + stamp + ".go"},
		{"x." + long, "x.conflict-pod-" + stamp},
		{strings.Repeat("é", 125) + ".go", strings.Repeat("é", 111) + ".conflict-pod-" + stamp + ".go"},
		{"x" + strings.Repeat("é", 125) + ".go", "x" + strings.Repeat("é", 111) + ".conflict-pod-" + stamp + ".go"},
		{strings.Repeat("\xff", 250), strings.Repeat("\xff", 255-len(".conflict-pod-"+stamp)) + ".conflict-pod-" + stamp},
		{strings.Repeat("\x80", 250), strings.Repeat("\x80", 255-len(".conflict-pod-"+stamp)) + ".conflict-pod-" + stamp},
	}
	for _, tt := range tests {
		got := copyName(tt.path, Pod, now(), free)
		if got != tt.want || syncproto.VerifyPath(got) != nil || !IsCopy(got) {
			t.Errorf("copyName(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
	taken := map[string]bool{"f.conflict-laptop-" + stamp: true, "f.conflict-laptop-" + stamp + "-2": true}
	if got := copyName("f", Laptop, now(), func(p string) bool { return taken[p] }); got != "f.conflict-laptop-"+stamp+"-3" {
		t.Errorf("taken: %q", got)
	}
}
