// Command probe serves package probe over its standard input and output: for
// the folder that it is given, or on the TCP address behind "streams".
package main

import (
	"fmt"
	"os"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/probe"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "streams":
		err = probe.ServeStreams(args[1], os.Stdin, os.Stdout)
	case len(args) == 1:
		err = probe.Serve(args[0], os.Stdin, os.Stdout)
	default:
		fmt.Fprintln(os.Stderr, "usage: probe FOLDER | probe streams ADDRESS")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
