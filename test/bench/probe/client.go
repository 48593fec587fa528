package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Client talks to a probe that runs as a process, here or behind a program
// such as kubectl. It is used by one goroutine at a time.
type Client struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
	errors  bytes.Buffer
	boot    string
}

// Start starts a command that becomes a probe.
func Start(cmd *exec.Cmd) (*Client, error) {
	c := &Client{cmd: cmd}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	c.answers = json.NewDecoder(out)
	cmd.Stderr = &c.errors
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	hello, err := c.ask(request{Verb: verbHello})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.boot = hello.Boot
	return c, nil
}

// Close ends the probe.
func (c *Client) Close() error {
	if err := errors.Join(c.in.Close(), c.cmd.Wait()); err != nil {
		return fmt.Errorf("the probe: %w: %s", err, c.errors.Bytes())
	}
	return nil
}

// Tree reads the probe's whole tree.
func (c *Client) Tree() (Tree, error) {
	a, err := c.ask(request{Verb: verbSum})
	return a.Tree, err
}

// Latency has writer make an edit and returns how long it took until reader
// saw it. Where the two share a clock, the way of the answer is not part of it.
func Latency(writer, reader *Client, e Edit) (time.Duration, error) {
	if _, err := reader.ask(request{Verb: verbAwait, Edit: e}); err != nil {
		return 0, err
	}
	sent := time.Now()
	began, err := writer.ask(request{Verb: verbMake, Edit: e})
	if err != nil {
		return 0, err
	}
	seen, err := reader.next()
	if err != nil {
		return 0, fmt.Errorf("%s of %q: %w", e.Kind, e.Path, err)
	}
	if !SameClock(writer, reader) {
		return time.Since(sent), nil
	}
	return time.Duration(seen.At - began.At), nil
}

// SameClock reports whether two probes run on the same machine.
func SameClock(a, b *Client) bool { return a.boot != "" && a.boot == b.boot }

// ask sends a request and reads the first answer.
func (c *Client) ask(r request) (answer, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return answer{}, err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return answer{}, fmt.Errorf("asking the probe: %w", err)
	}
	return c.next()
}

func (c *Client) next() (answer, error) {
	var a answer
	if err := c.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("the probe's answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}
