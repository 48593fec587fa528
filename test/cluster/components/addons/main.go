// Command addons is what a cluster needs besides Kubernetes itself, as one
// binary: the first argument says whether it is CoreDNS or the provisioner of
// dynamic volumes. Both run as processes of the node instead of pods, so that
// they are there before the first pod is.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: addons coredns|storage [FLAGS]")
		os.Exit(2)
	}
	// Each program parses os.Args itself and expects its own name in front.
	os.Args = os.Args[1:]
	switch os.Args[0] {
	case "coredns":
		coremain.Run()
	case "storage":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := serveStorage(ctx, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "storage:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintf(os.Stderr, "addons: no program is called %q\n", os.Args[0])
		os.Exit(2)
	}
}
