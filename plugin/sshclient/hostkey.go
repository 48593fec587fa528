package sshclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"
)

// pin holds the host key that the server must have, once it is known.
type pin struct {
	known chan struct{}
	key   ssh.PublicKey
	err   error
	// refusal is why check refused the server's key.
	refusal error
}

// newPin starts to find the key out.
func newPin(ctx context.Context, find func(context.Context) (ssh.PublicKey, error)) *pin {
	p := &pin{known: make(chan struct{})}
	go func() {
		defer close(p.known)
		if find != nil {
			p.key, p.err = find(ctx)
		}
	}()
	return p
}

// check returns a callback that waits for the key until ctx ends.
func (p *pin) check(ctx context.Context) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		select {
		case <-p.known:
			p.refusal = p.verify(key)
		case <-ctx.Done():
			p.refusal = context.Cause(ctx)
		}
		return p.refusal
	}
}

func (p *pin) verify(key ssh.PublicKey) error {
	if p.err != nil {
		return fmt.Errorf("finding out the host key: %w", p.err)
	}
	if p.key == nil {
		return errors.New("the host key of the pod is not known")
	}
	if !bytes.Equal(p.key.Marshal(), key.Marshal()) {
		return fmt.Errorf("%w: it is %s instead of %s", ErrHostKeyMismatch,
			ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(p.key))
	}
	return nil
}

// explain returns the refusal behind the failure of a login, if that was it.
func (p *pin) explain(err error) error {
	if p.refusal != nil {
		return p.refusal
	}
	return err
}
