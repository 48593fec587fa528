package syncproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// ErrNotSync means that the other end does not speak this protocol at all.
var ErrNotSync = errors.New("the other end does not speak the sync protocol")

// Side says which end of a session one is.
type Side bool

// The two sides. The laptop's end leads: it merges, and speaks first.
const (
	SideLaptop Side = true
	SidePod    Side = false
)

// VersionError means that the two ends speak different versions.
type VersionError struct {
	Side                    Side // where the error occurred
	Local, Remote           uint16
	LocalBuild, RemoteBuild string
}

// Error says which side to upgrade.
func (e *VersionError) Error() string {
	older := e.Side
	if e.Local > e.Remote {
		older = !e.Side
	}
	laptop, pod := e.Local, e.Remote
	laptopBuild, podBuild := e.LocalBuild, e.RemoteBuild
	if e.Side == SidePod {
		laptop, pod, laptopBuild, podBuild = pod, laptop, podBuild, laptopBuild
	}
	advice := "upgrade kubectl-okteto on the laptop"
	if older == SidePod {
		advice = "upgrade the agent image in the pod"
	}
	return fmt.Sprintf("sync protocol version %d on the laptop (build %q) but %d in the pod (build %q): %s",
		laptop, laptopBuild, pod, podBuild, advice)
}

// appendHello appends a hello to b.
func appendHello(b []byte, version uint16, build string) []byte {
	build = build[:min(len(build), MaxBuild)]
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, version)
	return append(append(b, byte(len(build))), build...)
}

// Hello exchanges hellos; it must be the first use of the connection. It
// returns the other end's build. The error is a *VersionError when the
// versions differ, and wraps ErrNotSync when something else answers.
func (c *Conn) Hello(side Side, build string) (string, error) {
	write := func() error {
		if _, err := c.rwc.Write(appendHello(nil, Version, build)); err != nil {
			return fmt.Errorf("sending hello: %w", err)
		}
		return nil
	}
	if side == SideLaptop {
		if err := write(); err != nil {
			return "", err
		}
	}
	version, remote, err := c.readHello()
	if err != nil {
		return "", err
	}
	if side == SidePod {
		// Answer before judging, so that an older laptop learns why it fails.
		if err := write(); err != nil {
			return "", err
		}
	}
	if version != Version {
		return remote, &VersionError{Side: side, Local: Version, Remote: version, LocalBuild: build, RemoteBuild: remote}
	}
	return remote, nil
}

func (c *Conn) readHello() (version uint16, build string, err error) {
	var head [len(magic) + 3]byte
	n, err := io.ReadFull(c.r, head[:len(magic)])
	if string(head[:n]) != magic[:n] || err == nil && n < len(magic) {
		return 0, "", c.bannerError(head[:n])
	}
	if err == nil {
		_, err = io.ReadFull(c.r, head[len(magic):])
	}
	if err != nil {
		return 0, "", fmt.Errorf("%w: reading hello: %w", ErrNotSync, err)
	}
	text := make([]byte, head[len(magic)+2])
	if _, err := io.ReadFull(c.r, text); err != nil {
		return 0, "", fmt.Errorf("%w: reading hello: %w", ErrNotSync, err)
	}
	return binary.BigEndian.Uint16(head[len(magic):]), printable(text), nil
}

// bannerError quotes what arrived instead of a hello: head, and whatever came
// with it, without waiting for more.
func (c *Conn) bannerError(head []byte) error {
	rest, _ := c.r.Peek(min(c.r.Buffered(), MaxBuild))
	return fmt.Errorf("%w: it says %q where the hello belongs", ErrNotSync, printable(append(head, rest...)))
}

// printable keeps text of unknown origin fit for a terminal.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.TrimSpace(string(b)))
}
