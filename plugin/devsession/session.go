// Package devsession keeps alive what `up` is about: the pod, the connection
// to its agent, the sync of folders, the forwards and the command. When the
// connection or the pod is lost it starts them again in place.
package devsession

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/console"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// Environment is the cluster's side of a development environment.
type Environment interface {
	// Activate swaps the workload for its development clone. It is called
	// once.
	Activate(ctx context.Context) error
	// Wait returns when the development container runs, or why it cannot. It
	// calls scheduled with the pod's name as soon as the pod has a node, and
	// progress with what it waits for. Called again after a lost connection,
	// it fails as Hold does when the environment is no longer this session's,
	// with ErrUnreachable when nobody can be asked, and with ErrNoPod when there
	// is no pod for now.
	Wait(ctx context.Context, scheduled func(pod string), progress func(text string)) error
	// Hold keeps the claim on the environment until ctx ends; it fails when
	// somebody else took the environment over, or ended it.
	Hold(ctx context.Context) error
	// Crash says why a container of the pod ended that ran at a moment, such as
	// "OOMKilled"; empty when that cannot be learned. Without a name it is the
	// development container. ends tells that the pod ends as a whole.
	Crash(ctx context.Context, pod, container string, ran time.Time) (reason string, ends bool)
}

// Command is the user's command.
type Command interface {
	// Attach runs it over a connection, or goes on with it, as sshclient.Held's
	// does. One that begins waits for what it needs besides the folders.
	Attach(ctx context.Context, client *sshclient.Client) error
	// Running tells whether there is a command to go on with.
	Running() bool
}

// Session is one run of `up`.
type Session struct {
	// Name is the development container's name in the manifest.
	Name string
	// Environment is the cluster's side.
	Environment Environment
	// Connector connects to the agent.
	Connector *Connector
	// Folders are synced, Targets and Reverses forwarded.
	Folders  []*Folder
	Targets  []Target
	Reverses []Reverse
	// Command is the user's command.
	Command Command
	// NoWait runs the command before what the laptop has is in the pod.
	NoWait bool
	// Socket is the path of the control socket.
	Socket string
	// Timeout bounds connecting to a container that runs, and the first answer
	// of everything else.
	Timeout time.Duration
	// Console shows progress.
	Console *console.Console

	standing
}

// standing is how a session stands.
type standing struct {
	link   link
	pulse  pulse
	worked bool
	// agent is the one that was connected to last, unexplained the dev container
	// of which nobody knows yet why it ended.
	agent, unexplained containerStart
}

// errLost wraps what ended a connection that had worked.
var errLost = errors.New("connection lost")

// ErrUnreachable means that the cluster did not answer for as long as one waits.
// A session that had worked goes on trying.
var ErrUnreachable = errors.New("the cluster does not answer")

// ErrLoggedOut means that the cluster does not accept the credentials any more. A
// session that had worked waits for others.
var ErrLoggedOut = errors.New("the cluster does not accept your credentials any more: log in again")

// ErrNoPod means that the pod, which ran before, cannot run at the moment. A
// session that had worked goes on trying.
var ErrNoPod = errors.New("the pod is not back")

// Run activates the environment and runs the command in it until the command
// ends: nil or its *sshclient.ExitError. Anything else is an error that no
// reconnecting can mend, or the cause of ctx's end.
func (s *Session) Run(ctx context.Context) error {
	preparing, stop := context.WithCancel(ctx)
	prepared := make(chan struct{})
	go func() {
		defer close(prepared)
		s.prepare(preparing)
	}()
	defer func() {
		stop()
		<-prepared
	}()
	if err := s.Environment.Activate(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	group, background := errgroup.WithContext(ctx)
	defer func() {
		cancel(nil)
		_ = group.Wait()
	}()
	// Nothing of the background may end the session quietly: its first error
	// becomes the cause that the command's end is reported with.
	keep := func(run func(context.Context) error) {
		group.Go(func() error {
			err := run(background)
			if err != nil && ctx.Err() == nil {
				cancel(err)
			}
			return err
		})
	}
	keep(s.Environment.Hold)
	group.Go(func() error {
		if err := s.serveControl(background); err != nil && ctx.Err() == nil {
			s.Console.Warn("other commands on this machine cannot reach this session: %v", err)
		}
		return nil
	})
	for _, t := range s.Targets {
		keep(func(ctx context.Context) error { return s.serveForward(ctx, t) })
	}
	return s.runUntilDone(ctx)
}

// runUntilDone attempts until something other than a lost connection ends it.
// A session that never got as far as its command, and brings nothing more over,
// gives up after the timeout: what does not work at all will not mend itself.
func (s *Session) runUntilDone(ctx context.Context) error {
	trying := newTrying(time.Now(), s.Timeout)
	said := ""
	for {
		synced := s.synced()
		err := s.attempt(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !passing(err) || !trying.again(time.Now(), s.worked, s.synced() > synced) {
			return err
		}
		if text := err.Error(); text != said || errors.Is(err, errLost) {
			said = text
			s.Console.Warn("%v; reconnecting to %s", err, s.Name)
		}
		if errors.Is(err, sshclient.ErrSilent) && s.Connector.HangUp != nil {
			s.Connector.HangUp()
		}
		if err := trying.wait(ctx, err); err != nil {
			return err
		}
		trying.started = time.Now()
	}
}

// farewell is how long what runs over a connection has to end in good order: the
// pod hears at once that it did, and saves what it knows, where the end of a
// connection is news that may take a second to get there.
const farewell = 100 * time.Millisecond

// part ends the connections, if there are any, and waits until nothing uses
// them. On one that is full nothing ends by itself.
func part(l *lines, users *errgroup.Group) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = users.Wait() // what failed is known
	}()
	if l != nil {
		select {
		case <-ended:
		case <-time.After(farewell):
		}
		l.close()
	}
	<-ended
}

// passing tells what another connection mends.
func passing(err error) bool {
	return errors.Is(err, errLost) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrLoggedOut) || errors.Is(err, ErrNoPod)
}

// synced returns how many changes were brought over since the session began.
func (s *Session) synced() (n int) {
	for _, f := range s.Folders {
		n += f.Leader.Status().DoneFiles
	}
	return n
}

// attempt connects, syncs, forwards and runs the command once.
func (s *Session) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	group, groupCtx := errgroup.WithContext(ctx)
	var l *lines
	defer func() {
		cancel(nil)
		part(l, group)
	}()
	s.tellEnd(groupCtx, group, "", s.unexplained)
	s.unexplained = containerStart{}
	start := s.Console.Start()
	// From the command's start on the terminal is the command's.
	var running atomic.Bool
	pod, started, err := s.awaitPod(groupCtx, group, cancel, func(text string) {
		if !running.Load() {
			s.Console.Status("%s", text)
		}
	})
	if err != nil {
		return err
	}
	client, err := s.connect(ctx, pod, started)
	if err != nil {
		if s.worked && ctx.Err() == nil && !s.Connector.final(err) {
			err = lostError(err)
		}
		return err
	}
	l = newLines(client, group, cancel, func() (*sshclient.Client, error) { return s.another(ctx, pod, client) })
	status, err := watchStatus(groupCtx, client)
	if err != nil {
		return cause(ctx, err)
	}
	s.tellRestart(groupCtx, group, pod, status)
	s.setLink(l)
	defer s.setLink(nil)
	if err := s.startSync(groupCtx, group, l, cancel); err != nil {
		return cause(ctx, err)
	}
	s.startReverses(groupCtx, group, l)
	if _, err := status.await(ctx, func(st config.Status) bool { return st.Runner.Running }); err != nil {
		return cause(ctx, err)
	}
	s.worked = true
	s.link.begin()
	running.Store(true)
	start.Done("development container %s is running", s.Name)
	s.showForwards()
	err = s.runCommand(ctx, client, status, pod)
	if _, ended := errors.AsType[*sshclient.ExitError](err); ended {
		// Whatever became of the connection since: the command must not run twice.
		return err
	}
	return cause(ctx, err)
}

// setLink publishes the connections; nil means that there are none.
func (s *Session) setLink(l *lines) {
	s.link.set(l)
	s.pulse.beat()
}

// awaitPod returns as soon as the pod has a node: the agent can often be
// reached before the API server knows that it runs. started is closed when the
// container runs; a pod that cannot start ends ctx.
func (s *Session) awaitPod(ctx context.Context, group *errgroup.Group, cancel context.CancelCauseFunc, progress func(string)) (pod string, started <-chan struct{}, err error) {
	scheduled := make(chan string, 1)
	failed := make(chan error, 1)
	runs := make(chan struct{})
	group.Go(func() error {
		err := s.Environment.Wait(ctx, func(pod string) {
			select {
			case scheduled <- pod:
			default:
			}
		}, progress)
		if err != nil {
			cancel(err)
			failed <- err
			return nil
		}
		close(runs)
		return nil
	})
	select {
	case pod := <-scheduled:
		return pod, runs, nil
	case err := <-failed:
		return "", nil, err
	}
}

// connect reaches the agent, within the timeout once the container has started:
// until then images are pulled, and how long a pod may take is Wait's to say.
func (s *Session) connect(ctx context.Context, pod string, started <-chan struct{}) (*sshclient.Client, error) {
	step := s.Console.Start()
	connecting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-started:
		case <-connecting.Done():
			return
		}
		select {
		case <-time.After(s.Timeout):
			cancel()
		case <-connecting.Done():
		}
	}()
	client, err := s.Connector.Connect(connecting, pod)
	if err != nil {
		return nil, cause(ctx, err)
	}
	step.Done("connected to pod %s", pod)
	return client, nil
}

// another connects within the timeout to the agent that client is connected to.
func (s *Session) another(ctx context.Context, pod string, client *sshclient.Client) (*sshclient.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return s.Connector.again(ctx, pod, client.HostKey())
}

// cause prefers why ctx ended over the error that its end led to.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && err != nil {
		return c
	}
	return err
}

func lostError(err error) error {
	if err == nil {
		return errLost
	}
	return fmt.Errorf("%w: %w", errLost, err)
}
