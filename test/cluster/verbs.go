package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
)

const (
	defaultState  = "/var/tmp/okteto-test-cluster"
	defaultSubnet = "10.213.0.0/16"
	contextVar    = "OKTETO_TEST_CONTEXT"
	registryVar   = "OKTETO_TEST_REGISTRY"
)

// cluster is what the verbs work on.
type cluster struct {
	state    string       // state folder
	subnet   netip.Prefix // of a new node
	external string       // kube context of a cluster that is not ours; "" for our own
	out, log io.Writer
}

// run runs a verb and returns the exit code: 0 when all is well, 1 when it is
// not, 2 when it was called in a wrong way.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	c := cluster{out: out, log: log}
	if name := os.Getenv(contextVar); name != node.Context {
		c.external = name
	}
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() {
		fmt.Fprintln(log, "usage: cluster up|down|status|env|images|start COMPONENT|kill COMPONENT [flags]")
		flags.PrintDefaults()
	}
	flags.StringVar(&c.state, "state", defaultState, "state folder")
	flags.TextVar(&c.subnet, "subnet", netip.MustParsePrefix(defaultSubnet), "an IPv4 /16 that this machine has no use for")
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		flags.Usage()
		return 2
	}
	verb, rest := args[0], args[1:]
	var operand string
	if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		operand, rest = rest[0], rest[1:]
	}
	if err := flags.Parse(rest); err != nil {
		return 2
	}
	if flags.NArg() > 0 || (operand != "") != takesOperand(verb) {
		flags.Usage()
		return 2
	}
	if err := c.do(ctx, verb, operand); err != nil {
		fmt.Fprintln(log, "cluster:", err)
		return 1
	}
	return 0
}

func takesOperand(verb string) bool {
	return verb == "start" || verb == "kill" || verb == superviseVerb
}

// do runs one verb.
func (c cluster) do(ctx context.Context, verb, operand string) error {
	if c.external != "" && verb != superviseVerb {
		return c.doExternal(ctx, verb)
	}
	switch verb {
	case "up":
		return c.up(ctx)
	case "down":
		return c.down(ctx)
	case "status":
		return c.status(ctx)
	case "env":
		return c.env(ctx)
	case "images":
		return c.pushImages(ctx)
	case "start":
		return c.start(ctx, operand)
	case "kill":
		return c.kill(ctx, operand)
	case superviseVerb:
		return supervise(ctx, operand)
	default:
		return fmt.Errorf("no verb is called %q", verb)
	}
}

// doExternal runs a verb when a cluster that is not ours is named: it is
// looked at, and never started, stopped or changed.
func (c cluster) doExternal(ctx context.Context, verb string) error {
	switch verb {
	case "down":
		fmt.Fprintf(c.log, "kube context %s is not of this program's making: left as it is\n", c.external)
		return nil
	case "env":
		fmt.Fprintf(c.out, "export %s=%s\n", contextVar, quote(c.external))
		return nil
	case "up", "status":
		found, err := serverVersion(ctx, c.external)
		if err != nil {
			return fmt.Errorf("kube context %q, named by %s: %w", c.external, contextVar, err)
		}
		fmt.Fprintf(c.log, "kube context %s is reachable: Kubernetes %s\n", c.external, found)
		return nil
	case "images":
		return c.pushImages(ctx)
	default:
		return fmt.Errorf("verb %q is for the cluster of this program only; unset %s", verb, contextVar)
	}
}

// serverVersion asks the API server of a kube context for its version.
func serverVersion(ctx context.Context, kubeContext string) (string, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{CurrentContext: kubeContext}).ClientConfig()
	if err != nil {
		return "", err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return "", err
	}
	body, err := client.RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return "", err
	}
	var info version.Info
	if err := json.Unmarshal(body, &info); err != nil {
		return "", fmt.Errorf("reading the server's version: %w", err)
	}
	return info.GitVersion, nil
}

// progress prints what happens with the time since the start.
func (c cluster) progress() func(format string, args ...any) {
	start := time.Now()
	return func(format string, args ...any) {
		fmt.Fprintf(c.log, "%7.2fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
}

// quote quotes a word for a POSIX shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
