// Command bench measures the product on the cluster that KUBECONFIG and
// OKTETO_TEST_CONTEXT name, beside the plain Kubernetes way of doing the same
// in the same run. It prints a table and writes one flat JSON object.
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
	out := flag.String("o", "bench.json", "file for the figures")
	runs := flag.Int("runs", 5, "how often each start is measured")
	edits := flag.Int("edits", 200, "how many edits are measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *out, *runs, *edits); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
