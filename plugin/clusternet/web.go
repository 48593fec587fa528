package clusternet

import (
	"context"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// newWebServer is the proxy for HTTP: CONNECT, and requests with whole addresses.
func (d *Doors) newWebServer() *http.Server {
	transport := func(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
		// The client says whether it wants an answer compressed.
		return &http.Transport{DialContext: dial, DisableCompression: true, IdleConnTimeout: 30 * time.Second}
	}
	inside := transport(func(ctx context.Context, network, address string) (net.Conn, error) {
		return d.config.Dial(ctx, network, address)
	})
	outside := transport(nil)
	outside.Proxy = d.direct.proxyOf
	silent := log.New(io.Discard, "", 0)
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host = r.In.Host
			// It is no business of this proxy who asks for whom.
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values, ok := r.In.Header[name]; ok {
					r.Out.Header[name] = values
				}
			}
		},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if d.owner(r.Context(), r.URL.Hostname()) == clusters {
				return inside.RoundTrip(r)
			}
			return outside.RoundTrip(r)
		}),
		FlushInterval: -1, // what comes is passed on at once
		ErrorLog:      silent,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "kubectl okteto: "+err.Error(), http.StatusBadGateway)
		},
	}
	server := &http.Server{ReadHeaderTimeout: prefaceTimeout, ErrorLog: silent}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !d.trusted(basicAuth(r.Header.Get("Proxy-Authorization"))):
			w.Header().Set("Proxy-Authenticate", `Basic realm="kubectl okteto"`)
			http.Error(w, "kubectl okteto: this proxy is for the processes of `kubectl okteto up`", http.StatusProxyAuthRequired)
		case r.Method == http.MethodConnect:
			d.connect(w, r)
		case r.URL.Scheme != "http" || r.URL.Host == "":
			http.Error(w, "kubectl okteto: this is a proxy: ask it for http://host/path, or to CONNECT", http.StatusBadRequest)
		default:
			forward.ServeHTTP(w, r)
		}
	})
	return server
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// connect serves CONNECT (RFC 9110, section 9.3.6).
func (d *Doors) connect(w http.ResponseWriter, r *http.Request) {
	dialing, cancel := context.WithTimeout(r.Context(), dialTimeout)
	defer cancel()
	remote, err := d.dial(dialing, r.Host, true)
	if err != nil {
		http.Error(w, "kubectl okteto: "+err.Error(), http.StatusBadGateway)
		return
	}
	hijacked, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = remote.Close()
		return
	}
	local := peeked{hijacked, buffered.Reader}
	if _, err := io.WriteString(local, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_, _ = local.Close(), remote.Close()
		return
	}
	sshclient.Pipe(r.Context(), local, remote)
}

// basicAuth reads the credentials of a header as RFC 7617 has them; malformed ones
// are empty.
func basicAuth(header string) (name, password string) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", ""
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", ""
	}
	name, password, _ = strings.Cut(string(text), ":")
	return name, password
}
