package plugin

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

func TestEscape(t *testing.T) {
	for typed, want := range map[string]string{
		"plain":           "plain",
		"~.":              "",
		"ls\r~.never":     "ls\r",
		"ls\n~.":          "ls\n",
		"a~.b":            "a~.b",
		"~~.":             "~.",
		"~x~.":            "~x~.",
		"\r~\r~.":         "\r~\r",
		"\r~~~":           "\r~~",
		"cd ~\r":          "cd ~\r",
		"held back\r~":    "held back\r",
		"~.then nothing~": "",
	} {
		for name, in := range map[string]io.Reader{
			"at once": strings.NewReader(typed), "byte by byte": iotest.OneByteReader(strings.NewReader(typed)),
		} {
			left := false
			got, err := io.ReadAll(&escape{in: in, leave: func() { left = true }})
			if string(got) != want || err != nil {
				t.Errorf("%q %s became %q, want %q, %v", typed, name, got, want, err)
			}
			if should := strings.HasPrefix(typed, "~.") || strings.Contains(typed, "\n~.") || strings.Contains(typed, "\r~."); left != should {
				t.Errorf("%q %s: left: %v", typed, name, left)
			}
		}
	}
}

func TestChooseSession(t *testing.T) {
	up := sshclient.Session{Session: attach.Session{Session: "AAAABBBB", Role: "up", Line: "npm start"}}
	test := sshclient.Session{Session: attach.Session{Session: "AACC", Line: "npm test"}}
	ended := sshclient.Session{Session: attach.Session{Session: "DDDD", Exit: &attach.Status{Status: 3}}}
	long := sshclient.Session{Session: attach.Session{Session: "LONGERTHANTHAT", Clients: 2, Line: strings.Repeat("word  ", 30)}}
	all := []sshclient.Session{up, test, ended}
	for _, c := range []struct {
		list  []sshclient.Session
		named string
		want  string
		says  string
	}{
		{all, "up", "AAAABBBB", ""},
		{all, "aaa", "AAAABBBB", ""},
		{all, "AAC", "AACC", ""},
		{all, "", "", "2 commands run, which one is meant?\nSESSION"},
		{all, "aa", "", "2 commands run"},
		{all, "dd", "", `no command that runs is called "dd"`},
		{[]sshclient.Session{test, ended}, "", "AACC", ""},
		{[]sshclient.Session{ended}, "", "", "every command has ended"},
		{nil, "", "", "no command of `up` or `exec` runs"},
	} {
		got, err := chooseSession(c.list, c.named)
		if got.Session.Session != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q of %d: %q, %v", c.named, len(c.list), got.Session.Session, err)
		}
	}
	var out strings.Builder
	if err := printSessions(&out, []sshclient.Session{ended, long}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"ended with 3", "(shell)", "LONGERTH  -", "word word word", "…\n"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("%q is missing in\n%s", text, out.String())
		}
	}
}
