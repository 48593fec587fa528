package sshclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// Session describes a held command.
type Session struct{ attach.Session }

// Sessions returns the held commands of the dev container, oldest first.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	channel, err := c.Subsystem(ctx, config.SubsystemSession)
	if errors.Is(err, errRefused) {
		return nil, ErrOldAgent
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = channel.Close() }()
	return await(ctx, func() ([]Session, error) { return sessions(channel) }, func([]Session) {})
}

func sessions(channel io.ReadWriter) ([]Session, error) {
	if _, err := channel.Write(frame.New(attach.List, nil)); err != nil {
		return nil, fmt.Errorf("asking for the commands: %w", err)
	}
	t, payload, err := attach.Read(channel)
	if err != nil {
		return nil, fmt.Errorf("asking for the commands: %w", err)
	}
	if t == attach.Refused {
		var refusal attach.Refusal
		if err := json.Unmarshal(payload, &refusal); err == nil {
			return nil, &RefusedError{refusal.Message}
		}
	}
	var list []Session
	return list, frame.Decode(t, attach.Sessions, payload, &list)
}
