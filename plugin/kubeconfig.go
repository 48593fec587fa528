package plugin

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// login is the way into a cluster that the kubeconfig describes. Its files are
// read again when they change: who logs in again under a running `up` is let in
// again, from the next request or connection on.
type login struct {
	load  func() (*rest.Config, error)
	files []string

	mu     sync.Mutex
	seen   []stamp
	config *rest.Config
	// transport is that of config; nil until a request is made.
	transport http.RoundTripper
}

// stamp tells versions of a file apart; the zero value is that of none.
type stamp struct {
	modified time.Time
	size     int64
}

func newLogin(files []string, load func() (*rest.Config, error)) (*login, error) {
	l := &login{load: load, files: files, seen: stamps(files)}
	config, err := load()
	if err != nil {
		return nil, &kubeconfigError{err}
	}
	l.config = config
	return l, nil
}

// kubeconfigFiles are the files that a kubeconfig comes from.
func kubeconfigFiles(access clientcmd.ConfigAccess) []string {
	if access.IsExplicitFile() {
		return []string{access.GetExplicitFile()}
	}
	return access.GetLoadingPrecedence()
}

func stamps(files []string) []stamp {
	all := make([]stamp, len(files))
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			all[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return all
}

// read looks at the files. Those that cannot be read, as while they are written,
// or that by now name another server, change nothing. The caller holds mu.
func (l *login) read() {
	seen := stamps(l.files)
	if slices.Equal(seen, l.seen) {
		return
	}
	config, err := l.load()
	if err != nil {
		return
	}
	l.seen = seen
	if config.Host == l.config.Host {
		l.config, l.transport = config, nil
	}
}

// REST is the configuration for connections of one's own.
func (l *login) REST() *rest.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read()
	return l.config
}

// now is the transport of this moment.
func (l *login) now() (transport http.RoundTripper, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read()
	if l.transport == nil {
		l.transport, err = rest.TransportFor(l.config)
	}
	return l.transport, err
}

// client is the configuration for clients that live long: they log in through l.
func (l *login) client() (*rest.Config, error) {
	config := l.REST()
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's address: %w", err)
	}
	client := rest.AnonymousClientConfig(config)
	client.Host, client.TLSClientConfig, client.Transport = server.String(), rest.TLSClientConfig{}, l
	return client, nil
}

// RoundTrip makes a request with what the kubeconfig says now.
func (l *login) RoundTrip(r *http.Request) (*http.Response, error) {
	transport, err := l.now()
	if err != nil {
		return nil, fmt.Errorf("using the kubeconfig: %w", err)
	}
	return transport.RoundTrip(r)
}
