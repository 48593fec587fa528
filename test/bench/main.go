// Command bench measures the product on the cluster that KUBECONFIG and
// OKTETO_TEST_CONTEXT name, beside its peers in the same run. It prints a table
// and writes one flat JSON object; docs/benchmarks.md says what the keys mean.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	o := options{out: "bench.json"}
	flag.StringVar(&o.out, "o", o.out, "file for the figures")
	flag.IntVar(&o.runs, "runs", 3, "how often each start is measured")
	flag.IntVar(&o.edits, "edits", 200, "how many edits are measured")
	only := flag.String("only", "", "regular expression of the keys to measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := fmt.Errorf("-only: %q is no regular expression", *only)
	if o.only, _ = regexp.Compile(*only); o.only != nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
