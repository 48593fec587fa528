//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// networkFaults are those of the way between the laptop and the pod.
func networkFaults() []fault {
	return []fault{
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
		portForwardClosed(),
	}
}

// portForwardClosed has something on the way end port-forwards in good order,
// as load balancers do with what lives long, and nothing else.
func portForwardClosed() fault {
	type end struct {
		context.Context
		cancel context.CancelFunc
	}
	var current atomic.Pointer[end]
	renew := func() *end {
		ctx, cancel := context.WithCancel(context.Background())
		return current.Swap(&end{ctx, cancel})
	}
	renew()
	return fault{
		name: "port-forward closed", how: "what is between closes the port-forwards in good order, and nothing else",
		prepare: func(o *ordeal) {
			g := o.behind(stop{until: func(r *http.Request) context.Context {
				if !strings.HasSuffix(r.URL.Path, "/portforward") {
					return r.Context()
				}
				ctx, cancel := context.WithCancel(r.Context())
				context.AfterFunc(current.Load(), cancel)
				return ctx
			}})
			o.flags = []string{"--server", g.server}
		},
		inflict: func(*ordeal) { renew().cancel() },
	}
}
