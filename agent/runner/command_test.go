//go:build linux

package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSplitWords(t *testing.T) {
	for line, want := range map[string][]string{
		"ls":                         {"ls"},
		"  ls   -l ":                 {"ls", "-l"},
		`echo 'a b' "c d" e\ f`:      {"echo", "a b", "c d", "e f"},
		`echo '$HOME * | & ;' "a;b"`: {"echo", "$HOME * | & ;", "a;b"},
		`echo \$HOME \* "\$x"`:       {"echo", "$HOME", "*", "$x"},
		"=x":                         {"=x"}, "1=x": {"1=x"}, "server --flag=value a=b c#d": {"server", "--flag=value", "a=b", "c#d"},
		"cp a~ b":                       {"cp", "a~", "b"},
		"echo {a,b} !x]":                {"echo", "{a,b}", "!x]"},
		`"/with space/program" x`:       {"/with space/program", "x"},
		`git commit -m "it's \"fine\""`: {"git", "commit", "-m", `it's "fine"`},
	} {
		got, err := splitWords(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", line, diff)
		}
	}
	for line, want := range map[string]string{
		"a | b": `'|'`, "a && b": `'&'`, "a; b": `';'`, "a > b": `'>'`, "a < b": `'<'`, "(a)": `'('`,
		"echo $HOME": `'$'`, `echo "$HOME"`: `'$'`, "echo `a`": "'`'", "echo \"`a`\"": "'`'",
		"ls *": `'*'`, "ls a?": `'?'`, "ls [ab]": `'['`, "a # b": `'#'`, "ls ~": `'~'`, "A=b c": `'='`, "a\nb": `'\n'`,
		"a 'b": "nterminated", `a "b`: "nterminated", `a \`: "nterminated", "": "empty", "  ": "empty",
	} {
		if got, err := splitWords(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want an error with %s", line, got, err, want)
		}
	}
}

// What any client quotes arrives as it was.
func TestSplitWordsOfQuoted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "argv")
		var quoted []string
		for _, word := range want {
			quoted = append(quoted, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
		}
		got, err := splitWords(strings.Join(quoted, " "))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func FuzzSplitWords(f *testing.F) {
	f.Add(`a 'b' "c" \d`)
	f.Fuzz(func(t *testing.T, line string) {
		argv, err := splitWords(line)
		if (len(argv) == 0) == (err == nil) {
			t.Fatalf("%q: %q, %v", line, argv, err)
		}
	})
}

func TestSCPArguments(t *testing.T) {
	for line, want := range map[string]string{
		"scp -t .": " -t .", "scp -v -r -p -d -t /x": " -v -r -p -d -t /x", "scp -f -- -x": " -f -- -x", "scp -rt x": " -rt x",
	} {
		if got, ok := scpArguments(line); !ok || got != want {
			t.Errorf("%q: %q, %v; want %q", line, got, ok, want)
		}
	}
	for _, line := range []string{"scp", "scp a b", "scp -r a b", "scp -- -t x", "scpx -t .", "echo scp -t ."} {
		if got, ok := scpArguments(line); ok {
			t.Errorf("%q is taken for the remote end, with %q", line, got)
		}
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"run": 0o755, "plain": 0o644, "sub/run2": 0o755} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := "/missing:" + dir + ":" + filepath.Join(dir, "run")
	for name, want := range map[string]struct {
		file   string
		status int
	}{
		"run":                       {filepath.Join(dir, "run"), 0},
		filepath.Join(dir, "run"):   {filepath.Join(dir, "run"), 0},
		"nothing":                   {"", 127},
		"sub":                       {"", 127},
		"plain":                     {"", 126},
		dir + "/nothing":            {"", 127},
		dir:                         {"", 126},
		filepath.Join(dir, "plain"): {"", 126},
	} {
		file, err := lookPath(name, path)
		status := 0
		if e, ok := errors.AsType[*startError](err); ok {
			status = e.status
		}
		if file != want.file || status != want.status {
			t.Errorf("%s: %q, %d, %v; want %q, %d", name, file, status, err, want.file, want.status)
		}
	}
}

func TestChooseShell(t *testing.T) {
	for _, test := range []struct {
		account account
		env     string
		want    string
	}{
		{account{shell: "/bin/sh"}, "/bin/bash", "/bin/sh"},
		{account{shell: "/bin/zsh-of-nobody"}, "/bin/sh", "/bin/sh"},
		{account{shell: "/usr/sbin/nologin"}, "/bin/sh", "/bin/sh"},
		{account{shell: "/bin/false"}, "", "/bin/bash"},
		{account{}, "sh", "/bin/bash"},
	} {
		if got := chooseShell(test.account, test.env); got != test.want {
			t.Errorf("%+v, SHELL=%s: %q, want %q", test.account, test.env, got, test.want)
		}
	}
}

func TestLookupAccount(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	passwd := "root:x:0:0:root:/root:/bin/ash\nbroken:x:1000\n\nnode:x:1000:1000::/home/node:/bin/bash\n"
	if err := os.WriteFile(file, []byte(passwd), 0o644); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]account{
		0: {"root", "/root", "/bin/ash"}, 1000: {"node", "/home/node", "/bin/bash"}, 7: {},
	} {
		if got := lookupAccount(file, uid); got != want {
			t.Errorf("%d: %+v, want %+v", uid, got, want)
		}
	}
	if got := lookupAccount(file+".missing", 0); got != (account{}) {
		t.Errorf("without a file: %+v", got)
	}
}

func TestEnvironment(t *testing.T) {
	r := &Runner{
		env:     []string{"PATH=/opt/bin", "HOME=/image", "LANG=C"},
		account: account{name: "node"},
		hello:   Hello{Home: "/image", Shell: "/bin/sh"},
	}
	got := r.environment(Start{Env: []string{"LANG=de_DE", "GIT_AUTHOR_NAME=A=B", "broken"}, TTY: &TTY{Term: "xterm"}})
	want := []string{
		"PATH=/opt/bin", "HOME=/image", "LANG=de_DE", "TERM=xterm", "GIT_AUTHOR_NAME=A=B",
		"USER=node", "LOGNAME=node", "SHELL=/bin/sh",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if r.env[2] != "LANG=C" {
		t.Error("a session changed the environment of the container")
	}
}

func TestResolve(t *testing.T) {
	for _, test := range []struct {
		shell string
		start Start
		path  string
		argv  []string
	}{
		{"/bin/sh", Start{}, "/bin/sh", []string{"sh"}},
		{"/bin/sh", Start{Line: "a | b"}, "/bin/sh", []string{"sh", "-c", "a | b"}},
		{"", Start{Line: "/bin/sh 'a b'"}, "/bin/sh", []string{"/bin/sh", "a b"}},
		{"/bin/sh", Start{SFTP: true}, "/proc/self/exe", []string{"agent", "sftp-server"}},
		{"/bin/sh", Start{Environment: true}, "/proc/self/exe", []string{"agent", "environment"}},
		{"/bin/sh", Start{Line: "scp -t 'a b'"}, "/bin/sh", []string{"sh", "-c", "/bin/true scp -t 'a b'"}},
		{"", Start{Line: "scp -t 'a b'"}, "/bin/true", []string{"/bin/true", "scp", "-t", "a b"}},
	} {
		r := &Runner{exe: "/bin/true", hello: Hello{Shell: test.shell}}
		got, err := r.resolve(test.start, []string{"PATH=/nothing"})
		if err != nil || got.path != test.path || !cmp.Equal(got.argv, test.argv) {
			t.Errorf("%+v: %+v, %v; want %s %q", test.start, got, err, test.path, test.argv)
		}
	}
	if _, err := (&Runner{}).resolve(Start{}, nil); err == nil || !strings.Contains(err.Error(), "no shell") {
		t.Errorf("an interactive shell without one: %v", err)
	}
}
