package autodown

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/restore"
)

// ServiceAccountDir is where a pod has what its ServiceAccount logs in with.
const ServiceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// maxAnswer bounds an answer of the API server: etcd holds no larger objects.
const maxAnswer = 8 << 20

// Server is the API server.
type Server struct {
	// URL is its address, without a path.
	URL string
	// Token is what one logs in with.
	Token string
	// Client makes the requests.
	Client *http.Client
}

// InCluster returns the API server of the cluster that this pod is in. dir is
// ServiceAccountDir, env looks up a variable.
func InCluster(dir string, env func(string) string) (*Server, error) {
	host, port := env("KUBERNETES_SERVICE_HOST"), env("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("KUBERNETES_SERVICE_HOST and _PORT are not set: this role runs in a pod")
	}
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		return nil, fmt.Errorf("reading the token of the ServiceAccount: %w", err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of the API server: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("ca.crt of the ServiceAccount holds no certificate")
	}
	return &Server{
		URL:    "https://" + net.JoinHostPort(host, port),
		Token:  strings.TrimSpace(string(token)),
		Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}},
	}, nil
}

// answer is what the API server says.
type answer struct {
	// status is the HTTP status.
	status int
	// at is the server's own clock.
	at time.Time
	// object is what a get or a patch returns.
	object map[string]any
}

// get reads an object.
func (s *Server) get(ctx context.Context, path string) (answer, error) {
	return s.do(ctx, http.MethodGet, path, "", nil)
}

// show reads an object that may be patched and not read, by a patch that changes
// nothing.
func (s *Server) show(ctx context.Context, path string) (answer, error) {
	return s.patch(ctx, path, restore.FieldManager, []byte("{}"))
}

// patch applies a merge patch as a field manager.
func (s *Server) patch(ctx context.Context, path, manager string, body []byte) (answer, error) {
	return s.do(ctx, http.MethodPatch, path+"?fieldManager="+url.QueryEscape(manager), "application/merge-patch+json", body)
}

// create makes an object in a collection, as a field manager.
func (s *Server) create(ctx context.Context, path, manager string, body []byte) (answer, error) {
	return s.do(ctx, http.MethodPost, path+"?fieldManager="+url.QueryEscape(manager), "application/json", body)
}

// delete deletes an object, and what it owns after it: the default of some kinds
// is to leave that.
func (s *Server) delete(ctx context.Context, path string) error {
	_, err := s.do(ctx, http.MethodDelete, path, "application/json", []byte(`{"propagationPolicy":"Background"}`))
	return err
}

// do makes a request. That there is no such object, or another version of it, is
// no error.
func (s *Server) do(ctx context.Context, method, path, kind string, body []byte) (answer, error) {
	fail := func(err error) (answer, error) { return answer{}, fmt.Errorf("%s %s: %w", method, path, err) }
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	req.Header.Set("Accept", "application/json")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fail(err)
	}
	a := answer{status: resp.StatusCode}
	if err := json.Unmarshal(text, &a.object); err != nil {
		return fail(fmt.Errorf("%s, and an answer that is no JSON: %w", resp.Status, err))
	}
	if a.status >= http.StatusBadRequest && a.status != http.StatusNotFound && a.status != http.StatusConflict {
		return fail(fmt.Errorf("%s: %v", resp.Status, a.object["message"]))
	}
	if a.at, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
		return fail(fmt.Errorf("the server does not tell the time: %w", err))
	}
	return a, nil
}

// decode reads an object, or a part of one, into a type.
func decode(object map[string]any, into any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
