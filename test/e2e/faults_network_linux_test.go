//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/test/cluster/node"
	"github.com/kubectl-okteto/kubectl-okteto/test/lab"
)

// networkFaults are those of the way between the laptop and the pod.
func networkFaults() []fault {
	return []fault{
		{
			name: "laptop asleep", how: "for 90 s `up` stands still and no packet passes; the connections are gone when it wakes up",
			inflict: (*ordeal).sleep,
		},
		{
			name: "cut", how: "every connection to the API server is reset",
			inflict: func(o *ordeal) { o.proxy.Cut() },
		},
		{
			name: "black hole", how: "every packet to and from the API server is lost for 60 s",
			inflict: func(o *ordeal) {
				o.proxy.BlackHole(true)
				// Nothing happens in a black hole that one could wait for.
				time.Sleep(time.Minute)
				o.proxy.BlackHole(false)
			},
		},
		{
			name: "1 % loss", how: "one packet in a hundred is lost, each way",
			prepare: (*ordeal).lossy,
			inflict: (*ordeal).sendMuch,
			lasts:   true,
		},
		{
			name: "300 ms delay", how: "every packet is late by that, each way",
			inflict: func(o *ordeal) {
				o.proxy.SetDelay(300 * time.Millisecond)
				o.sendMuch()
			},
			lasts: true,
		},
		portForwardClosed(),
		{
			name: "API server restarted", how: "it is killed and started again",
			inflict: func(o *ordeal) {
				const server = "kube-apiserver"
				state := o.node()
				start := func() {
					ctx, cancel := o.within()
					defer cancel()
					if err := node.Start(ctx, state, server); err != nil {
						o.t.Error(err)
					}
				}
				o.t.Cleanup(start)
				if err := node.Kill(o.t.Context(), state, server); err != nil {
					o.t.Fatal(err)
				}
				start()
			},
			alone: true,
		},
		slowServer(),
	}
}

// sleep does to the plugin what becomes of it on a laptop that sleeps for longer
// than either end waits for a sign of life.
func (o *ordeal) sleep() {
	const night = 90 * time.Second
	signal := func(s os.Signal) {
		if err := o.up.Cmd.Process.Signal(s); err != nil {
			o.t.Fatal(err)
		}
	}
	o.proxy.BlackHole(true)
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	// Nobody notices anything that one could wait for.
	time.Sleep(night)
	o.proxy.Cut()
	o.proxy.BlackHole(false)
}

// sendMuch has both users save some megabytes at once.
func (o *ordeal) sendMuch() {
	const files = 200
	path := func(side string) func(int) string {
		return func(i int) string { return fmt.Sprintf("much/%s-%d.bin", side, i) }
	}
	content := func(side string) func(int, int) []byte {
		return func(i, _ int) []byte { return text(path(side)(i), 20_000) }
	}
	o.laptop.storm(files, 1, path("laptop"), content("laptop"))
	o.pod.storm(files, 1, path("pod"), content("pod"))
	o.await(o.step(true))
}

// lossy has the plugin on a laptop in a network of its own, which loses packets
// from the beginning.
func (o *ordeal) lossy() {
	network, err := lab.NewNetwork(o.t.Context())
	if err != nil {
		o.t.Skipf("a network that loses packets takes root on Linux, iproute2 and iptables: %v", err)
	}
	o.t.Cleanup(func() { _ = network.Close() })
	proxy, kubeconfig, err := o.ProxyAt(o.t.Context(), o.t.TempDir(), network.Host)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = proxy.Close() })
	o.flags = []string{"--kubeconfig", kubeconfig}
	plugin := exec.Command(o.Plugin)
	if err := network.Enter(plugin); err != nil {
		o.t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\"\n", strings.Join(plugin.Args, "' '"))
	o.Plugin = filepath.Join(o.t.TempDir(), "plugin")
	if err := os.WriteFile(o.Plugin, []byte(script), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := network.Lose(o.t.Context(), 0.01); err != nil {
		o.t.Fatal(err)
	}
}

// closer stands between the plugin and the API server. It may close port-forwards
// in good order, as load balancers do with what lives long, and be slow.
type closer struct {
	slow   atomic.Bool
	mu     sync.Mutex
	ending context.Context
	end    context.CancelFunc
}

// stand has the plugin go through it.
func (c *closer) stand(o *ordeal) {
	c.close()
	o.flags = []string{"--server", o.behind(stop{until: c.until}).server}
}

func (c *closer) until(r *http.Request) context.Context {
	const late = 2 * time.Second
	if c.slow.Load() {
		select {
		case <-time.After(late):
		case <-r.Context().Done():
		}
	}
	if !strings.HasSuffix(r.URL.Path, "/portforward") {
		return r.Context()
	}
	ctx, cancel := context.WithCancel(r.Context())
	c.mu.Lock()
	defer c.mu.Unlock()
	context.AfterFunc(c.ending, cancel)
	return ctx
}

// close closes the port-forwards that there are.
func (c *closer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		c.end()
	}
	c.ending, c.end = context.WithCancel(context.Background())
}

func portForwardClosed() fault {
	var c closer
	return fault{
		name: "port-forward closed", how: "what is between closes the port-forwards in good order, and nothing else",
		prepare: c.stand,
		inflict: func(*ordeal) { c.close() },
	}
}

func slowServer() fault {
	var c closer
	return fault{
		name: "API server slow", how: "it takes each request 2 s late, and the port-forwards are closed",
		prepare: c.stand,
		inflict: func(*ordeal) {
			c.slow.Store(true)
			c.close()
		},
	}
}
