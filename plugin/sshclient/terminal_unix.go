//go:build unix

package sshclient

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// watch tells of new sizes until ctx ends.
func (t *Terminal) watch(ctx context.Context) <-chan Size {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	sizes := make(chan Size)
	go func() {
		defer close(sizes)
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			size, err := t.Size()
			if err != nil {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case sizes <- size:
			}
		}
	}()
	return sizes
}

// enableEscapes has nothing to do: terminals interpret escape sequences.
func enableEscapes(*os.File) (restore func()) { return func() {} }
