package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

type attachSessionOptions struct {
	factory *Factory
	file    string
	name    string
	list    bool
	output  string
	session string
}

const attachSessionLong = `Attach this terminal to a command that 'up' or 'exec' has started in a development
container, from any machine. Several terminals may be attached at once: all see
what the command writes, all may type, and it sees the size of the smallest.

With several commands, name one by the start of its name, or by its role 'up'.
On a terminal, Enter ~ . leaves; the command goes on.`

func newAttachSessionCmd(f *Factory) *cobra.Command {
	o := &attachSessionOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "attach-session [SESSION]",
		Short: "Attach this terminal to a command that runs already",
		Long:  attachSessionLong,
		Example: `  kubectl okteto attach-session
  kubectl okteto attach-session --list
  kubectl okteto attach-session up --name api`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "manifest; found in this folder when not given")
	cmd.Flags().StringVar(&o.name, "name", "", "development container, where the manifest has several or there is none")
	cmd.Flags().BoolVar(&o.list, "list", false, "list the commands, oldest first")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "output format of --list: json")
	return cmd
}

// Complete takes the session.
func (o *attachSessionOptions) Complete(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("unexpected argument %q: one session at a time", args[1])
	}
	o.session = strings.Join(args, "")
	return nil
}

// Validate refuses flags that contradict each other.
func (o *attachSessionOptions) Validate() error {
	switch {
	case o.list && o.session != "":
		return usagef("--list lists every session: leave %q out", o.session)
	case !o.list && o.output != "":
		return usagef("--output goes with --list")
	}
	return validateOutput(o.output)
}

// Run lists, or attaches and passes the command's status on.
func (o *attachSessionOptions) Run(cmd *cobra.Command) error {
	err := o.run(cmd.Context())
	if o.list {
		return err
	}
	return statusOf(err)
}

func (o *attachSessionOptions) run(ctx context.Context) error {
	f := o.factory
	env, err := f.findActive(ctx, o.file, o.name)
	if err != nil {
		return err
	}
	defer env.use(ctx)()
	list, err := f.sessions(ctx, env)
	switch {
	case err != nil:
		return err
	case o.list && o.output == "json":
		return json.NewEncoder(f.Streams.Out).Encode(list)
	case o.list:
		return printSessions(f.Streams.Out, list)
	}
	chosen, err := chooseSession(list, o.session)
	if err != nil {
		return err
	}
	return f.join(ctx, env, chosen)
}

// sessions asks the dev container for its commands.
func (f *Factory) sessions(ctx context.Context, env *active) ([]sshclient.Session, error) {
	client, err := f.connect(ctx, env)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	return client.Sessions(ctx)
}

// sessionError means that it is not clear which session is meant.
type sessionError struct {
	text string
	// some tells whether there is any.
	some bool
}

func (e *sessionError) Error() string { return e.text }

// chooseSession finds the session that is meant, by its role or the start of its
// name; with "" there must be one.
func chooseSession(list []sshclient.Session, named string) (sshclient.Session, error) {
	var found []sshclient.Session
	for _, s := range list {
		if s.Exit != nil {
			continue
		}
		if s.Role != "" && s.Role == named {
			return s, nil
		}
		if strings.HasPrefix(s.Session.Session, strings.ToUpper(named)) {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(list) == 0:
		return sshclient.Session{}, &sessionError{"no command of `up` or `exec` runs in the development container", false}
	case len(found) == 0 && named == "":
		return sshclient.Session{}, &sessionError{"every command has ended", false}
	case len(found) == 0:
		return sshclient.Session{}, &sessionError{fmt.Sprintf("no command that runs is called %q", named), true}
	}
	var text strings.Builder
	_ = printSessions(&text, found)
	return sshclient.Session{}, &sessionError{fmt.Sprintf("%d commands run, which one is meant?\n%s", len(found), text.String()), true}
}

func printSessions(out io.Writer, list []sshclient.Session) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SESSION\tROLE\tSTARTED\tTERMINALS\tSTATE\tCOMMAND")
	for _, s := range list {
		state := "runs"
		if s.Exit != nil {
			state = fmt.Sprintf("ended with %d", s.Exit.Status)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", s.Session.Session[:min(8, len(s.Session.Session))], cmp.Or(s.Role, "-"),
			s.Started.Local().Format(time.DateTime), s.Clients, state, shortLine(s.Line))
	}
	return table.Flush()
}

// shortLine renders a command line for a table.
func shortLine(line string) string {
	const most = 60
	line = strings.Join(strings.Fields(cmp.Or(line, "(shell)")), " ")
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return line
}

// errLeft means that the user has left a session.
var errLeft = errors.New("left the command, which goes on")

// join attaches to a session until it or the user's interest ends.
func (f *Factory) join(ctx context.Context, env *active, s sshclient.Session) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	command := f.remote("", false)
	if s.TTY {
		command.Stdin = &escape{in: command.Stdin, leave: func() { leave(errLeft) }}
	}
	err := f.persist(ctx, env, sshclient.Join(s.Session.Session, command, f.tellDropped))
	if errors.Is(err, errLeft) {
		f.Console().Note("%v", errLeft)
		return nil
	}
	return err
}

// escape passes input on until Enter ~ . asks to leave, as ssh(1) has it. Two
// tildes are one.
type escape struct {
	in    io.Reader
	leave func()

	// inLine is true after the start of a line, tilde after a tilde there, which
	// is held back.
	inLine, tilde bool
	// rest is what passed and was not read yet, err what comes after it.
	rest []byte
	err  error
}

func (e *escape) Read(p []byte) (int, error) {
	const size = 4096
	for len(e.rest) == 0 && e.err == nil {
		typed := make([]byte, size)
		var n int
		n, e.err = e.in.Read(typed)
		e.rest = e.pass(typed[:n])
	}
	if len(e.rest) == 0 {
		return 0, e.err
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// pass returns what of the input is the command's.
func (e *escape) pass(typed []byte) (out []byte) {
	for _, c := range typed {
		switch {
		case e.tilde && c == '.':
			e.leave()
			e.err = io.EOF
			return out
		case e.tilde && c != '~':
			out = append(out, '~')
		}
		e.tilde = !e.tilde && !e.inLine && c == '~'
		e.inLine = c != '\r' && c != '\n'
		if !e.tilde {
			out = append(out, c)
		}
	}
	return out
}
