package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// The exit codes of the plugin itself. `up` and `exec` pass on the status of
// the command that they ran, 128 and the signal's number when a signal ended
// it, and end with exitOwn, as ssh(1) does, when they could not run it.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
	exitOwn         = 255
)

// ownError marks what went wrong before or around a command that the plugin
// ran for the user.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

// statusOf turns the end of a remote command into what exitCode understands.
func statusOf(err error) error {
	var exit *sshclient.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return &codeError{exit.Status}
	default:
		return &ownError{err}
	}
}

// exitCode prints an error with its hint and returns the process's exit code.
// This is the one place that knows either.
func exitCode(c *console.Console, err error) int {
	var code *codeError
	var usage *usageError
	var own *ownError
	var invalid *manifest.InvalidError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return code.code
	case errors.Is(err, context.Canceled), errors.Is(err, errInterrupted):
		c.Error(errInterrupted, hint(err))
		return exitInterrupted
	}
	c.Error(err, hint(err))
	switch {
	case errors.As(err, &usage), errors.As(err, &invalid):
		return exitUsage
	case errors.As(err, &own):
		return exitOwn
	default:
		return exitFailed
	}
}

// hint says what to do about an error; empty when there is nothing to add.
func hint(err error) string {
	for _, rule := range []func(error) string{hintUsage, hintCluster, hintWorkload, hintRefused, hintPod, hintSession} {
		if text := rule(err); text != "" {
			return text
		}
	}
	return ""
}

func hintUsage(err error) string {
	var usage *usageError
	switch {
	case !errors.As(err, &usage) || usage.command == nil:
		return ""
	case usage.command.HasParent():
		return fmt.Sprintf("the usage is `%s`; `%s --help` tells more", usage.command.UseLine(), usage.command.CommandPath())
	default:
		return fmt.Sprintf("`%s --help` lists commands and flags", usage.command.CommandPath())
	}
}

func hintCluster(err error) string {
	var kubeconfig *kubeconfigError
	var unknown *contextError
	var namespace *workload.NamespaceError
	var forbidden *workload.ForbiddenError
	var version *workload.VersionError
	var network *net.OpError
	var request *url.Error
	switch {
	case errors.Is(err, errNoKubeconfig):
		return "set KUBECONFIG or pass --kubeconfig; `kubectl config view` shows what kubectl would use"
	case errors.As(err, &kubeconfig):
		return "check the file that --kubeconfig or KUBECONFIG names, else ~/.kube/config"
	case errors.As(err, &unknown) && len(unknown.Known) > 0:
		return "the contexts are " + strings.Join(unknown.Known, ", ")
	case errors.As(err, &unknown):
		return "pass --context, or choose one with `kubectl config use-context`"
	case apierrors.IsUnauthorized(err):
		return "log in to the cluster again; `kubectl auth whoami` asks it the same way"
	case errors.As(err, &namespace) && namespace.Ending:
		return "the files on this machine stay; when it is gone, it and what runs in it can be made again"
	case errors.As(err, &namespace):
		return fmt.Sprintf("create it with `kubectl create namespace %s`, or name another with -n", namespace.Namespace)
	case errors.As(err, &forbidden):
		return "docs/cluster-permissions.md has the whole Role that these commands need"
	case errors.As(err, &version):
		return "the agent runs as a native sidecar, which Kubernetes has since 1.29"
	case errors.As(err, &network) && network.Op == "dial", errors.As(err, &request):
		return "is the cluster reachable? `kubectl cluster-info` asks it the same way"
	}
	return ""
}

func hintWorkload(err error) string {
	var missing *workload.NotFoundError
	var container *workload.ContainerError
	var ambiguous *workload.AmbiguousError
	var made *workload.MadeError
	var kind *workload.UnknownKindError
	var layout *workload.LayoutError
	var held *workload.HeldError
	var over *workload.TakenOverError
	switch {
	case errors.As(err, &missing) && missing.Dev:
		return fmt.Sprintf("`kubectl okteto up %s` begins", missing.Name)
	case errors.As(err, &missing):
		return fmt.Sprintf("`kubectl get deployments,statefulsets,replicasets,daemonsets,jobs,cronjobs,pods -n %s` lists what there is; "+
			"autocreate: true in the manifest makes a workload from an image", missing.Namespace)
	case errors.As(err, &container):
		return "name one of them as `container` in the manifest, or leave it out for the first"
	case errors.As(err, &ambiguous):
		return "make the selector narrower, or name one of them instead"
	case errors.As(err, &kind):
		return "`kubectl api-resources --namespaced` lists the kinds; those with a pod template can be developed in"
	case errors.As(err, &layout):
		return "where it has that, say so by `paths` in the manifest: docs/manifest.md has an example"
	case errors.As(err, &made):
		return fmt.Sprintf("`kubectl okteto up %s` develops in that", made.By)
	case errors.As(err, &held):
		return fmt.Sprintf("`kubectl okteto exec %s -- <command>` runs something beside it, `kubectl okteto up %s --take-over` ends it",
			held.Dev, held.Dev)
	case errors.As(err, &over) && !over.Ended:
		return fmt.Sprintf("talk to them, or take it back with `kubectl okteto up %s --take-over`", over.Dev)
	case errors.As(err, &over):
		return fmt.Sprintf("`kubectl okteto up %s` starts anew", over.Dev)
	}
	return ""
}

func hintRefused(err error) string {
	var refused *workload.RefusedError
	if !errors.As(err, &refused) {
		return ""
	}
	switch refused.By {
	case workload.RefusedQuota:
		return "free some resources, lower `resources` in the manifest, or ask for a larger quota: `kubectl describe quota`"
	case workload.RefusedPodSecurity:
		return "set `securityContext` in the workload or the manifest as the message asks: the agent's sidecar takes it over"
	case workload.RefusedLimitRange:
		return "set `resources` in the manifest within what `kubectl describe limitrange` shows"
	case workload.RefusedWebhook, workload.RefusedPolicy:
		return "its owner can tell what it asks for; `metadata`, `image`, `resources` and `securityContext` in the manifest change what is made"
	default:
		return ""
	}
}

func hintPod(err error) string {
	var pod *workload.PodError
	var timeout *workload.TimeoutError
	switch {
	case errors.As(err, &pod) && pod.Container == config.SidecarContainer && (pod.Image != "" || strings.Contains(pod.Message, config.ImagePath)):
		return "push the agent image to a registry that the nodes reach (`make image`) and name it in OKTETO_AGENT_IMAGE or `initContainer.image`"
	case errors.As(err, &pod) && pod.Image != "":
		return "check `image` in the manifest, and that the nodes may pull it"
	case errors.As(err, &pod):
		return fmt.Sprintf("`kubectl describe pod %s` and `kubectl logs %s --all-containers` tell more; "+
			"`kubectl okteto down` gives the original back", pod.Pod, pod.Pod)
	case errors.As(err, &timeout):
		return "`timeout: {resources: 5m}` in the manifest waits longer; `kubectl okteto down` gives the original back"
	}
	return ""
}

func hintSession(err error) string {
	var port *devsession.PortError
	var here *notHereError
	var hybrid *hybridElsewhereError
	var session *sessionError
	switch {
	case errors.As(err, &hybrid):
		return fmt.Sprintf("`kubectl okteto up %s` makes it this machine; `kubectl okteto exec %s --pod` runs the command in the pod", hybrid.Dev, hybrid.Dev)
	case errors.As(err, &here) && here.Holder != "":
		return "run this command there, where `up` runs; `kubectl okteto status` works from everywhere"
	case errors.As(err, &here):
		return fmt.Sprintf("`kubectl okteto up %s` starts to sync", here.Dev)
	case errors.As(err, &port) && port.Privileged:
		return "use a local port of 1024 or above, or let the program bind it: sudo setcap cap_net_bind_service=+ep <path of kubectl-okteto>"
	case errors.As(err, &port) && port.Socket != "":
		return "choose another path in `forward`, in a folder that exists and is yours"
	case errors.As(err, &port) && port.NoAddress():
		return "`interface` must be an address of this machine: localhost, 0.0.0.0 for all, or one of its own"
	case errors.As(err, &port):
		return "choose another local port in `forward`, or end the process that has it"
	case errors.As(err, &session) && session.some:
		return "`kubectl okteto attach-session --list` shows them all"
	case errors.As(err, &session):
		return "`kubectl okteto exec` starts one"
	case errors.Is(err, sshclient.ErrOldAgent):
		return "`kubectl okteto up` renews the agent"
	case errors.Is(err, sshclient.ErrHostKeyMismatch):
		return "somebody else answers in the agent's place, or the pod was replaced this moment: try again"
	case errors.Is(err, manifest.ErrNotFound):
		return "no manifest is needed with a name: `kubectl okteto up <name>`, and the same with down, exec and status"
	}
	return ""
}

// newConsole is the console of a process that could not make its Factory.
func newConsole(streams genericiooptions.IOStreams, env func(string) (string, bool), now func() time.Time) *console.Console {
	f := &Factory{Streams: streams, Env: env, Now: now}
	return f.Console()
}
