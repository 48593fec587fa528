//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
)

// kills is at how many points of a sync something is killed.
const kills = 20

// TestPluginKilledWhileSyncing kills the plugin, and starts it again at once.
func TestPluginKilledWhileSyncing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.podFromElsewhere(manifest)
	tr := newTrial(p)
	tr.disturb(kills, func() bool {
		if !strings.Contains(tr.up.Stderr.String(), "connected to pod") {
			return false // what arrives is its predecessor's
		}
		tr.edit()
		if err := tr.up.Cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		tr.awaitEnd()
		tr.resume()
		return true
	})
	tr.converged()
}

// TestAgentKilledWhileSyncing kills the sidecar, which the kubelet starts again.
func TestAgentKilledWhileSyncing(t *testing.T) {
	t.Parallel()
	killWhileSyncing(t, func(tr *trial) *container { return tr.agent })
}

// killWhileSyncing kills a container of the pod at every point of a sync.
func killWhileSyncing(t *testing.T, which func(*trial) *container) *trial {
	t.Helper()
	p := newPlace(t)
	p.podFromElsewhere(manifest)
	tr := newTrial(p)
	tr.restartsSoon()
	c := which(tr)
	tr.disturb(kills, func() bool {
		if c.process() == 0 {
			return false
		}
		tr.edit()
		return c.kill()
	})
	tr.converged()
	return tr
}

// TestDevContainerKilledWhileSyncing kills the dev container, which sync does
// not pass through: it must not notice.
func TestDevContainerKilledWhileSyncing(t *testing.T) {
	t.Parallel()
	tr := killWhileSyncing(t, func(tr *trial) *container { return tr.dev })
	if strings.Contains(tr.up.Stderr.String(), "reconnecting") {
		t.Errorf("the connection was lost:\n%s", tr.up.Stderr)
	}
}

// TestContainerRuntimeKilledWhileSyncing kills the node's container runtime,
// through which every connection to the pod goes, and starts it again. It is
// not for others to run at the same time.
func TestContainerRuntimeKilledWhileSyncing(t *testing.T) {
	const runtime = "containerd"
	p := newPlace(t)
	state := p.node()
	start := func() {
		ctx, cancel := p.within()
		defer cancel()
		if err := node.Start(ctx, state, runtime); err != nil {
			t.Fatal(err)
		}
	}
	start() // a run before may have been killed
	t.Cleanup(start)
	p.podFromElsewhere(manifest)
	tr := newTrial(p)
	tr.disturb(kills, func() bool {
		tr.edit()
		ctx, cancel := p.within()
		defer cancel()
		if err := node.Kill(ctx, state, runtime); err != nil {
			t.Fatal(err)
		}
		start()
		// The kubelet passes the end of a connection on when something is
		// written to it. Without a question that is ten seconds later.
		tr.run("", "sync", "undo", "--list")
		return true
	})
	tr.converged()
}

// TestNetworkLostWhileSyncing cuts the network between the plugin and the API
// server, and then loses all packets for a minute.
func TestNetworkLostWhileSyncing(t *testing.T) {
	t.Parallel()
	const cuts, hole = 5, time.Minute
	p := newPlace(t)
	p.podFromElsewhere(manifest)
	proxy, kubeconfig := p.outage()
	tr := newTrial(p, "--kubeconfig", kubeconfig)
	tr.disturb(cuts, func() bool {
		tr.edit()
		proxy.Cut()
		return true
	})
	lost := false
	tr.during(func(arrived int) {
		if lost || arrived < samples/2 {
			return
		}
		lost = true
		proxy.BlackHole(true)
		tr.edit()
		// Nothing happens in a black hole that one could wait for.
		time.Sleep(hole)
		tr.edit()
		proxy.BlackHole(false)
	})
	tr.converged()
	if !strings.Contains(tr.up.Stderr.String(), "nothing was heard from it") {
		t.Errorf("the connection was not lost in the black hole:\n%s", tr.up.Stderr)
	}
}

// restartsSoon leaves the test out where the kubelet lets a container that was
// killed again and again wait for minutes.
func (p *place) restartsSoon() {
	p.t.Helper()
	name := p.kubectl("get", "pods", "-l", "interactive.dev.okteto.com=api", "-o", "jsonpath={.items[0].spec.nodeName}")
	var answer struct {
		KubeletConfig struct {
			CrashLoopBackOff struct{ MaxContainerRestartPeriod string }
		}
	}
	if err := json.Unmarshal([]byte(p.kubectl("get", "--raw", "/api/v1/nodes/"+name+"/proxy/configz")), &answer); err != nil {
		p.t.Fatal(err)
	}
	longest := answer.KubeletConfig.CrashLoopBackOff.MaxContainerRestartPeriod
	if wait, err := time.ParseDuration(longest); err != nil || wait > time.Second {
		p.t.Skipf("the node starts a container again after up to %s; crashLoopBackOff.maxContainerRestartPeriod of the kubelet says so", longest)
	}
}

// node returns the state folder of the embedded cluster; any other's components
// are not ours to kill.
func (p *place) node() string {
	p.t.Helper()
	if p.Context != node.Context {
		p.t.Skip("this is another cluster than the embedded one")
	}
	return filepath.Dir(filepath.Dir(os.Getenv("KUBECONFIG")))
}
