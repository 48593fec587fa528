//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// TestClusterDNSThroughUDP asks the cluster's DNS from the laptop, and from the
// pod by way of the laptop.
func TestClusterDNSThroughUDP(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	port := freePorts(t, 1)[0]
	p.write("okteto.yaml", fmt.Sprintf(manifest+`
    forward: ["%[1]d:kube-dns.kube-system:53/udp"]
    reverse: ["5454:%[1]d/udp"]
`, port))
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	const name = "kubernetes.default.svc.cluster.local."
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", fmt.Sprintf("127.0.0.1:%d", port))
	}}
	ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
	defer cancel()
	want := p.kubectl("get", "-n", "default", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
	if got, err := resolver.LookupHost(ctx, name); err != nil || !slices.Contains(got, want) {
		t.Errorf("the cluster's DNS says %q, %v; want %s", got, err, want)
	}
	if r := p.ok("exec", "api", "--", "nslookup", "-type=a", name, "127.0.0.1:5454"); !strings.Contains(r.stdout, want) {
		t.Errorf("from the pod it says %q, want %s", r.stdout, want)
	}
}

// TestUnixSocketsBothWays goes from a socket here to one in the pod, and from
// there back to a port here.
func TestUnixSocketsBothWays(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	port := freePorts(t, 1)[0]
	p.write("okteto.yaml", fmt.Sprintf(manifest+`
    forward: ["%s:/tmp/pod.sock"]
    reverse: ["/tmp/pod.sock:%d"]
`, filepath.Join(p.Home, "here.sock"), port))
	served := serve(t, port, "through two sockets")
	s := p.start("up", "--", "sh", "-c", "echo ready; cat")
	s.out("ready\n")
	client := http.Client{Timeout: lab.Patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(p.Home, "here.sock"))
		},
	}}
	resp, err := client.Get("http://socket/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); string(body) != "through two sockets" || err != nil || served() == 0 {
		t.Errorf("the answer is %q, %v", body, err)
	}
}

// TestForwardWaitsForARestart connects before anything listens in the pod.
func TestForwardWaitsForARestart(t *testing.T) {
	p := newPlace(t)
	p.deployed("api")
	port := freePorts(t, 1)[0]
	p.write("okteto.yaml", fmt.Sprintf(manifest+"\n    forward: ['%d:8080']\n", port))
	p.write("www/index.html", "started again")
	s := p.start("up", "--", "sh", "-c", "echo ready; read go; httpd -p 127.0.0.1:8080 -h www; cat")
	s.out("ready\n")
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(lab.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s.Stdin, "go\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); string(body) != "started again" || err != nil {
		t.Errorf("the answer is %q, %v", body, err)
	}
}
