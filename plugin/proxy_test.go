package plugin

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// TestProxyEndsWithSSH ends either side: the other one must not stay.
func TestProxyEndsWithSSH(t *testing.T) {
	start := func(in io.Reader) (pod net.Conn, out *bytes.Buffer, ended <-chan error) {
		conn, pod := net.Pipe()
		out, done := &bytes.Buffer{}, make(chan error, 1)
		go func() { done <- pass(t.Context(), genericiooptions.IOStreams{In: in, Out: out}, conn) }()
		return pod, out, done
	}
	pod, _, ended := start(strings.NewReader("from ssh"))
	if got, err := io.ReadAll(pod); string(got) != "from ssh" || err != nil {
		t.Errorf("the pod reads %q, %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after the end of ssh: %v", err)
	}
	in, stdin := io.Pipe()
	defer func() { _ = stdin.Close() }()
	pod, out, ended := start(in)
	if _, err := io.WriteString(pod, "from the pod"); err != nil {
		t.Error(err)
	}
	_ = pod.Close()
	if err := <-ended; err != nil || out.String() != "from the pod" {
		t.Errorf("after the end of the pod: %q, %v", out, err)
	}
}
