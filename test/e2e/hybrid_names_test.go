//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// other is a Service of another workload.
func (p *place) other() {
	p.t.Helper()
	p.apply(`
apiVersion: v1
kind: Service
metadata: {name: other}
spec:
  selector: {app: other}
  ports: [{name: web, port: 80, targetPort: 8000}, {name: echo, port: 9000, protocol: UDP}]
---` + p.podAs("other", `
terminationGracePeriodSeconds: 1
containers:
- name: main
  image: REGISTRY/busybox:1
  command: [sh, -c, "mkdir /tmp/w; echo inside >/tmp/w/index.html; exec httpd -f -p 8000 -h /tmp/w"]
- name: echo
  image: REGISTRY/debian:1
  command:
  - python3
  - -c
  - |
    import socket
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 9000))
    while True:
      data, peer = s.recvfrom(1000)
      s.sendto(b"pong", peer)
`))
	if err := p.Ready(p.t.Context(), "deploy/other"); err != nil {
		p.t.Fatal(err)
	}
}

// reach builds the program that reaches for the cluster: a static one.
func (p *place) reach() string {
	p.t.Helper()
	file := filepath.Join(p.src, "reach")
	cmd := exec.CommandContext(p.t.Context(), "go", "build", "-o", file, "../reach")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// TestHybridReachesNames has a local process use the cluster by its names, over
// lost connections too, and the laptop's addresses as before.
func TestHybridReachesNames(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.hybridWeb()
	p.other()
	reach := p.reach()
	p.write("okteto.yaml", hybridManifest(0x8003))
	p.write("app/serve.sh", controlled)
	laptop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "laptop") }))
	t.Cleanup(laptop.Close)
	proxy, kubeconfig := p.outage()
	s := p.start("up", "web", "--kubeconfig", kubeconfig)
	s.out("pid ")
	// Of the names only the cluster knows anything.
	for _, place := range []string{
		"http://other/", "http://other." + p.Namespace + "/", "http://other." + p.Namespace + ".svc.cluster.local:80/",
	} {
		for _, way := range []string{"proxied", "socks"} {
			s.say(reach + " " + way + " " + place)
			s.out(way + " " + place + ": inside\n")
		}
	}
	s.say(reach + " proxied http://nothing/")
	s.out("no such host")
	s.say(reach + " socks " + laptop.URL)
	s.out(laptop.URL + ": laptop\n")
	ip := p.kubectl("get", "service", "other", "-o", "jsonpath={.spec.clusterIP}")
	for _, name := range []string{"other", "other." + p.Namespace, "other." + p.Namespace + ".svc"} {
		s.say(reach + " lookup " + name)
		s.out("lookup " + name + ": " + ip + "\n")
	}

	s.say(`echo "door $HTTP_PROXY"`)
	s.out("door http://okteto:")
	_, text, _ := strings.Cut(s.Stdout.String(), "door ")
	door, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	door.User = url.UserPassword("okteto", "guess")
	stranger := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(door)}}
	response, err := stranger.Get("http://other/")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusProxyAuthRequired {
		t.Errorf("a stranger gets status %d", response.StatusCode)
	}

	proxy.Refuse(true)
	proxy.Cut()
	s.err("reconnecting to web")
	s.say(reach + " proxied http://other/?held")
	s.out("proxied http://other/?held asks\n")
	proxy.Refuse(false)
	s.out("proxied http://other/?held: inside\n")
}
