// Package lab is the ground that cluster tests, benchmarks and the demo stand
// on: a namespace of their own in the cluster that KUBECONFIG and
// OKTETO_TEST_CONTEXT name, a home folder of their own, and the built plugin.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Lab is one namespace with what is needed to work in it.
type Lab struct {
	// Context is the kube context, Namespace the lab's own namespace,
	// Registry a registry that the cluster pulls from.
	Context, Namespace, Registry string
	// Home is the home folder of the plugin's user.
	Home string
	// Plugin is the path of the plugin's binary.
	Plugin string
}

// Open makes a namespace whose name begins with prefix and a home folder. root
// is the repository's folder.
func Open(ctx context.Context, root, prefix string) (*Lab, error) {
	l := &Lab{Plugin: filepath.Join(root, "bin", "kubectl-okteto")}
	for name, field := range map[string]*string{
		"OKTETO_TEST_CONTEXT": &l.Context, "OKTETO_TEST_REGISTRY": &l.Registry, "OKTETO_AGENT_IMAGE": new(string),
	} {
		if *field = os.Getenv(name); *field == "" {
			return nil, fmt.Errorf("%s is not set: run this through make", name)
		}
	}
	var err error
	if l.Home, err = os.MkdirTemp("", prefix+"-"); err != nil {
		return nil, err
	}
	l.Namespace = fmt.Sprintf("%s-%06x", prefix, rand.Uint32()&0xffffff)
	if _, err := l.Kubectl(ctx, "", "create", "namespace", l.Namespace); err != nil {
		return nil, errors.Join(err, os.RemoveAll(l.Home))
	}
	return l, nil
}

// Close deletes the namespace, without waiting for its end, and the folder. It
// works after the caller's context has ended.
func (l *Lab) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	_, err := l.Kubectl(ctx, "", "delete", "namespace", l.Namespace, "--wait=false")
	return errors.Join(err, os.RemoveAll(l.Home))
}

// Kubectl runs kubectl in the lab's namespace and returns its output.
func (l *Lab) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	base := []string{"--context", l.Context, "-n", l.Namespace}
	cmd := exec.CommandContext(ctx, "kubectl", append(base, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Ready waits until a rollout is complete.
func (l *Lab) Ready(ctx context.Context, workload string) error {
	_, err := l.Kubectl(ctx, "", "rollout", "status", workload, "--timeout="+Patience.String())
	return err
}

// Command prepares a run of the plugin in dir. Ending ctx asks it to stop.
func (l *Lab) Command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	args = append([]string{args[0], "--context", l.Context, "-n", l.Namespace}, args[1:]...)
	cmd := exec.CommandContext(ctx, l.Plugin, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+l.Home, "OKTETO_FOLDER="+filepath.Join(l.Home, ".okteto"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Session is a plugin that runs in the background.
type Session struct {
	// Cmd is the process, Stdin its standard input.
	Cmd   *exec.Cmd
	Stdin io.WriteCloser
	// Stdout and Stderr collect its output.
	Stdout, Stderr *Transcript

	done chan struct{}
	err  error
}

// Start runs the plugin in the background until its command ends or ctx does.
func (l *Lab) Start(ctx context.Context, dir string, args ...string) (*Session, error) {
	s := &Session{Cmd: l.Command(ctx, dir, args...), Stdout: NewTranscript(), Stderr: NewTranscript(), done: make(chan struct{})}
	s.Cmd.Stdout, s.Cmd.Stderr = s.Stdout, s.Stderr
	var err error
	if s.Stdin, err = s.Cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.Cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.Cmd.Wait()
		close(s.done)
	}()
	return s, nil
}

// Wait waits until the plugin has ended, bounded by Patience, and returns its
// exit code.
func (s *Session) Wait() (code int, err error) {
	select {
	case <-s.done:
		return s.Cmd.ProcessState.ExitCode(), nil
	case <-time.After(Patience):
		return 0, fmt.Errorf("the plugin did not end within %v; it wrote:\n%s", Patience, s.Stderr)
	}
}

// End closes the standard input, on which a command such as cat ends, and
// expects a good end.
func (s *Session) End() error {
	_ = s.Stdin.Close()
	if _, err := s.Wait(); err != nil {
		return err
	}
	if s.err != nil {
		return fmt.Errorf("the plugin: %w; it wrote:\n%s", s.err, s.Stderr)
	}
	return nil
}
