// Command probe serves package probe for the folder that it is given, over
// its standard input and output.
package main

import (
	"fmt"
	"os"

	"github.com/kubectl-okteto/kubectl-okteto/test/bench/probe"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: probe FOLDER")
		os.Exit(2)
	}
	if err := probe.Serve(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
