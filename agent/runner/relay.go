//go:build linux

package runner

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// Attach lets a client of the protocol of agent/attach speak to the runner, with
// what the sidecar adds, until either ends. When the runner ends first the
// client is told so. The context bounds only the start.
func (c *Client) Attach(ctx context.Context, extra Attach, client io.ReadWriter) error {
	conn, _, err := c.dial(ctx)
	if err != nil {
		return attach.WriteJSON(client, attach.Refused, attach.Refusal{Code: attach.CodeGone, Message: err.Error()})
	}
	defer conn.Close()
	b, err := message(FrameAttach, extra)
	if err != nil {
		return err
	}
	if _, err := conn.Write(b); ignoreClosed(err) != nil {
		return err
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		// To the end of what the client has sent: its last word is that it has
		// received the exit, or that the process is to end.
		_, _ = io.Copy(conn, client)
		conn.Close()
	}()
	left, err := relay(client, conn)
	if left {
		<-heard
	}
	return err
}

// relay passes whole frames on, so that the client can be told when the runner
// ends among them. left tells that the client takes no more.
func relay(client io.Writer, from io.Reader) (left bool, err error) {
	in := bufio.NewReaderSize(from, MaxData)
	buf := make([]byte, frame.HeaderSize+attach.MaxMessage)
	for last := attach.Type(0); ; last = attach.Type(buf[0]) {
		n, err := readWhole(in, buf)
		if err != nil {
			switch last {
			case attach.Exit, attach.Refused, attach.Sessions:
				return false, nil
			}
			// A client that has left is not told, and need not be.
			_ = attach.WriteJSON(client, attach.Refused, attach.Refusal{Code: attach.CodeGone, Message: ErrGone.Error()})
			return false, ignoreClosed(err)
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return true, ignoreClosed(err)
		}
	}
}

// readWhole reads a frame as it is and returns its size.
func readWhole(in io.Reader, buf []byte) (int, error) {
	if _, err := io.ReadFull(in, buf[:frame.HeaderSize]); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint32(buf[1:frame.HeaderSize])
	if t := attach.Type(buf[0]); size > t.Limit() {
		return 0, fmt.Errorf("the runner sent a frame %d of %d bytes", t, size)
	}
	n := frame.HeaderSize + int(size)
	_, err := io.ReadFull(in, buf[frame.HeaderSize:n])
	return n, err
}
