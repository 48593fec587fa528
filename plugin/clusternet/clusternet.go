// Package clusternet leads programs of the laptop into a cluster's network by the
// names that its pods use, without any rights on the laptop: by a proxy, and by a
// name server, both on the laptop's loopback. What is not the cluster's goes where
// it would go without them.
package clusternet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config is what the doors need of what is around them.
type Config struct {
	// Dial connects from the pod to host:port, of the network tcp, or udp in the
	// frames of package datagram; names are resolved there. While there is no
	// connection to the pod it may wait.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Connected tells whether Dial would not have to wait.
	Connected func() bool
	// Lookup finds a variable of the laptop: where its own proxy is.
	Lookup func(string) (string, bool)
	// ResolvConf returns the laptop's resolv.conf, which may change at any time.
	// Where it names no server the system is asked, which answers for addresses
	// only.
	ResolvConf func() []byte
}

// Doors are the ways into the cluster's network. Until Know is called everything
// is the laptop's.
type Doors struct {
	config   Config
	password string
	proxy    net.Listener
	dns      *nameServer
	direct   direct
	web      *http.Server

	mu    sync.Mutex
	zone  zone
	known map[string]verdict
	// given are the addresses that the cluster's names had, so that what is
	// dialed by address later leads there too.
	given map[netip.Addr]bool
}

// verdict is what the cluster's name server said about a name or an address.
type verdict struct {
	owner owner
	until time.Time
}

const (
	// remembered is how long a verdict counts.
	remembered = time.Minute
	// maxRemembered bounds verdicts and addresses, each.
	maxRemembered = 8192
	// user is the name that the proxy wants to hear.
	user = "okteto"
)

// Listen opens the doors' ports; Serve has to follow, or Close.
func Listen(ctx context.Context, c Config) (*Doors, error) {
	d := &Doors{config: c, password: rand.Text(), known: map[string]verdict{}, given: map[netip.Addr]bool{}}
	d.direct = newDirect(c.Lookup)
	d.web = d.newWebServer()
	var lc net.ListenConfig
	var err error
	if d.proxy, err = lc.Listen(ctx, "tcp4", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("opening a port for the proxy into the cluster: %w", err)
	}
	if d.dns, err = listenDNS(ctx); err != nil {
		_ = d.proxy.Close()
		return nil, fmt.Errorf("opening a port for the cluster's names: %w", err)
	}
	d.dns.answer = d.answer
	return d, nil
}

// Close closes the ports.
func (d *Doors) Close() error { return errors.Join(d.proxy.Close(), d.dns.close()) }

// Serve serves until ctx ends, then closes the ports and all connections, and
// returns why it ended.
func (d *Doors) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.serveProxy(ctx) })
	group.Go(func() error { return d.dns.serve(ctx) })
	return group.Wait()
}

// Know takes what the pod knows: its resolv.conf and its environment.
func (d *Doors) Know(resolvConf []byte, env []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.zone = newZone(resolvConf, env)
	clear(d.known)
}

// NameServer is the address of the name server, for TCP and UDP.
func (d *Doors) NameServer() string { return d.dns.address() }

// Environ returns an environment, as NAME=value, sorted, with the variables by
// which programs find the doors. What is set already stays.
func (d *Doors) Environ(env []string) []string {
	at := func(scheme string) string {
		u := url.URL{Scheme: scheme, User: url.UserPassword(user, d.password), Host: d.proxy.Addr().String()}
		return u.String()
	}
	env = slices.Clone(env)
	for _, v := range []struct{ name, value string }{
		{"HTTP_PROXY", at("http")}, {"HTTPS_PROXY", at("http")}, {"NO_PROXY", "localhost,127.0.0.1,::1"},
	} {
		// Programs differ in which case they read, and which wins.
		if !has(env, v.name) {
			env = append(env, v.name+"="+v.value, strings.ToLower(v.name)+"="+v.value)
		}
	}
	// ALL_PROXY is left alone: clients that cannot speak SOCKS do not start with it.
	for _, v := range []struct{ name, value string }{{"OKTETO_SOCKS", at("socks5h")}, {"OKTETO_DNS", d.NameServer()}} {
		if !has(env, v.name) {
			env = append(env, v.name+"="+v.value)
		}
	}
	slices.Sort(env)
	return env
}

// has tells whether a variable is set, in any case of its name.
func has(env []string, name string) bool {
	return slices.ContainsFunc(env, func(e string) bool {
		n, _, _ := strings.Cut(e, "=")
		return strings.EqualFold(n, name)
	})
}

// owner says whose a host is, a name or an address. What has to be asked is the
// laptop's while nobody can be.
func (d *Doors) owner(ctx context.Context, host string) owner {
	addr, err := netip.ParseAddr(host)
	host = canonical(host)
	d.mu.Lock()
	z, v := d.zone, d.known[host]
	given := d.given[addr.Unmap()]
	d.mu.Unlock()
	whose := asked
	switch {
	case err != nil:
		whose = z.owner(host)
	case given || z.addresses[addr.Unmap()]:
		return clusters
	case z.domain == "" || !addr.Unmap().IsPrivate() || onLink(addr.Unmap()):
		return laptops
	}
	switch {
	case whose != asked:
		return whose
	case time.Now().Before(v.until):
		return v.owner
	case !d.config.Connected():
		return laptops
	}
	// A name server that does not answer makes nothing slow twice.
	whose = d.ask(ctx, z, host, addr)
	if ctx.Err() != nil {
		return whose // that was not its answer
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= maxRemembered {
		clear(d.known)
	}
	d.known[host] = verdict{whose, time.Now().Add(remembered)}
	return whose
}

// onLink tells whether an address is in a network that the laptop is in.
func onLink(addr netip.Addr) bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Masked().Contains(addr)
	})
}

// remember notes the addresses that a name of the cluster had.
func (d *Doors) remember(addresses []netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.given) >= maxRemembered {
		clear(d.given)
	}
	for _, a := range addresses {
		d.given[a.Unmap()] = true
	}
}

// dial connects with host:port, from whichever side it is the host's. tunnelled
// tells that the laptop's own proxy, if there is one, would be asked.
func (d *Doors) dial(ctx context.Context, address string, tunnelled bool) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if d.owner(ctx, host) == clusters {
		return d.config.Dial(ctx, "tcp", address)
	}
	return d.direct.dial(ctx, address, tunnelled)
}
