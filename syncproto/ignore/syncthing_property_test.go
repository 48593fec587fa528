package ignore

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// syncthing is a running Syncthing with a single folder, which it looks at only
// when it is told to.
type syncthing struct {
	root    string
	folders map[string]bool
	url     string
	asked   int
}

// syncthingConfig keeps Syncthing to itself: nothing but the loopback, no other
// device, no watcher.
const syncthingConfig = `<configuration version="36">
<folder id="t" path="%s" rescanIntervalS="0" fsWatcherEnabled="false"></folder>
<gui><address>127.0.0.1:0</address><apikey>test</apikey></gui>
<options>
<listenAddress>tcp://127.0.0.1:0</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled>
<localAnnounceEnabled>false</localAnnounceEnabled>
<relaysEnabled>false</relaysEnabled>
<natEnabled>false</natEnabled>
<startBrowser>false</startBrowser>
<urAccepted>-1</urAccepted>
<autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<crashReportingEnabled>false</crashReportingEnabled>
<setLowPriority>false</setLowPriority>
</options>
</configuration>
`

// startSyncthing starts Syncthing on a folder with the given files.
func startSyncthing(t *testing.T, files []string) *syncthing {
	program, err := exec.LookPath("syncthing")
	if err != nil {
		t.Skip("syncthing is not installed, and there is nothing else to compare with")
	}
	home := t.TempDir()
	s := &syncthing{root: filepath.Join(home, "root"), folders: map[string]bool{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(s.root, ".stfolder"), 0o755))
	for _, p := range files {
		s.folders[path.Dir(p)] = true
		must(os.MkdirAll(filepath.Dir(filepath.Join(s.root, p)), 0o755))
		must(os.WriteFile(filepath.Join(s.root, p), nil, 0o644))
	}
	must(os.WriteFile(filepath.Join(home, "config.xml"), fmt.Appendf(nil, syncthingConfig, s.root), 0o600))

	cmd := exec.Command(program, "serve", "--home", home, "--no-browser", "--no-restart", "--no-upgrade")
	cmd.Env = append(os.Environ(), "HOME="+home, "STNODEFAULTFOLDER=1", "STNOUPGRADE=1")
	out, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	t.Cleanup(func() {
		// It is two processes: killed, the first one would leave the second behind.
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	s.url = "http://" + awaitAddress(t, out)
	return s
}

// awaitAddress reads what Syncthing writes until it says where it listens.
func awaitAddress(t *testing.T, out io.Reader) string {
	found := make(chan string, 1)
	go func() {
		address := regexp.MustCompile(`GUI and API listening.*?(127\.0\.0\.1:\d+)`)
		said := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				_, _ = io.Copy(io.Discard, out)
				return
			}
			said += lines.Text() + "\n"
		}
		t.Logf("syncthing wrote:\n%s", said)
		close(found)
	}()
	select {
	case address := <-found:
		if address == "" {
			t.Fatal("syncthing does not run")
		}
		return address
	case <-time.After(time.Minute):
		t.Fatal("syncthing does not say where it listens")
		return ""
	}
}

// call asks Syncthing.
func (s *syncthing) call(method, path string, answer any) error {
	request, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Api-Key", "test")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(body, answer)
}

// scan returns the files that Syncthing syncs under the given ignore files.
func (s *syncthing) scan(t interface{ Fatal(...any) }, ignoreFiles map[string]string) (map[string]bool, error) {
	for _, name := range slices.Sorted(maps.Keys(ignoreFiles)) {
		p := filepath.Join(s.root, name)
		if err := os.WriteFile(p, []byte(ignoreFiles[name]), 0o644); err != nil {
			t.Fatal(err)
		}
		// By its time Syncthing knows whether a file is another one.
		s.asked++
		when := time.Unix(int64(s.asked), 0)
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.call(http.MethodPost, "/rest/db/scan?folder=t", nil); err != nil {
		return nil, err
	}
	synced := map[string]bool{}
	for dir := range s.folders {
		var list []struct{ Name, Type string }
		where := url.Values{"folder": {"t"}, "levels": {"0"}}
		if dir != "." {
			where.Set("prefix", dir)
		}
		if err := s.call(http.MethodGet, "/rest/db/browse?"+where.Encode(), &list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.Type == "FILE_INFO_TYPE_FILE" {
				synced[path.Join(dir, e.Name)] = true
			}
		}
	}
	return synced, nil
}

// syncthingTree returns the files that patterns are tried on: any three of a few
// names below each other.
func syncthingTree() []string {
	var files []string
	level := []string{""}
	for depth := range 3 {
		var next []string
		for _, dir := range level {
			for _, name := range []string{"c", "C", "x.o", "a b"} {
				files = append(files, dir+name)
			}
			for _, name := range []string{"a", "b", "ab"} {
				if depth == 2 {
					files = append(files, dir+name)
				} else {
					next = append(next, dir+name+"/")
				}
			}
		}
		level = next
	}
	return append(files, "a/more", "a/b/most")
}

// drawSyncthingPattern draws a pattern. It leaves out most of that in which
// Syncthing does not keep to its own documentation; docs/sync.md lists it.
func drawSyncthingPattern(t *rapid.T) string {
	name := rapid.SampledFrom([]string{"a", "b", "ab", "c", "C", "x.o", "a b"})
	letter := rapid.SampledFrom([]string{"a", "a", "a", "b", "b", "c", "x", ".o", `\a`, `\*`, "]"})
	wild := rapid.SampledFrom([]string{"*", "*", "**", "?", "?", "?", "[ab]", "[a-c]", "{a,b}", "{ab,c}", "{a,[bx]}", `{x\.o,a\,b}`})
	elements := make([]string, rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "elements"))
	for i := range elements {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			elements[i] = "**"
		case 1, 2:
			elements[i] = name.Draw(t, "name")
		case 3:
			elements[i] = wild.Draw(t, "wild") + letter.Draw(t, "letter")
		case 4:
			elements[i] = letter.Draw(t, "letter") + wild.Draw(t, "wild")
		case 5:
			elements[i] = letter.Draw(t, "letter") + wild.Draw(t, "wild") + letter.Draw(t, "letter")
		default:
			elements[i] = wild.Draw(t, "wild") + letter.Draw(t, "letter") + wild.Draw(t, "wild")
		}
	}
	return strings.Join(elements, "/")
}

// unlikeSyncthing reports whether Syncthing may make something else of a pattern
// than its documentation says: of three asterisks the third demands a character,
// and where nothing but ** is special, what stands before it may overlap what
// stands behind it.
func unlikeSyncthing(pattern string) bool {
	middle := strings.Trim(pattern, "*/")
	return strings.Contains(pattern, "***") ||
		strings.Contains(middle, "**") && !strings.ContainsAny(strings.ReplaceAll(middle, "**", ""), "*?[{")
}

// drawSyncthingLine draws a line of an ignore file.
func drawSyncthingLine(t *rapid.T) string {
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	line := one("anchor", "", "", "/") + drawSyncthingPattern(t) + one("contents", "", "", "/", "/**")
	prefix := one("prefix", "", "", "", "(?i)", "(?d)", "(?d)(?i)", "!", "!", "(?i)!", "!(?d)(?i)")
	if strings.Contains(prefix, "!") && (strings.HasSuffix(line, "/") || strings.HasSuffix(line, "/**")) {
		// Newer versions do not look into a folder that is ignored itself.
		line += "c"
	}
	if unlikeSyncthing(line) {
		line = "c"
	}
	return one("before", "", "", " ", "\t", "// a comment\n", "\n\n") + prefix + line + one("after", "", "", " ", "\r", "\t\r", "\n"+prefix+line)
}

// drawSyncthingFiles draws an ignore file, and maybe two that it includes.
func drawSyncthingFiles(t *rapid.T) map[string]string {
	lines := func() []string { return rapid.SliceOfN(rapid.Custom(drawSyncthingLine), 1, 3).Draw(t, "lines") }
	files := map[string]string{"a/more": "", "a/b/most": ""}
	top := lines()
	if rapid.IntRange(0, 2).Draw(t, "include") == 0 {
		top = slices.Insert(top, rapid.IntRange(0, len(top)).Draw(t, "at"), rapid.SampledFrom([]string{"#include a/more", "#include   ./a/more "}).Draw(t, "how"))
		files["a/more"] = strings.Join(append(lines(), "#include b/most"), "\n")
		files["a/b/most"] = strings.Join(lines(), "\n")
	}
	files[FileName] = strings.Join(top, "\n")
	return files
}

// Syncthing itself syncs of a tree what is not ignored here, under random
// ignore files.
func TestMatchAgreesWithSyncthing(t *testing.T) {
	files := syncthingTree()
	s := startSyncthing(t, files)
	t.Run("mistakes", func(t *testing.T) { s.compareMistakes(t) })
	rapid.Check(t, func(t *rapid.T) {
		ignoreFiles := drawSyncthingFiles(t)
		want, theirs := s.scan(t, ignoreFiles)
		m, ours := Load(os.DirFS(s.root))
		if (theirs == nil) != (ours == nil) {
			t.Fatalf("%q: Syncthing says %v, the parser %v", ignoreFiles, theirs, ours)
		}
		if ours != nil {
			return
		}
		got := map[string]bool{}
		for _, p := range files {
			if !m.Match(p, false).Ignored {
				got[p] = true
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-Syncthing +matcher):\n%s", ignoreFiles, diff)
		}
	})
}

// compareMistakes tries what neither takes.
func (s *syncthing) compareMistakes(t *testing.T) {
	for _, bad := range []string{
		"[a", "[]", "[z-a]", "!", "(?d)(?i)", "#include", "#include missing", "#include a/more", strings.Repeat("x", 100_000),
	} {
		_, theirs := s.scan(t, map[string]string{FileName: bad, "a/more": "c\n#include ../a/more"})
		_, ours := Load(os.DirFS(s.root))
		if theirs == nil || ours == nil {
			t.Errorf("%.20q: Syncthing says %v, the parser %v", bad, theirs, ours)
		}
	}
}
