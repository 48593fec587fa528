package devsession

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// Connector makes authenticated SSH connections to the agent of a pod.
type Connector struct {
	// Dial opens a connection to the agent's port.
	Dial func(ctx context.Context, pod string) (net.Conn, error)
	// HostKey reads the agent's public host key through the API server:
	// whoever may exec into the pod learns it from the pod itself.
	HostKey func(ctx context.Context, pod string) (ssh.PublicKey, error)
	// Authorize adds the user's key to the agent's, the same way, unless the
	// pod template carries it.
	Authorize func(ctx context.Context, pod string) error
	// HangUp closes the connections of API clients, which lead nowhere after
	// nothing was heard over one to the pod; nil leaves that to time.
	HangUp func()
	// Final tells errors that no further attempt mends; nil means none.
	Final func(error) bool
	// Signer is the user's key.
	Signer ssh.Signer
	// AgentSocket is the user's ssh-agent; "" means none.
	AgentSocket string
	// Report is told of forwarded connections that failed; nil drops it.
	Report func(error)

	// reached is the pod that was connected to last, and hostKey its own.
	reached string
	hostKey ssh.PublicKey
}

// retryDelay is the pause between two attempts to reach an agent that is just
// starting. The API server cannot announce that moment: the kubelet reports a
// started container up to a second late.
const retryDelay = 25 * time.Millisecond

// Connect logs in to the agent of a pod. While the pod starts it tries again,
// until ctx ends; what it failed with last is part of the error then. A pod keeps
// its host key, which costs a process in it to ask for: one that was reached
// before is tried without. It is for one goroutine at a time.
func (c *Connector) Connect(ctx context.Context, pod string) (client *sshclient.Client, err error) {
	if c.reached == pod {
		client, err = c.again(ctx, pod, c.hostKey)
	}
	if c.reached != pod || err != nil {
		client, err = c.meet(ctx, pod)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to pod %s: %w", pod, err)
	}
	c.reached, c.hostKey = pod, client.HostKey()
	return client, nil
}

// meet is Connect to a pod of which nothing is known.
func (c *Connector) meet(ctx context.Context, pod string) (*sshclient.Client, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hostKey := c.pin(ctx, cancel, pod)
	var client *sshclient.Client
	err := c.retry(ctx, func() (err error) {
		conn, err := c.Dial(ctx, pod)
		if err != nil {
			return err
		}
		client, err = c.login(ctx, conn, hostKey)
		return err
	})
	if err != nil {
		if reason := context.Cause(ctx); c.final(reason) {
			err = reason
		}
		return nil, err
	}
	return client, nil
}

// again makes another connection to a pod that runs, and whose host key is known.
func (c *Connector) again(ctx context.Context, pod string, hostKey ssh.PublicKey) (*sshclient.Client, error) {
	conn, err := c.Dial(ctx, pod)
	if err != nil {
		return nil, err
	}
	return c.login(ctx, conn, func(context.Context) (ssh.PublicKey, error) { return hostKey, nil })
}

func (c *Connector) login(ctx context.Context, conn net.Conn, hostKey func(context.Context) (ssh.PublicKey, error)) (*sshclient.Client, error) {
	return sshclient.NewClient(ctx, conn, sshclient.Config{
		Signer: c.Signer, HostKey: hostKey, AgentSocket: c.AgentSocket, Report: c.Report,
	})
}

// pin asks for the host key, once, while the connection is being made: the two
// take about as long as each other. The key is added first where it has to be,
// so that whoever knows the host key may also log in. A final failure ends ctx.
func (c *Connector) pin(ctx context.Context, end context.CancelCauseFunc, pod string) func(context.Context) (ssh.PublicKey, error) {
	var key ssh.PublicKey
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed = c.retry(ctx, func() (err error) {
			if err := c.Authorize(ctx, pod); err != nil {
				return err
			}
			key, err = c.HostKey(ctx, pod)
			return err
		})
		if c.final(failed) {
			end(failed)
		}
	}()
	return func(ctx context.Context) (ssh.PublicKey, error) {
		select {
		case <-done:
			return key, failed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// final tells errors that no further attempt mends.
func (c *Connector) final(err error) bool {
	return errors.Is(err, sshclient.ErrHostKeyMismatch) || err != nil && c.Final != nil && c.Final(err)
}

// retry tries until it works, fails for good, or ctx ends; then it returns the
// last error that was not about ctx.
func (c *Connector) retry(ctx context.Context, try func() error) error {
	var last error
	for {
		err := try()
		if err == nil || c.final(err) {
			return err
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(retryDelay):
		}
	}
}
