package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSidecarRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Sidecar{
			Port:           rapid.IntRange(0, 65535).Draw(t, "port"),
			AuthorizedKeys: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "keys"),
			SeedFrom:       rapid.String().Draw(t, "seed"),
		}
		for _, name := range rapid.SliceOfN(rapid.StringMatching(`[^/.\x00][^/\x00]*`), 0, 3).Draw(t, "roots") {
			want.Roots = append(want.Roots, Root{Path: "/" + name})
		}
		for _, name := range rapid.SliceOfN(rapid.StringMatching(`[^/.\x00][^/\x00]*`), 0, 3).Draw(t, "volumes") {
			want.Volumes = append(want.Volumes, "/"+name)
		}
		for _, name := range rapid.SliceOfN(rapid.StringMatching(`[^/.\x00][^/\x00]*`), 0, 3).Draw(t, "excluded") {
			want.Excluded = append(want.Excluded, "/"+name)
		}
		if len(want.AuthorizedKeys) == 0 {
			want.AuthorizedKeys = nil
		}
		args := want.Args()
		if args[0] != "sidecar" {
			t.Fatalf("role %q", args[0])
		}
		got, err := ParseSidecar(args[1:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func TestSeedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want Seed
		for range rapid.IntRange(0, 3).Draw(t, "copies") {
			want.Copies = append(want.Copies, Copy{From: rapid.String().Draw(t, "from"), To: rapid.String().Draw(t, "to")})
		}
		got, err := ParseSeed(want.Args()[1:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func TestInstallRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Install{Dir: rapid.String().Draw(t, "dir"), Folders: rapid.SliceOf(rapid.String()).Draw(t, "folders")}
		got, err := ParseInstall(want.Args()[1:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
	if _, err := ParseInstall(nil); err == nil {
		t.Error("no folder was accepted")
	}
}

func TestAutoDownRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.StringMatching(`/apis?/[^\x00]{0,9}`)
		want := AutoDown{
			After: time.Duration(rapid.Int64Range(1, 1<<60).Draw(t, "after")),
			Lease: object.Draw(t, "lease"),
		}
		if rapid.Bool().Draw(t, "with an original") {
			want.Original = object.Draw(t, "original")
		}
		if want.Original != "" && rapid.Bool().Draw(t, "a pod") {
			want.Memory = object.Draw(t, "memory")
		}
		if objects := rapid.SliceOfN(object, 0, 3).Draw(t, "resume"); len(objects) > 0 {
			want.Resume, want.PausedFor = objects, rapid.StringMatching(`[^\x00]{1,9}`).Draw(t, "paused for")
		}
		if objects := rapid.SliceOfN(object, 0, 3).Draw(t, "delete"); len(objects) > 0 {
			want.Delete = objects
		}
		args := want.Args()
		if args[0] != "autodown" {
			t.Fatalf("role %q", args[0])
		}
		got, err := ParseAutoDown(args[1:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func TestParseAutoDownRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--after soon":                                "invalid value",
		"--after 0s --lease /apis/l":                  "needs --after and --lease",
		"--after 1h":                                  "needs --after and --lease",
		"--after 1h --lease leases/api":               "not the path of an object",
		"--after 1h --delete http://else":             "not the path of an object",
		"--after 1h --lease /apis/l --resume /apis/s": "needs --paused-for",
		"--after 1h --lease /apis/l --memory /apis/d": "needs --original",
		"--unknown":                                   "not defined",
	} {
		if _, err := ParseAutoDown(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// Where a root's files are on a claim must never change: others would be shown
// in their place.
func TestFoldersOfTheVolume(t *testing.T) {
	seen := map[string]string{}
	for p, want := range map[string]string{
		"/a/b": "a~1b", "/a~1b": "a~01b", "/a~b": "a~0b", "/a~0b": "a~00b", "/a-b": "a-b", "/a~01b": "a~001b", "/ab": "ab",
	} {
		got := RootFolder(p)
		if other, ok := seen[got]; ok || got != "src/"+want || VolumeFolder(p) != "data/"+want {
			t.Errorf("%q: %q and %q, want %q; %q is the same", p, got, VolumeFolder(p), want, other)
		}
		seen[got] = p
	}
}

func TestParseSidecarRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--port 65536":     "not between 0 and 65535",
		"--port -1":        "not between 0 and 65535",
		"--port ssh":       "invalid value",
		"--root src":       "not an absolute, clean path",
		"--root /src/":     "not an absolute, clean path",
		"--volume data":    "not an absolute, clean path",
		"--root /a/../b":   "not an absolute, clean path",
		"--unknown":        "not defined",
		"--port 1 rest":    `unexpected argument "rest"`,
		"--seed-from":      "needs an argument",
		"--authorized-key": "needs an argument",
	} {
		if _, err := ParseSidecar(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if _, err := ParseSeed([]string{"/only"}); err == nil {
		t.Error("half a pair was accepted")
	}
}

func TestDefaults(t *testing.T) {
	if got := (Sidecar{}).ListenPort(); got != DefaultPort {
		t.Errorf("port %d, want %d", got, DefaultPort)
	}
	if got := (Sidecar{Port: 7}).ListenPort(); got != 7 {
		t.Errorf("port %d, want 7", got)
	}
	if v := Version(); v == "" || strings.ContainsAny(v, "v \n") {
		t.Errorf("version %q", v)
	}
	if diff := cmp.Diff([]string{"/var/okteto/bin/agent", "runner"}, RunnerCommand()); diff != "" {
		t.Error(diff)
	}
}
