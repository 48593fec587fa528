// Command reach reaches for the cluster in the ways that programs have, for the
// tests of hybrid mode: one way and one place by its arguments, and one line about
// what came of it.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	way, place := os.Args[1], os.Args[2]
	fmt.Printf("%s %s asks\n", way, place)
	got, err := reach(ctx, way, place)
	if err != nil {
		got = err.Error()
	}
	fmt.Printf("%s %s: %s\n", way, place, strings.TrimSpace(got))
}

func reach(ctx context.Context, way, place string) (string, error) {
	switch way {
	case "proxied":
		return get(ctx, place, &http.Transport{Proxy: http.ProxyFromEnvironment})
	case "socks":
		at, err := url.Parse(os.Getenv("OKTETO_SOCKS"))
		if err != nil {
			return "", err
		}
		return get(ctx, place, &http.Transport{Proxy: http.ProxyURL(at)})
	case "plain":
		return get(ctx, place, &http.Transport{})
	case "datagram":
		var d net.Dialer
		conn, err := d.DialContext(ctx, "udp", place)
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "ping")
		answer := make([]byte, 100)
		n, err := conn.Read(answer)
		return string(answer[:n]), err
	case "lookup":
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, os.Getenv("OKTETO_DNS"))
		}}
		addresses, err := resolver.LookupHost(ctx, place)
		return strings.Join(addresses, " "), err
	default: // serves that text once, on that address
		return "", serve(place, way)
	}
}

func get(ctx context.Context, url string, transport *http.Transport) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func serve(address, text string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, text)
		w.Header().Set("Connection", "close")
		close(ended)
	})}
	go func() { _ = server.Serve(l) }()
	<-ended
	return server.Shutdown(context.Background())
}
