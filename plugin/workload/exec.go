package workload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// Exec runs a command in a container and returns what it wrote to standard
// output. stdin may be nil. It costs one connection; WebSocket is tried
// first, SPDY where a server or proxy knows no better. A command that fails
// is an error with the last of its standard error.
func (c *Client) Exec(ctx context.Context, pod, container string, argv []string, stdin io.Reader) ([]byte, error) {
	url := c.Kube.CoreV1().RESTClient().Post().
		Namespace(c.Namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: container, Command: argv, Stdin: stdin != nil, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec).URL()
	cfg := c.Config()
	ws, err := remotecommand.NewWebSocketExecutor(cfg, http.MethodGet, url.String())
	if err != nil {
		return nil, fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(cfg, http.MethodPost, url)
	if err != nil {
		return nil, fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	e, err := remotecommand.NewFallbackExecutor(ws, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return nil, fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	var stdout, stderr bytes.Buffer
	err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		if msg := strings.TrimSpace(stderr.String()); msg != "" {
			err = fmt.Errorf("%w: %s", err, msg)
		}
		return nil, c.wrap(err, core("create", "pods/exec"), pod)
	}
	return stdout.Bytes(), nil
}

// HostKey asks the sidecar for its public host key, one authorized_keys line
// without a newline. The API server vouches for it: who answers is the pod
// that was asked.
func (c *Client) HostKey(ctx context.Context, pod string) (string, error) {
	out, err := c.Exec(ctx, pod, config.SidecarContainer, []string{config.ImagePath, "hostkey"}, nil)
	return strings.TrimSpace(string(out)), err
}

// Authorize lets another public key log in, one authorized_keys line. Doing
// it again changes nothing.
func (c *Client) Authorize(ctx context.Context, pod, key string) error {
	stdin := strings.NewReader(strings.TrimSpace(key) + "\n")
	_, err := c.Exec(ctx, pod, config.SidecarContainer, []string{config.ImagePath, "authorize"}, stdin)
	return err
}
