package devsession

import (
	"context"
	"errors"
	"os"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/hybrid"
)

// Here is where the command of hybrid mode runs on this machine, and with what.
type Here struct {
	// Dir is its folder, Env its environment.
	Dir string   `json:"dir"`
	Env []string `json:"env"`
}

// Local returns where the session's command runs on this machine; nil when it runs
// in the pod, or the session does not know hybrid mode.
func (c Control) Local(ctx context.Context) (*Here, error) {
	here, err := one[*Here](ctx, c, methodLocal, params{})
	var refused *control.Error
	if errors.As(err, &refused) && refused.Code == control.CodeMethod {
		return nil, nil
	}
	return here, err
}

// answerLocal tells of the command of hybrid mode.
func (s *Session) answerLocal(_ context.Context, q question) error {
	local, ok := s.Command.(*Local)
	if !ok {
		return q.reply((*Here)(nil))
	}
	local.mu.Lock()
	defer local.mu.Unlock()
	if local.process == nil {
		return errors.New("the pod's environment is not here yet: `up` is about to start its command")
	}
	return q.reply(&Here{Dir: local.Dir, Env: local.network.outside(local.env)})
}

// Run runs another command there, or a shell, until it or ctx ends: the end of the
// one is nil or an *sshclient.ExitError, that of the other its cause. Either ends all
// that the command has started.
func (h *Here) Run(ctx context.Context, command []string, stdin, stdout, stderr *os.File) error {
	if len(command) == 0 {
		command = hybrid.UserShell(h.Env)
	}
	ended := make(chan hybrid.Exit, 1)
	process, err := hybrid.Start(hybrid.Config{
		Argv: command, Dir: h.Dir, Env: h.Env, Stdin: stdin, Stdout: stdout, Stderr: stderr,
		Ended: func(e hybrid.Exit) { ended <- e },
	})
	if err != nil {
		return err
	}
	defer process.Stop()
	select {
	case e := <-ended:
		return exitOf(e)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
