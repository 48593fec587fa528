package plugin

import (
	"os"
	"sync"
	"testing"

	"github.com/creack/pty"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// TestTyping reads a line from a terminal, and one from a pipe, which nobody types.
func TestTyping(t *testing.T) {
	keys, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	read, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _, _, _ = keys.Close(), terminal.Close(), read.Close(), written.Close() }()
	for name, c := range map[string]struct {
		from, in *os.File
		typed    bool
	}{"terminal": {keys, terminal, true}, "pipe": {written, read, false}} {
		t.Run(name, func(t *testing.T) {
			f := &Factory{
				Streams: genericiooptions.IOStreams{In: c.in, Out: terminal},
				input:   sync.OnceValue(func() *sshclient.Input { return sshclient.NewInput(c.in) }),
			}
			if f.typing() {
				t.Error("somebody types before there is a line")
			}
			typed := false
			for range 20 { // a busy machine may take a second to ask
				if _, err := c.from.WriteString("make\n"); err != nil {
					t.Fatal(err)
				}
				if _, err := f.input().Read(make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
				typed = typed || f.typing()
			}
			if typed != c.typed {
				t.Errorf("somebody types: %t", typed)
			}
		})
	}
}
