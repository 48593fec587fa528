package sshclient_test

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// TestQuote has a real shell read back what was quoted.
func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		argv := rapid.SliceOfN(rapid.StringMatching(`[\x01-\x7fäß€]{0,12}`), 1, 5).Draw(t, "argv")
		out, err := exec.Command("sh", "-c", `printf '%s\0' `+sshclient.Quote(argv)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(out), strings.Join(argv, "\x00")+"\x00"; got != want {
			t.Fatalf("the shell reads %q, want %q", got, want)
		}
	})
	if got := sshclient.Quote([]string{"go", "run", "./cmd/api", "--port=8080"}); got != "go run ./cmd/api --port=8080" {
		t.Errorf("plain words are quoted: %s", got)
	}
}
