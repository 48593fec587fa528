// Command demo shows the product live on the cluster that KUBECONFIG and
// OKTETO_TEST_CONTEXT name: two services, one of them taken into development,
// a source file edited, the answer seen to change, the original given back.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	interactive := flag.Bool("interactive", false, "leave me in the development container's shell")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *interactive); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
