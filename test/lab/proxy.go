package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/kubectl-okteto/kubectl-okteto/tunnel/tunneltest"
)

// Proxy starts a proxy to the API server, for its caller to close, and returns
// it with a kubeconfig in dir that leads through it: what is done to one
// connection must not reach others.
func (l *Lab) Proxy(ctx context.Context, dir string) (*tunneltest.Proxy, string, error) {
	return l.ProxyAt(ctx, dir, "127.0.0.1")
}

// ProxyAt is Proxy with the address of the machine that it listens on, such as
// a Network's Host.
func (l *Lab) ProxyAt(ctx context.Context, dir, host string) (*tunneltest.Proxy, string, error) {
	view, err := l.Kubectl(ctx, "", "config", "view", "--raw", "--minify", "-o", "json")
	if err != nil {
		return nil, "", err
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(view), &config); err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	clusters, _ := config["clusters"].([]any)
	if len(clusters) != 1 {
		return nil, "", fmt.Errorf("the kubeconfig has %d clusters for one context", len(clusters))
	}
	named, _ := clusters[0].(map[string]any)
	cluster, _ := named["cluster"].(map[string]any)
	address, _ := cluster["server"].(string)
	server, err := url.Parse(address)
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	target := server.Host
	if server.Port() == "" {
		target += ":443"
	}
	proxy, err := tunneltest.NewProxyAt(host, target)
	if err != nil {
		return nil, "", err
	}
	cluster["tls-server-name"] = server.Hostname()
	server.Host = proxy.Addr()
	cluster["server"] = server.String()
	file := filepath.Join(dir, "kubeconfig-proxy")
	content, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		return nil, "", errors.Join(err, proxy.Close())
	}
	return proxy, file, nil
}
