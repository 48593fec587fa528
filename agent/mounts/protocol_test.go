package mounts

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame/frametest"
)

// TestProtocolIsSpecified expects each type and limit with its number in
// PROTOCOL.md: the two programs may be of different ages.
func TestProtocolIsSpecified(t *testing.T) {
	spec := frametest.Specified(t, int(Told))
	for name, value := range map[string]int{"MaxPaths": MaxPaths, "MaxFiles": MaxFiles, "MaxContent": MaxContent, "MaxName": MaxName, "MaxProblem": MaxProblem} {
		if row := fmt.Sprintf("| `%s` | %d | ", name, value); !strings.Contains(spec, row) {
			t.Errorf("PROTOCOL.md has no %q", row)
		}
	}
	if MaxAsk != 256<<10 || MaxTold != 8<<20 {
		t.Errorf("the frames have at most %d and %d bytes", MaxAsk, MaxTold)
	}
}

func TestMountTravels(t *testing.T) {
	want := Mount{
		Path: "/etc/app", Unreadable: []string{"key"},
		Files: []File{{Name: "a/b", Mode: 0o640, Content: []byte("\x00\xff")}, {Name: "c..d", Mode: 0o444}},
	}
	b, err := NewMount(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadMount(bytes.NewReader(b))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	large := Mount{Path: "/x", Single: true, Files: []File{{Content: make([]byte, MaxContent)}}}
	if b, err = NewMount(large); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMount(bytes.NewReader(b)); err != nil {
		t.Error(err)
	}
}

// What a hostile pod may tell is not taken.
func TestVerifyRefuses(t *testing.T) {
	file := func(name string) Mount { return Mount{Path: "/m", Files: []File{{Name: name}}} }
	for name, m := range map[string]Mount{
		"parent":          file("../x"),
		"parent inside":   file("a/../../x"),
		"absolute":        file("/etc/passwd"),
		"nothing":         file(""),
		"itself":          file("."),
		"not clean":       file("a//b"),
		"the kubelet's":   file("..data/x"),
		"two dots":        file("..x"),
		"setuid":          {Path: "/m", Files: []File{{Name: "x", Mode: 0o4755}}},
		"a link":          {Path: "/m", Files: []File{{Name: "x", Mode: os.ModeSymlink | 0o777}}},
		"many":            {Path: "/m", Files: make([]File, MaxFiles+1)},
		"deep":            file(strings.Repeat("a/", MaxName/2-1) + "a" + strings.Repeat("a", MaxName)),
		"many folders":    {Path: "/m", Files: slices.Repeat([]File{{Name: strings.Repeat("a/", 100) + "a"}}, MaxFiles/100+1)},
		"long problem":    {Path: "/m", Problem: strings.Repeat("x", MaxProblem+1)},
		"hidden":          {Path: "/m", Unreadable: []string{"../x"}},
		"large":           {Path: "/m", Files: []File{{Name: "x", Content: make([]byte, MaxContent)}}},
		"single and many": {Path: "/m", Single: true, Files: make([]File, 2)},
		"single, named":   {Path: "/m", Single: true, Files: []File{{Name: "x"}}},
		"problem, files":  {Path: "/m", Problem: "p", Files: []File{{Name: "x"}}},
	} {
		if err := m.Verify(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestReadRequestRefuses(t *testing.T) {
	for name, r := range map[string]Request{
		"relative": {Paths: []string{"etc"}},
		"zero":     {Paths: []string{"/a\x00b"}},
		"many":     {Paths: make([]string, MaxPaths+1)},
	} {
		b, err := NewRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRequest(bytes.NewReader(b)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := ReadRequest(strings.NewReader("\x02\x00\x00\x00\x02{}")); err == nil {
		t.Error("a mount is taken for a request")
	}
}

func FuzzReadMount(f *testing.F) {
	if b, err := NewMount(Mount{Path: "/m", Files: []File{{Name: "a", Mode: 0o644, Content: []byte("x")}}}); err == nil {
		f.Add(b[frame.HeaderSize:])
	}
	f.Add([]byte(`{"path":"/m","files":[{"name":"../x","mode":2147484159}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := ReadMount(bytes.NewReader(frame.New(Told, payload)))
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if strings.Contains("/"+file.Name+"/", "/../") || strings.HasPrefix(file.Name, "/") {
				t.Fatalf("%q is taken", file.Name)
			}
		}
	})
}
