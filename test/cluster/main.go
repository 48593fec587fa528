// Command cluster starts and stops a real Kubernetes of one node on this Linux
// machine, for tests and the demo:
//
//	go run ./test/cluster up      start it
//	go run ./test/cluster status  say how it is; exit code 1 if it is not well
//	go run ./test/cluster env     print the environment of tests for a shell
//	go run ./test/cluster down    stop it and remove all traces
//
// With OKTETO_TEST_CONTEXT set to a kube context, tests use that cluster, and
// the verbs start and stop nothing; the verb images pushes the tests' images to
// the registry that OKTETO_TEST_REGISTRY names. See README.md for the rest.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
