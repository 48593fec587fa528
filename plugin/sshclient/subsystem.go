package sshclient

import (
	"context"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"
)

// Subsystem starts a subsystem (RFC 4254 section 6.5) and returns its input
// and output. The result also has a CloseWrite, which ends only its input. If
// the connection breaks, Read and Write fail with ErrConnectionLost instead of
// io.EOF. What the subsystem writes to stderr is dropped. ctx bounds only the
// start.
func (c *Client) Subsystem(ctx context.Context, name string) (io.ReadWriteCloser, error) {
	s, err := c.openSession(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, "subsystem", ssh.Marshal(struct{ Name string }{name})); err != nil {
		s.close()
		return nil, err
	}
	go ssh.DiscardRequests(s.requests)
	go func() { _, _ = io.Copy(io.Discard, s.channel.Stderr()) }()
	return &stream{Channel: s.channel, client: c}, nil
}

// stream is a channel that tells its end from that of the connection.
type stream struct {
	ssh.Channel
	client *Client
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Channel.Read(p)
	return n, s.explain(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Channel.Write(p)
	return n, s.explain(err)
}

func (s *stream) explain(err error) error {
	if err == nil {
		return nil
	}
	return s.client.explain(err)
}

// Close ends the stream in both directions; to close it again is no error.
func (s *stream) Close() error {
	if err := s.Channel.Close(); err != nil && !errors.Is(err, io.EOF) {
		return s.client.explain(err)
	}
	return nil
}
