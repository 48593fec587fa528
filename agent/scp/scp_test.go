package scp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tree lists what is below a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %q %d", content, info.ModTime().Unix())
		}
		name, err := filepath.Rel(dir, path)
		all[name] = what
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fill writes a tree with what copies get wrong.
func fill(t *testing.T, dir string) {
	t.Helper()
	for name, mode := range map[string]fs.FileMode{
		"a/empty": 0o600, "a/b/run": 0o755, "a/b/c/read-only": 0o444, "a/ space ü'\"": 0o640, "a/-f": 0o644, "a/setgid": 0o755 | fs.ModeSetgid,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		content := strings.Repeat(name, len(name)*100)
		if strings.HasSuffix(name, "empty") {
			content = ""
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		then := time.Unix(1_000_000_000+int64(len(name)), 0)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "a/locked"), 0o500); err != nil {
		t.Fatal(err)
	}
}

// copyBetween connects a source and a sink.
func copyBetween(source, sink []string) (sourceErr, sinkErr error) {
	fromSource, toSink := io.Pipe()
	fromSink, toSource := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Run(sink, fromSource, toSource)
		toSource.CloseWithError(io.EOF)
		fromSource.CloseWithError(io.ErrClosedPipe)
		done <- err
	}()
	sourceErr = Run(source, fromSink, toSink)
	toSink.CloseWithError(io.EOF)
	fromSink.CloseWithError(io.ErrClosedPipe)
	return sourceErr, <-done
}

func TestCopyTree(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	fill(t, from)
	if a, b := copyBetween([]string{"-r", "-p", "-f", filepath.Join(from, "a")}, []string{"-rp", "-t", to}); a != nil || b != nil {
		t.Fatalf("source: %v, sink: %v", a, b)
	}
	if diff := cmp.Diff(tree(t, from), tree(t, to)); diff != "" {
		t.Errorf("-from +to:\n%s", diff)
	}
	// Again, over what is there: a source that was renamed becomes a folder
	// of that name beside.
	if a, b := copyBetween([]string{"-rp", "-f", filepath.Join(from, "a")}, []string{"-rp", "-t", filepath.Join(to, "new")}); a != nil || b != nil {
		t.Fatalf("source: %v, sink: %v", a, b)
	}
	if diff := cmp.Diff(tree(t, filepath.Join(from, "a")), tree(t, filepath.Join(to, "new"))); diff != "" {
		t.Errorf("-from +to:\n%s", diff)
	}
}

func TestCopyFiles(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	fill(t, from)
	run, empty := filepath.Join(from, "a/b/run"), filepath.Join(from, "a/empty")
	target := filepath.Join(to, "file")
	if err := os.WriteFile(target, bytes.Repeat([]byte("longer than what comes"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, b := copyBetween([]string{"-f", run}, []string{"-t", target}); a != nil || b != nil {
		t.Fatalf("source: %v, sink: %v", a, b)
	}
	got, _ := os.ReadFile(target)
	want, _ := os.ReadFile(run)
	if !bytes.Equal(got, want) {
		t.Errorf("over a longer file: %d bytes, want %d", len(got), len(want))
	}
	if a, b := copyBetween([]string{"-f", run, empty, filepath.Join(from, "a/b/c/*")}, []string{"-d", "-t", to}); a != nil || b != nil {
		t.Fatalf("source: %v, sink: %v", a, b)
	}
	for _, name := range []string{"run", "empty", "read-only"} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
}

// What fails for one file is told, and the others arrive.
func TestErrorsOfSingleFiles(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	fill(t, from)
	if err := os.Mkdir(filepath.Join(to, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	source := []string{"-f", filepath.Join(from, "missing"), filepath.Join(from, "a"), filepath.Join(from, "a/b/run"), "/dev/null", filepath.Join(from, "a/setgid")}
	a, b := copyBetween(source, []string{"-t", to})
	if a == nil || b == nil {
		t.Fatalf("source: %v, sink: %v", a, b)
	}
	for _, want := range []string{"missing: no such file", "a: is a folder", "/dev/null: not a regular file", "run: is a"} {
		if !strings.Contains(a.Error(), want) {
			t.Errorf("the source does not know of %q: %v", want, a)
		}
	}
	for _, want := range []string{"missing: no such file", "a: is a folder", "not a regular file"} {
		if !strings.Contains(b.Error(), want) {
			t.Errorf("the sink was not told %q: %v", want, b)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "setgid")); err != nil {
		t.Errorf("the last file: %v", err)
	}
}

func TestTargetMustBeFolder(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	fill(t, from)
	a, b := copyBetween([]string{"-f", filepath.Join(from, "a/empty")}, []string{"-d", "-t", filepath.Join(to, "missing")})
	if a == nil || b == nil {
		t.Errorf("source: %v, sink: %v", a, b)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{"", "-t", "-f", "-t -f x", "x", "-t a b", "-x", "-rZ x"} {
		if err := Run(strings.Fields(args), strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

// A source is not trusted: nothing is written outside of the target.
func TestSinkRefuses(t *testing.T) {
	outside := t.TempDir()
	for name, stream := range map[string]string{
		"parent":              "C0644 1 ..\nx\x00",
		"dot":                 "C0644 1 .\nx\x00",
		"slash":               "C0644 1 ../evil\nx\x00",
		"absolute":            "C0644 1 " + outside + "/evil\nx\x00",
		"folder up":           "D0755 0 ..\nC0644 1 evil\nx\x00E\n",
		"empty name":          "C0644 1 \nx\x00",
		"zero byte":           "C0644 1 a\x00b\nx\x00",
		"negative size":       "C0644 -1 a\n",
		"huge size":           "C0644 99999999999999999999 a\n",
		"no size":             "C0644 a\n",
		"bad mode":            "C0999 1 a\nx\x00",
		"long mode":           "C100644 1 a\nx\x00",
		"unknown record":      "X\n",
		"empty record":        "\n",
		"end outside":         "E\n",
		"endless line":        "C0644 1 " + strings.Repeat("a", 2*maxLine),
		"bad times":           "T1 2 3\n",
		"bad microseconds":    "T1 1000000 3 0\n",
		"fatal":               "\x02the other end gave up\n",
		"warning":             "\x01one file is missing\n",
		"cut off in a record": "C0644",
		"cut off in a folder": "D0755 0 a\n",
		"cut off in a file":   "C0644 10 a\nx",
		"no acknowledgement":  "C0644 1 a\nxy",
	} {
		dir := filepath.Join(t.TempDir(), "target")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		err := Run([]string{"-r", "-t", dir}, strings.NewReader(stream), io.Discard)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 1 {
			t.Errorf("%s: wrote outside of the target", name)
		}
		if left, _ := os.ReadDir(outside); len(left) > 0 {
			t.Errorf("%s: wrote to %s", name, outside)
		}
	}
	if err := Run([]string{"-t", t.TempDir()}, strings.NewReader("D0755 0 a\nE\n"), io.Discard); err == nil {
		t.Error("a folder was accepted without -r")
	}
}

func TestRecordsOfSource(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a b")
	if err := os.WriteFile(file, []byte("hello"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, time.Unix(7, 0), time.Unix(7, 0)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Run([]string{"-pf", file}, bytes.NewReader(make([]byte, 4)), &out); err != nil {
		t.Fatal(err)
	}
	if want := "T7 0 7 0\nC0640 5 a b\nhello\x00"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	for name, answers := range map[string]string{
		"nothing": "", "fatal": "\x02no\n", "unknown": "\x07", "warning then end": "\x00\x01no\n",
	} {
		if err := Run([]string{"-f", file}, strings.NewReader(answers), io.Discard); err == nil {
			t.Errorf("%s: the source is content", name)
		}
	}
}

func FuzzSink(f *testing.F) {
	f.Add([]byte("T1 0 1 0\nC0644 5 file\nhello\x00"))
	f.Add([]byte("D0755 0 dir\nC0644 1 x\ny\x00E\n"))
	f.Add([]byte("\x01warning\nC0644 3 ..\nabc\x00"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "target")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = Run([]string{"-rpt", dir}, bytes.NewReader(stream), io.Discard)
		if left, err := os.ReadDir(parent); err != nil || len(left) != 1 {
			t.Fatalf("wrote outside of the target: %v, %v", left, err)
		}
		// What is left must not keep the test from cleaning up.
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
}

func FuzzRecord(f *testing.F) {
	f.Add("C0644 5 file")
	f.Add("D0755 0 dir")
	f.Add("T1 0 1 0")
	f.Fuzz(func(t *testing.T, line string) {
		_, _ = parseTimes(line)
		r, err := parseRecord(line)
		if err != nil {
			return
		}
		if filepath.Base(r.name) != r.name || !filepath.IsLocal(r.name) || r.size < 0 || r.mode > 0o7777 {
			t.Fatalf("%q: %+v", line, r)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte("\x01text\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &peer{in: bufio.NewReader(bytes.NewReader(b)), out: io.Discard}
		for range b {
			_ = p.answer()
		}
	})
}
