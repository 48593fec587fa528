// Command kubernetes is the five Kubernetes programs and etcd as one binary:
// they share most of their code, so one link step and one file on disk serve
// all of them. The first argument names the program to be.
package main

import (
	"context"
	"fmt"
	"os"
	_ "time/tzdata" // CronJobs may name a time zone, and the machine may have none.

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: kubernetes PROGRAM [FLAGS]")
		os.Exit(2)
	}
	// Each program parses os.Args itself and expects its own name in front.
	os.Args = os.Args[1:]
	if os.Args[0] == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	command := newCommand(os.Args[0])
	if command == nil {
		fmt.Fprintf(os.Stderr, "kubernetes: no program is called %q\n", os.Args[0])
		os.Exit(2)
	}
	os.Exit(cli.Run(command))
}

// newCommand builds only the program that was asked for: each one registers
// its feature gates and metrics in process-wide registries, where two of them
// would collide.
func newCommand(program string) *cobra.Command {
	switch program {
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		return controllers.NewControllerManagerCommand()
	case "kube-scheduler":
		return scheduler.NewSchedulerCommand()
	case "kube-proxy":
		return proxy.NewProxyCommand()
	case "kubelet":
		return kubelet.NewKubeletCommand(context.Background())
	default:
		return nil
	}
}
