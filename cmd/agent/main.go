//go:build linux

// Command agent is the one binary that runs in a development pod: the sidecar
// that faces the network, the runner that is PID 1 of the dev container, and
// the small roles around them.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/kubectl-okteto/kubectl-okteto/agent"
)

func main() {
	// A sync leaves two threads to keys: the kernel prefers those that slept.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 4)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := agent.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
