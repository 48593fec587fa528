// Command kubectl-okteto is a kubectl plugin that turns a running workload
// into a development container.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/kubectl-okteto/kubectl-okteto/plugin"
)

func main() {
	// A sync leaves two threads to keys: the kernel prefers those that slept.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 4)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup(1)
		// Whoever closes the terminal does not come back to the command in it.
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	// What client-go logs of its own is no message for users.
	klog.SetLogger(logr.Discard())
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	// Garbage is collected whenever the heap has doubled: every few MiB of a
	// tunnel, without this that is never touched, and takes no memory.
	ballast := make([]byte, 16<<20)
	code := plugin.Main(ctx, os.Args, os.LookupEnv, streams)
	runtime.KeepAlive(ballast)
	stop()
	os.Exit(code)
}
