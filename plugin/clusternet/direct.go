package clusternet

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// direct connects from the laptop, through its own proxy where it has one.
type direct struct {
	dialer net.Dialer
	proxy  func(*url.URL) (*url.URL, error)
}

// newDirect reads the laptop's variables as other programs do.
func newDirect(lookup func(string) (string, bool)) direct {
	first := func(names ...string) string {
		for _, name := range names {
			if value, _ := lookup(name); value != "" {
				return value
			}
		}
		return ""
	}
	config := httpproxy.Config{
		HTTPProxy:  first("HTTP_PROXY", "http_proxy"),
		HTTPSProxy: first("HTTPS_PROXY", "https_proxy"),
		NoProxy:    first("NO_PROXY", "no_proxy"),
	}
	return direct{proxy: config.ProxyFunc()}
}

// proxyOf is what an http.Transport asks.
func (d direct) proxyOf(r *http.Request) (*url.URL, error) { return d.proxy(r.URL) }

// dial connects with host:port; tunnelled is for what would use the laptop's proxy
// by itself.
func (d direct) dial(ctx context.Context, address string, tunnelled bool) (net.Conn, error) {
	if !tunnelled {
		return d.dialer.DialContext(ctx, "tcp", address)
	}
	through, err := d.proxy(&url.URL{Scheme: "https", Host: address})
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading where this machine's proxy is: %w", err)
	case through == nil:
		return d.dialer.DialContext(ctx, "tcp", address)
	case through.Scheme == "socks5", through.Scheme == "socks5h":
		return d.dialSOCKS(ctx, through, address)
	default:
		return d.dialConnect(ctx, through, address)
	}
}

func (d direct) dialSOCKS(ctx context.Context, through *url.URL, address string) (net.Conn, error) {
	dialer, err := proxy.FromURL(through, &d.dialer)
	if err != nil {
		return nil, fmt.Errorf("using this machine's proxy: %w", err)
	}
	contextual, ok := dialer.(proxy.ContextDialer)
	if !ok {
		return nil, errors.New("this machine's proxy cannot be used")
	}
	return contextual.DialContext(ctx, "tcp", address)
}

// dialConnect asks a proxy of HTTP to connect.
func (d direct) dialConnect(ctx context.Context, through *url.URL, address string) (net.Conn, error) {
	port := map[string]string{"http": "80", "https": "443"}[through.Scheme]
	if p := through.Port(); p != "" {
		port = p
	}
	conn, err := d.dialer.DialContext(ctx, "tcp", net.JoinHostPort(through.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("connecting with this machine's proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if through.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: through.Hostname()})
	}
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u := through.User; u != nil {
		password, _ := u.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	// A server that speaks first may have done so already.
	ahead := bufio.NewReader(conn)
	err = request.Write(conn)
	var answer *http.Response
	if err == nil {
		answer, err = http.ReadResponse(ahead, request)
	}
	if err == nil {
		defer func() { _ = answer.Body.Close() }() // which reads nothing
	}
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("asking this machine's proxy for %s: %w", address, err)
	}
	return peeked{conn, ahead}, nil
}
