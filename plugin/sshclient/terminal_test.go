package sshclient_test

import (
	"context"
	"os"
	"testing"

	"github.com/creack/pty"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

func TestTerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = master.Close() }()
	defer func() { _ = slave.Close() }()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 33, Cols: 77}); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if _, ok := sshclient.OpenTerminal(slave, null); ok {
		t.Error("/dev/null is a terminal")
	}
	terminal, ok := sshclient.OpenTerminal(slave, slave)
	if !ok {
		t.Fatal("a pty is no terminal")
	}
	if err := terminal.MakeRaw(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := terminal.Restore(); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	tty := terminal.TTY(ctx, "xterm")
	if tty.Width != 77 || tty.Height != 33 || tty.Term != "xterm" {
		t.Errorf("TTY is %+v", tty)
	}
	cancel()
	if _, more := <-tty.Resize; more {
		t.Error("the size has changed")
	}
}
