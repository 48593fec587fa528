package plugin

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

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
	board   console.Board
}

const statusLong = `Show the pod, the container and its restarts, who holds the development container,
the state of sync and the forwards.

Where 'up' runs on this machine it tells about sync: what is pending and for how
long, how much is moved, conflicts, and what is held or stopped. Elsewhere the pod
tells what it knows.`

func newStatusCmd(f *Factory) *cobra.Command {
	o := &statusOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show sync, holder, forwards and pod of a development container",
		Long:  statusLong,
		RunE:  func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "show again whenever something changes")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

// Complete takes the name.
func (o *statusOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	o.name, err = onlyName(cmd, args, cmd.Name())
	return err
}

// Validate checks the output format.
func (o *statusOptions) Validate() error { return validateOutput(o.output) }

// Run asks the cluster, the agent and the `up` of this machine. Watching goes on
// in the next pod when one is replaced, and ends with the environment.
func (o *statusOptions) Run(cmd *cobra.Command) error {
	const pause = 500 * time.Millisecond
	ctx := cmd.Context()
	o.board.W = o.factory.Streams.Out
	if file, ok := o.factory.Streams.Out.(*os.File); ok && o.output == "" && o.watch && term.IsTerminal(int(file.Fd())) {
		o.board.Width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 0
			}
			return width
		}
	}
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

// follow shows what one pod's agent and the session here say: once, or,
// watching, at each change until the connection ends.
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
	agent := make(chan config.Status)
	ended := make(chan error, 1)
	go func() {
		ended <- devsession.FollowStatus(ctx, client, func(st config.Status) {
			select {
			case agent <- st:
			case <-ctx.Done():
			}
		})
	}()
	here := &sessionWatch{control: devsession.Control{Socket: o.factory.controlSocket(env.cluster, env.Dev)}}
	r := newReport(env)
	for {
		select {
		case st := <-agent:
			if !r.asked.IsZero() && !sameUsers(r.Agent, st) {
				// Who holds it may have changed too.
				if now, err := o.factory.lookUp(ctx, env.Dev); err == nil {
					r.take(now)
				}
			}
			r.Agent, r.asked = st, o.factory.Now()
			if o.watch {
				here.start(ctx)
			} else {
				r.session = here.once(ctx)
			}
		case s := <-here.news:
			r.session = s
		case err := <-ended:
			return err
		}
		if r.asked.IsZero() {
			continue
		}
		if err := o.show(r); err != nil || !o.watch {
			return err
		}
	}
}

// sameUsers tells whether nobody came, left or started anew between two
// statuses of an agent.
func sameUsers(a, b config.Status) bool {
	return a.Clients == b.Clients && a.Sessions == b.Sessions && a.Runner == b.Runner
}

// sessionWatch follows the `up` of this machine, if there is one.
type sessionWatch struct {
	control devsession.Control
	// news has the session's status at each change, and nil when it has ended.
	news chan *devsession.SyncStatus
	// over is closed when the last watch has ended; nil before the first.
	over chan struct{}
}

// once returns the session's status; nil when there is no session, or none that
// answers soon.
func (w *sessionWatch) once(ctx context.Context) *devsession.SyncStatus {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := w.control.Status(ctx)
	if err != nil {
		return nil
	}
	return &s
}

// start begins to follow the session, unless that is under way.
func (w *sessionWatch) start(ctx context.Context) {
	if w.over != nil {
		select {
		case <-w.over:
		default:
			return
		}
	}
	if w.news == nil {
		w.news = make(chan *devsession.SyncStatus)
	}
	over := make(chan struct{})
	w.over = over
	go func() {
		defer close(over)
		had := false
		tell := func(s *devsession.SyncStatus) error {
			had = true
			select {
			case w.news <- s:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		_ = w.control.Watch(ctx, func(s devsession.SyncStatus) error { return tell(&s) })
		if had {
			_ = tell(nil)
		}
	}()
}
