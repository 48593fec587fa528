package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

func TestExitCode(t *testing.T) {
	invalid := &manifest.InvalidError{Path: "okteto.yaml", Problems: []manifest.Problem{{Message: "no"}}}
	remote := &sshclient.ExitError{Status: 3}
	for _, c := range []struct {
		name  string
		err   error
		code  int
		print string
	}{
		{"nothing wrong", nil, 0, ""},
		{"the command's status", statusOf(remote), 3, ""},
		{"the command's status, wrapped", fmt.Errorf("running: %w", statusOf(remote)), 3, ""},
		{"a command that worked", statusOf(nil), 0, ""},
		{"around a command", statusOf(errors.New("no pod")), 255, "error: no pod\n"},
		{"wrong usage", usagef("no such flag"), 2, "error: no such flag\n"},
		{"a wrong manifest", invalid, 2, "error: okteto.yaml: no\n"},
		{"a wrong manifest of up", statusOf(invalid), 2, "error: okteto.yaml: no\n"},
		{"interrupted", statusOf(errInterrupted), 130, "error: interrupted\n"},
		{"interrupted inside", statusOf(fmt.Errorf("get: %w", context.Canceled)), 130, "error: interrupted\n"},
		{"anything else", errors.New("broken\n"), 1, "error: broken\n"},
		{"with a hint", &manifest.NotFoundError{Looked: []string{"x"}}, 1, "error: there is no okteto manifest at x; " +
			"check the path, or leave it out to search the current folder\n" +
			"hint: no manifest is needed with a name: `kubectl okteto up <name>`, and the same with down, exec and status\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := exitCode(console.New(&out, console.Style{}, time.Now), c.err); code != c.code || out.String() != c.print {
				t.Errorf("exit code %d, printed %q; want %d, %q", code, out.String(), c.code, c.print)
			}
		})
	}
}

// TestHint has one row for each line of the tables in exit.go.
func TestHint(t *testing.T) {
	root := &cobra.Command{Use: "okteto"}
	up := &cobra.Command{Use: "up [NAME]", RunE: func(*cobra.Command, []string) error { return nil }}
	root.AddCommand(up)
	for _, c := range []struct {
		err  error
		hint string
	}{
		{errors.New("anything else"), ""},
		{usagef("of an unknown command"), ""},
		{withUsage(up, usagef("wrong")), "the usage is `okteto up [NAME]`; `okteto up --help` tells more"},
		{withUsage(root, errors.New("wrong")), "`okteto --help` lists commands and flags"},
		{withUsage(up, errors.New("not about usage")), ""},

		{errNoKubeconfig, "set KUBECONFIG or pass --kubeconfig; `kubectl config view` shows what kubectl would use"},
		{&kubeconfigError{fs.ErrNotExist}, "check the file that --kubeconfig or KUBECONFIG names, else ~/.kube/config"},
		{&contextError{Name: "x", Known: []string{"a", "b"}}, "the contexts are a, b"},
		{&contextError{}, "pass --context, or choose one with `kubectl config use-context`"},
		{fmt.Errorf("list pods: %w", apierrors.NewUnauthorized("who?")), "log in to the cluster again; `kubectl auth whoami` asks it the same way"},
		{&workload.NamespaceError{Namespace: "shop"}, "create it with `kubectl create namespace shop`, or name another with -n"},
		{&workload.NamespaceError{Namespace: "shop", Ending: true}, "the files on this machine stay; when it is gone, it and what runs in it can be made again"},
		{&workload.ForbiddenError{}, "docs/cluster-permissions.md has the whole Role that these commands need"},
		{&workload.VersionError{}, "the agent runs as a native sidecar, which Kubernetes has since 1.29"},
		{&net.OpError{Op: "dial"}, "is the cluster reachable? `kubectl cluster-info` asks it the same way"},
		{&net.OpError{Op: "read"}, ""},
		{&url.Error{Err: errors.New("EOF")}, "is the cluster reachable? `kubectl cluster-info` asks it the same way"},

		{&workload.NotFoundError{Name: "api", Dev: true}, "`kubectl okteto up api` begins"},
		{&workload.NotFoundError{Namespace: "shop"}, "`kubectl get deployments,statefulsets,replicasets,daemonsets,jobs,cronjobs,pods -n shop` lists what there is; " +
			"autocreate: true in the manifest makes a workload from an image"},
		{&workload.ContainerError{}, "name one of them as `container` in the manifest, or leave it out for the first"},
		{&workload.AmbiguousError{}, "make the selector narrower, or name one of them instead"},
		{&workload.HeldError{Dev: "api"}, "`kubectl okteto exec api -- <command>` runs something beside it, `kubectl okteto up api --take-over` ends it"},
		{&workload.TakenOverError{Dev: "api"}, "talk to them, or take it back with `kubectl okteto up api --take-over`"},
		{&workload.TakenOverError{Dev: "api", Ended: true}, "`kubectl okteto up api` starts anew"},

		{&workload.RefusedError{By: workload.RefusedQuota}, "free some resources, lower `resources` in the manifest, or ask for a larger quota: `kubectl describe quota`"},
		{&workload.RefusedError{By: workload.RefusedPodSecurity}, "set `securityContext` in the workload or the manifest as the message asks: the agent's sidecar takes it over"},
		{&workload.RefusedError{By: workload.RefusedLimitRange}, "set `resources` in the manifest within what `kubectl describe limitrange` shows"},
		{&workload.RefusedError{By: workload.RefusedWebhook}, "its owner can tell what it asks for; `metadata`, `image`, `resources` and `securityContext` in the manifest change what is made"},
		{&workload.RefusedError{By: workload.RefusedOther}, ""},

		{&workload.PodError{Container: config.SidecarContainer, Image: "agent:1"},
			"push the agent image to a registry that the nodes reach (`make image`) and name it in OKTETO_AGENT_IMAGE or `initContainer.image`"},
		{&workload.PodError{Container: config.SidecarContainer, Message: `exec: "/agent": no such file`},
			"push the agent image to a registry that the nodes reach (`make image`) and name it in OKTETO_AGENT_IMAGE or `initContainer.image`"},
		{&workload.PodError{Container: "main", Image: "app:1"}, "check `image` in the manifest, and that the nodes may pull it"},
		{&workload.PodError{Pod: "api-1"}, "`kubectl describe pod api-1` and `kubectl logs api-1 --all-containers` tell more; `kubectl okteto down` gives the original back"},
		{&workload.TimeoutError{}, "`timeout: {resources: 5m}` in the manifest waits longer; `kubectl okteto down` gives the original back"},

		{&devsession.PortError{Privileged: true}, "use a local port of 1024 or above, or let the program bind it: " +
			"sudo setcap cap_net_bind_service=+ep <path of kubectl-okteto>"},
		{&devsession.PortError{Socket: "/a.sock"}, "choose another path in `forward`, in a folder that exists and is yours"},
		{&devsession.PortError{}, "choose another local port in `forward`, or end the process that has it"},
		{&sessionError{text: "which", some: true}, "`kubectl okteto attach-session --list` shows them all"},
		{&sessionError{text: "none"}, "`kubectl okteto exec` starts one"},
		{&hybridElsewhereError{notHereError{Dev: "web"}}, "`kubectl okteto up web` makes it this machine; `kubectl okteto exec web --pod` runs the command in the pod"},
		{sshclient.ErrOldAgent, "`kubectl okteto up` renews the agent"},
		{sshclient.ErrHostKeyMismatch, "somebody else answers in the agent's place, or the pod was replaced this moment: try again"},
		{&manifest.NotFoundError{}, "no manifest is needed with a name: `kubectl okteto up <name>`, and the same with down, exec and status"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("doing something: %w", c.err), &ownError{c.err}} {
			if got := hint(err); got != c.hint {
				t.Errorf("the hint of %T %v is %q, want %q", c.err, err, got, c.hint)
			}
		}
	}
}
