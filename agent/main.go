//go:build linux

// Package agent is the program in a development pod, one static binary with a
// role for each of its places: the sidecar, the runner that is PID 1 of the dev
// container, and the small commands around them.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/autodown"
	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/runner"
	"github.com/kubectl-okteto/kubectl-okteto/agent/scp"
	"github.com/kubectl-okteto/kubectl-okteto/agent/sshd"
)

// Exit statuses of the program.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitTerminated = 128 + 15
)

// hostKeyTimeout is how long the hostkey role waits for the sidecar.
const hostKeyTimeout = 10 * time.Second

// autoDownTimeout bounds one look of the autodown role; there will be another.
const autoDownTimeout = time.Minute

const usage = `usage: agent ROLE [ARGUMENTS]

sidecar [--port N] [--authorized-key KEY]... [--root DIR]... [--volume DIR]...
        [--exclude PATH]... [--seed-from DIR]
             serve SSH on 127.0.0.1
runner       be PID 1 of the dev container
install DIR [FOLDER]...
             copy this program to DIR/agent, and make the folders
hostkey      print the public host key of the sidecar
authorize    let the public key on standard input log in
autodown --after TIME --lease PATH [--original PATH] [--memory PATH]
    [--resume PATH]... [--paused-for KIND/NAME] [--delete PATH]...
             give the original back when no laptop was heard of for so long
seed [FROM TO]...
             copy folders of the image into an empty workspace
environment  print the environment, each variable ended by a zero byte
sftp-server  serve SFTP on standard input and output
scp          be the remote end of scp -O
version      print the version
`

// errUsage is a command line that means nothing.
var errUsage = errors.New("wrong usage")

// Main runs the role that the arguments name and returns the exit status of
// the program. The context ends with SIGTERM.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	p := program{stdin: stdin, stdout: stdout, log: slog.New(slog.NewTextHandler(stderr, nil))}
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, args[0], args[1:]) }()
	var err error
	select {
	case err = <-done:
	case <-ended(ctx, args[0]):
		return exitTerminated
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "agent: %v\n%s", err, usage)
		return exitUsage
	case err != nil:
		fmt.Fprintf(stderr, "agent: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// ended returns the end of the context for those roles that read standard
// input, which nothing else interrupts. The others end in order by themselves.
func ended(ctx context.Context, role string) <-chan struct{} {
	switch role {
	case "sftp-server", "scp", "authorize":
		return ctx.Done()
	}
	return nil
}

// program is what the roles share.
type program struct {
	stdin  io.Reader
	stdout io.Writer
	log    *slog.Logger
}

func (p program) run(ctx context.Context, role string, args []string) error {
	switch role {
	case "sidecar":
		c, err := config.ParseSidecar(args)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return Sidecar{
			Config: c, RunDir: config.RunDir, StateDir: config.StateDir, WorkspaceDir: config.WorkspaceDir, Log: p.log,
		}.Run(ctx)
	case "runner":
		return RunnerRole{RunDir: config.RunDir, Log: p.log}.Run(ctx)
	case "seed":
		c, err := config.ParseSeed(args)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return Seed(ctx, c, p.log)
	case "autodown":
		c, err := config.ParseAutoDown(args)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return p.autoDown(ctx, c)
	case "install":
		c, err := config.ParseInstall(args)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return Install(c)
	case "hostkey":
		return p.hostKey(ctx)
	case "authorize":
		return sshd.Authorize(config.StateDir, p.stdin)
	case "environment":
		return p.environment(os.Environ())
	case "sftp-server":
		return runner.ServeSFTP(p.stdin, p.stdout)
	case "scp":
		return scp.Run(args, p.stdin, p.stdout)
	case "version":
		_, err := fmt.Fprintln(p.stdout, config.Version())
		return err
	}
	return fmt.Errorf("%w: unknown role %q", errUsage, role)
}

// environment prints variables as the subsystem of that name promises.
func (p program) environment(env []string) error {
	_, err := io.WriteString(p.stdout, strings.Join(append(env, "", ""), "\x00"))
	return err
}

func (p program) hostKey(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hostKeyTimeout)
	defer cancel()
	line, err := sshd.WaitHostKey(ctx, config.StateDir)
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(line)
	return err
}

func (p program) autoDown(ctx context.Context, c config.AutoDown) error {
	ctx, cancel := context.WithTimeout(ctx, autoDownTimeout)
	defer cancel()
	server, err := autodown.InCluster(autodown.ServiceAccountDir, os.Getenv)
	if err != nil {
		return err
	}
	return autodown.Run(ctx, c, server, p.log)
}

// RunnerRole is PID 1 of the dev container.
type RunnerRole struct {
	// RunDir is the folder of the socket, shared with the sidecar.
	RunDir string
	// Log gets few lines.
	Log *slog.Logger
}

// Run runs until the context ends and all processes have.
func (r RunnerRole) Run(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the working directory: %w", err)
	}
	return runner.New(runner.Config{
		Dir: r.RunDir, Exe: exe, Version: config.Version(),
		Env: os.Environ(), Workdir: dir, Log: r.Log,
	}).Run(ctx)
}
