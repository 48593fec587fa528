//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/netns"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// outward is an address of this machine that is not the loopback's.
func outward(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has the loopback only")
	return ""
}

// keepersOf are the processes that a plugin has in namespaces.
func keepersOf(t *testing.T, plugin int) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if strings.HasPrefix(string(name), netns.Role+"\x00") && strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", plugin)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestHybridNamespace has a static program that knows of no proxies reach the
// cluster, and the laptop's forwards and networks, and be reached.
func TestHybridNamespace(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.hybridWeb()
	p.other()
	reach := p.reach()
	forward, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	reverse, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p.write("okteto.yaml", hybridManifest(reverse)+fmt.Sprintf("    network: namespace\n    forward: [%d:other:80]\n", forward))
	p.write("app/serve.sh", controlled)
	laptop := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "inside the laptop") }))
	l, err := net.Listen("tcp", net.JoinHostPort(outward(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	laptop.Listener = l
	laptop.Start()
	t.Cleanup(laptop.Close)
	local := httptest.NewServer(laptop.Config.Handler)
	t.Cleanup(local.Close)
	proxy, kubeconfig := p.outage()
	s := p.start("up", "web", "--kubeconfig", kubeconfig)
	s.out("pid ")
	ip := p.kubectl("get", "service", "other", "-o", "jsonpath={.spec.clusterIP}")
	for _, place := range []string{
		"http://other/", "http://other." + p.Namespace + "/", "http://other." + p.Namespace + ".svc.cluster.local/",
		"http://" + ip + "/", fmt.Sprintf("http://127.0.0.1:%d/", forward), laptop.URL, local.URL,
	} {
		s.say(reach + " plain " + place)
		s.out("plain " + place + ": inside")
	}
	s.say(reach + " datagram other:9000")
	s.out("datagram other:9000: pong\n")
	if out := p.ok("exec", "web", "--kubeconfig", kubeconfig, "--", reach, "proxied", "http://other/?exec").stdout; !strings.HasSuffix(out, ": inside\n") {
		t.Errorf("exec finds %q", out)
	}
	s.say(reach + " plain http://nothing/")
	s.out("no such host")

	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(reverse))
	called := make(chan string, 1)
	go func() {
		out, err := p.call("held")
		called <- fmt.Sprint(out, err)
	}()
	s.say(reach + " served " + address)
	if got := <-called; got != "served<nil>" {
		t.Errorf("another pod got %q", got)
	}
	s.out("served " + address + ": \n")

	proxy.Refuse(true)
	proxy.Cut()
	s.err("reconnecting to web")
	s.say(reach + " plain http://other/?held")
	s.out("plain http://other/?held asks\n")
	proxy.Refuse(false)
	s.out("plain http://other/?held: inside\n")

	keepers := keepersOf(t, s.Cmd.Process.Pid)
	if len(keepers) != 1 {
		t.Errorf("there are the keepers %v", keepers)
	}
	pid := pidOf(t, s)
	s.say("sleep 1000 & echo child pid $!; exit 7")
	if code := s.code(); code != 7 {
		t.Errorf("exit code %d, want the command's 7", code)
	}
	for _, left := range append(keepers, pid, pidOf(t, s)) {
		if alive(left) {
			t.Errorf("process %d is left behind", left)
		}
	}
	s = p.start("up", "web")
	s.out("pid ")
	pid, keepers = pidOf(t, s), keepersOf(t, s.Cmd.Process.Pid)
	if err := s.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left behind", func() bool { return !alive(pid) && !alive(keepers[0]) })
}
