package hybrid

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestEnvironment(t *testing.T) {
	laptop := map[string]string{"PATH": "/home/bin", "HOME": "/home/ann", "LC_ALL": "de", "SECRET": "mine", "TERM": ""}
	for name, test := range map[string]struct{ pod, set, want []string }{
		"the laptop's own": {
			pod:  []string{"PATH=/bin", "HOME=/root", "USER=root", "LC_TIME=C", "LC_X=C", "TERM=xterm", "SSH_AUTH_SOCK=/s", "A=1"},
			want: []string{"A=1", "HOME=/home/ann", "LC_ALL=de", "PATH=/home/bin", "TERM="},
		},
		"set by the manifest": {
			pod:  []string{"PATH=/bin:/x", "HOME=/root", "LC_ALL=C"},
			set:  []string{"PATH", "LC_ALL", "NOT_THERE"},
			want: []string{"HOME=/home/ann", "LC_ALL=C", "PATH=/bin:/x", "TERM="},
		},
		"names and values as they come": {
			pod:  []string{"my.name=a=b", "MULTI=a\nb", "EMPTY=", "PATHS=x", "A=1", "A=2"},
			want: []string{"A=2", "EMPTY=", "HOME=/home/ann", "LC_ALL=de", "MULTI=a\nb", "PATH=/home/bin", "PATHS=x", "TERM=", "my.name=a=b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Environment(test.pod, lookup(laptop), test.set)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Each variable has one owner, and each value comes from that one.
func TestEnvironmentOwners(t *testing.T) {
	names := append(kept(), "A", "B_C", "x.y", "LC_OTHER", "HOSTNAME", "OKTETO_NAME")
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) []string {
			return rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(t, label)
		}
		podNames, laptopNames, set := draw("pod"), draw("laptop"), draw("set")
		var pod []string
		for _, n := range podNames {
			pod = append(pod, n+"=pod")
		}
		laptop := map[string]string{}
		for _, n := range laptopNames {
			laptop[n] = "laptop"
		}
		got := Environment(pod, lookup(laptop), set)
		if !slices.IsSorted(got) {
			t.Fatalf("not sorted: %q", got)
		}
		for _, n := range names {
			ofLaptop := (slices.Contains(kept(), n) || strings.HasPrefix(n, "LC_")) && !slices.Contains(set, n)
			want := !ofLaptop && slices.Contains(podNames, n)
			if has := slices.Contains(got, n+"=pod"); has != want {
				t.Errorf("%s from the pod: %v, want %v", n, has, want)
			}
			want = ofLaptop && slices.Contains(laptopNames, n) && slices.Contains(kept(), n)
			if has := slices.Contains(got, n+"=laptop"); has != want {
				t.Errorf("%s from the laptop: %v, want %v", n, has, want)
			}
		}
	})
}

func TestChanged(t *testing.T) {
	before := []string{"A=1", "B=2", "HOSTNAME=api-x", "GONE="}
	if got := Changed(before, []string{"B=2", "HOSTNAME=api-y", "A=1", "GONE="}); len(got) != 0 {
		t.Errorf("another pod: %q", got)
	}
	if diff := cmp.Diff([]string{"A", "GONE", "NEW"}, Changed(before, []string{"A=2", "B=2", "NEW=3"})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseEnvironment(t *testing.T) {
	for text, want := range map[string][]string{
		"\x00":                nil,
		"A=1\x00\x00":         {"A=1"},
		"A=\nx\x00B=\x00\x00": {"A=\nx", "B="},
	} {
		if got, err := ParseEnvironment([]byte(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "A=1", "A=1\x00", "A=1\x00B", "A=1\x00B=2\x00"} {
		if got, err := ParseEnvironment([]byte(text)); err == nil {
			t.Errorf("%q was read in part: %q", text, got)
		}
	}
}
