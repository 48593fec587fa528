package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

type statusOptions struct {
	factory *Factory
	file    string
	watch   bool
	output  string
	name    string
}

func newStatusCmd(f *Factory) *cobra.Command {
	o := &statusOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show sync, holder, forwards and pod of a development container",
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "print again whenever something changes")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

// Complete takes the name.
func (o *statusOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	var command []string
	if o.name, command, err = splitDash(cmd, args); err == nil && command != nil {
		err = usagef("status runs no command")
	}
	return err
}

// Validate checks the output format.
func (o *statusOptions) Validate() error { return validateOutput(o.output) }

// Run asks the cluster and the agent. Watching goes on in the next pod when one
// is replaced, and ends with the environment.
func (o *statusOptions) Run(cmd *cobra.Command) error {
	const pause = 500 * time.Millisecond
	ctx := cmd.Context()
	for {
		err := o.follow(ctx)
		replaced := errors.Is(err, sshclient.ErrConnectionLost) || errors.Is(err, errNoPod)
		if !o.watch || !replaced || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// follow prints what one pod's agent says: once, or, watching, at each change
// until the connection ends.
func (o *statusOptions) follow(ctx context.Context) error {
	env, err := o.factory.findActive(ctx, o.file, o.name)
	if err != nil {
		return err
	}
	client, err := o.factory.connect(ctx, env)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var printed error
	first := true
	err = devsession.FollowStatus(ctx, client, func(st config.Status) {
		if !first {
			// Who holds it may have changed too.
			if now, err := o.factory.lookUp(ctx, env.Dev); err == nil {
				env = now
			}
		}
		first = false
		if printed = o.print(env, st); printed != nil || !o.watch {
			cancel()
		}
	})
	if printed != nil {
		return printed
	}
	return err
}

// report is what `status -o json` prints.
type report struct {
	Name      string        `json:"name"`
	Workload  string        `json:"workload"`
	Namespace string        `json:"namespace"`
	Pod       string        `json:"pod"`
	Holder    string        `json:"holder,omitempty"`
	Since     time.Time     `json:"since,omitzero"`
	Forwards  []string      `json:"forwards,omitempty"`
	Agent     config.Status `json:"agent"`
}

func (o *statusOptions) print(env *active, st config.Status) error {
	r := report{
		Name: env.Dev, Workload: strings.ToLower(string(env.Kind)) + "/" + env.Name, Namespace: env.cluster.Namespace,
		Pod: env.Pod.Name, Forwards: env.Forwards, Agent: st,
	}
	if !env.Expired {
		r.Holder, r.Since = env.Holder, env.Since
	}
	out := o.factory.Streams.Out
	if o.output == "json" {
		return json.NewEncoder(out).Encode(r)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(key, format string, args ...any) {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", key, fmt.Sprintf(format, args...))
	}
	row("Name", "%s (%s in namespace %s)", r.Name, r.Workload, r.Namespace)
	row("Pod", "%s", r.Pod)
	row("Container", "%s", describeRunner(st.Runner))
	if r.Holder != "" {
		row("Held by", "%s since %s", r.Holder, r.Since.Local().Format(time.DateTime))
	} else {
		row("Held by", "nobody")
	}
	for _, root := range st.Roots {
		row("Sync", "%s", describeRoot(root))
	}
	for _, forward := range r.Forwards {
		row("Forward", "%s", forward)
	}
	return table.Flush()
}

func describeRunner(r config.RunnerStatus) string {
	switch {
	case !r.Running && r.Starts == 0:
		return "not started yet"
	case !r.Running:
		return "ended, waiting for its restart"
	case r.Starts == 2:
		return fmt.Sprintf("running since %s, restarted once", r.Started.Local().Format(time.DateTime))
	case r.Starts > 2:
		return fmt.Sprintf("running since %s, restarted %d times", r.Started.Local().Format(time.DateTime), r.Starts-1)
	default:
		return "running since " + r.Started.Local().Format(time.DateTime)
	}
}

func describeRoot(r config.RootStatus) string {
	text := fmt.Sprintf("%s: %s, %d files, %s", r.Path, r.State, r.Files, console.Bytes(r.Bytes))
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}
