package clusternet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/proxy"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

const podResolvConf = `search shop.svc.cluster.local svc.cluster.local cluster.local corp.example
nameserver 10.96.0.10
options ndots:5
`

// cluster is what the pod reaches: a name server, and a web server that is two
// Services.
type cluster struct {
	t   *testing.T
	web *httptest.Server
	dns *nameServer

	mu    sync.Mutex
	lost  bool
	dials []string
}

// newCluster also opens doors into it.
func newCluster(t *testing.T, laptop map[string]string) (*cluster, *Doors) {
	t.Helper()
	c := &cluster{t: t}
	c.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Host, r.URL.Path, r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(c.web.Close)
	var err error
	if c.dns, err = listenDNS(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.dns.answer = func(_ context.Context, query []byte) []byte { return c.answer(query) }
	d, err := Listen(t.Context(), Config{
		Dial: c.dial, Connected: func() bool { return !c.isLost() }, ResolvConf: func() []byte { return nil },
		Lookup: func(name string) (string, bool) { value, ok := laptop[name]; return value, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Know([]byte(podResolvConf), []string{"WEB_SERVICE_HOST=10.96.0.7", "X=1"})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := d.Serve(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	group.Go(func() { _ = c.dns.serveTCP(ctx) })
	t.Cleanup(func() {
		cancel()
		_ = c.dns.close()
		group.Wait()
	})
	return c, d
}

func (c *cluster) isLost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

func (c *cluster) lose(lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = lost
}

// dialed returns what the pod was asked to connect to, but for its name server.
func (c *cluster) dialed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.dials)
}

func (c *cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if c.isLost() {
		return nil, errors.New("lost")
	}
	if address == "10.96.0.10:53" {
		return d.DialContext(ctx, network, c.dns.address())
	}
	c.mu.Lock()
	c.dials = append(c.dials, address)
	c.mu.Unlock()
	for _, known := range []string{"web:80", "web.shop:80", "web.shop.svc.cluster.local:80", "10.96.0.7:80", "10.96.0.9:80"} {
		if strings.EqualFold(address, known) {
			return d.DialContext(ctx, network, c.web.Listener.Addr().String())
		}
	}
	return nil, &sshclient.DialError{Address: address, Message: "no such host"}
}

// answer is the cluster's name server.
func (c *cluster) answer(query []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		c.t.Error(err)
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RCode = true, dnsmessage.RCodeNameError
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 5}
	switch q.Name.String() {
	case "web.shop.svc.cluster.local.":
		m.RCode = dnsmessage.RCodeSuccess
		if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: [4]byte{10, 96, 0, 7}}}}
		}
	case "9.0.96.10.in-addr.arpa.":
		m.RCode = dnsmessage.RCodeSuccess
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("db.shop.svc.cluster.local.")}}}
	case "many.corp.example.":
		m.RCode = dnsmessage.RCodeSuccess
		for i := range 100 {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: [4]byte{10, 0, 1, byte(i)}}})
		}
	}
	reply, err := m.Pack()
	if err != nil {
		c.t.Error(err)
	}
	return reply
}

// variable returns a variable of the doors.
func variable(t *testing.T, d *Doors, name string) string {
	t.Helper()
	for _, e := range d.Environ(nil) {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	t.Fatalf("no variable %s", name)
	return ""
}

// client uses the proxy that a variable names.
func client(t *testing.T, d *Doors, name string) *http.Client {
	t.Helper()
	u, err := url.Parse(variable(t, d, name))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(u), DisableKeepAlives: true}
	if u.Scheme == "socks5h" {
		password, _ := u.User.Password()
		dialer, err := proxy.SOCKS5("tcp", u.Host, &proxy.Auth{User: u.User.Username(), Password: password}, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport = &http.Transport{DialContext: dialer.(proxy.ContextDialer).DialContext, DisableKeepAlives: true}
	}
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, address string, header ...string) (string, int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		return err.Error(), 0
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), response.StatusCode
}

func TestProxyLeadsIntoTheCluster(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t, nil)
	for _, name := range []string{"HTTP_PROXY", "OKTETO_SOCKS"} {
		for _, host := range []string{"web", "web.shop", "WEB.shop.svc.cluster.local", "10.96.0.7", "10.96.0.9"} {
			if got, _ := get(t, client(t, d, name), "http://"+host+"/x", "X-Forwarded-For", "me"); got != host+" /x me" {
				t.Errorf("by %s %s is %q", name, host, got)
			}
		}
	}
	if got, code := get(t, client(t, d, "HTTP_PROXY"), "http://nothing/"); code != http.StatusBadGateway || !strings.Contains(got, "no such host") {
		t.Errorf("an unknown name is %d %q", code, got)
	}
	if got, _ := get(t, client(t, d, "OKTETO_SOCKS"), "http://nothing/"); !strings.Contains(got, "host unreachable") {
		t.Errorf("an unknown name is %q by SOCKS", got)
	}
	if n := len(c.dialed()); n != 12 {
		t.Errorf("the pod connected %d times", n)
	}
}

func TestProxyConnects(t *testing.T) {
	t.Parallel()
	_, d := newCluster(t, nil)
	u, err := url.Parse(variable(t, d, "https_proxy"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := newDirect(nothing).dialConnect(t.Context(), u, "web:80")
	if err != nil {
		t.Fatal(err)
	}
	through := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
	if got, _ := get(t, through, "http://web/y"); got != "web /y " {
		t.Errorf("by CONNECT it is %q", got)
	}
	if _, err := newDirect(nothing).dialConnect(t.Context(), u, "nothing:80"); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("CONNECT to nothing: %v", err)
	}
}

func nothing(string) (string, bool) { return "", false }

// TestProxyIsTheUsersOwn wants the credentials of the session.
func TestProxyIsTheUsersOwn(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t, nil)
	for _, credentials := range []*url.Userinfo{nil, url.UserPassword("okteto", "guess"), url.UserPassword("", "")} {
		u := &url.URL{Scheme: "http", Host: d.proxy.Addr().String(), User: credentials}
		_, code := get(t, &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u)}}, "http://web/")
		if code != http.StatusProxyAuthRequired {
			t.Errorf("with %v the proxy answers %d", credentials, code)
		}
		var auth *proxy.Auth
		if credentials != nil {
			password, _ := credentials.Password()
			auth = &proxy.Auth{User: "okteto", Password: password + "x"}
		}
		dialer, err := proxy.SOCKS5("tcp", u.Host, auth, nil)
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := dialer.Dial("tcp", "web:80"); err == nil {
			_ = conn.Close()
			t.Errorf("with %v SOCKS connects", credentials)
		}
	}
	if _, code := get(t, http.DefaultClient, "http://"+d.proxy.Addr().String()+"/", "Proxy-Authorization", "Basic !"); code != http.StatusProxyAuthRequired {
		t.Errorf("malformed credentials are %d", code)
	}
	if dialed := c.dialed(); dialed != nil {
		t.Errorf("strangers had the pod connect to %q", dialed)
	}
}

// TestDirect leaves what is not the cluster's to the laptop, and its proxy.
func TestDirect(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "laptop") }))
	t.Cleanup(web.Close)
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, d := newCluster(t, nil)
	for _, name := range []string{"HTTP_PROXY", "OKTETO_SOCKS"} {
		for _, host := range []string{"127.0.0.1", "localhost"} {
			if got, _ := get(t, client(t, d, name), "http://"+host+":"+port); got != "laptop" {
				t.Errorf("by %s %s is %q", name, host, got)
			}
		}
	}
	// Another one's doors are this laptop's proxy.
	laptops, through := newCluster(t, nil)
	at := variable(t, through, "HTTP_PROXY")
	_, d = newCluster(t, map[string]string{"http_proxy": at, "HTTPS_PROXY": at, "NO_PROXY": "web"})
	if got, _ := get(t, client(t, d, "HTTP_PROXY"), "http://web.shop.svc.cluster.local/"); got != "web.shop.svc.cluster.local / " || laptops.dialed() != nil {
		t.Errorf("the cluster's name is %q, and the laptop's proxy connected to %q", got, laptops.dialed())
	}
	d.Know(nil, nil) // no name is the cluster's any more
	if got, _ := get(t, client(t, d, "HTTP_PROXY"), "http://web.shop/"); got != "web.shop / " {
		t.Errorf("by the laptop's proxy a page is %q", got)
	}
	u, err := url.Parse(variable(t, d, "HTTPS_PROXY"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := newDirect(nothing).dialConnect(t.Context(), u, "web.shop:80")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if want := []string{"web.shop:80", "web.shop:80"}; !slices.Equal(laptops.dialed(), want) {
		t.Errorf("the laptop's proxy connected to %q", laptops.dialed())
	}
	if n := len(c.dialed()); n != 0 {
		t.Errorf("the pod connected %d times", n)
	}
}

func TestEnvironKeepsWhatIsSet(t *testing.T) {
	t.Parallel()
	_, d := newCluster(t, nil)
	env := d.Environ([]string{"A=1", "http_proxy=mine", "NO_PROXY="})
	names := []string{}
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		names = append(names, name)
	}
	want := []string{"A", "HTTPS_PROXY", "NO_PROXY", "OKTETO_DNS", "OKTETO_SOCKS", "http_proxy", "https_proxy"}
	if !slices.Equal(names, want) || !slices.Contains(env, "http_proxy=mine") || !slices.Contains(env, "NO_PROXY=") {
		t.Errorf("the environment is %q", env)
	}
	if !slices.Equal(env, d.Environ(env)) {
		t.Error("it changes when it is asked for again")
	}
}

// TestNames asks the name server as programs do.
func TestNames(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t, nil)
	for _, first := range []string{"udp", "tcp"} {
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			if first == "tcp" {
				network = first
			}
			return dialer.DialContext(ctx, network, variable(t, d, "OKTETO_DNS"))
		}}
		for _, name := range []string{"web.", "web.shop.", "web.shop.svc.", "Web.Shop.svc.cluster.local."} {
			got, err := resolver.LookupNetIP(t.Context(), "ip", name)
			if err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr("10.96.0.7")}) {
				t.Errorf("%s is %v, %v over %s", name, got, err, first)
			}
		}
		if got, err := resolver.LookupNetIP(t.Context(), "ip", "many.corp.example."); err != nil || len(got) != 100 {
			t.Errorf("a long answer has %d addresses, %v", len(got), err)
		}
		if got, err := resolver.LookupAddr(t.Context(), "10.96.0.9"); err != nil || !slices.Equal(got, []string{"db.shop.svc.cluster.local."}) {
			t.Errorf("an address is %q, %v", got, err)
		}
		_, err := resolver.LookupNetIP(t.Context(), "ip", "nothing.")
		if missing, ok := errors.AsType[*net.DNSError](err); !ok || !missing.IsNotFound {
			t.Errorf("an unknown name: %v", err)
		}
	}
	// What an answer gave is the cluster's from then on.
	if d.owner(t.Context(), "10.0.1.42") != clusters || d.owner(t.Context(), "10.0.2.42") != laptops {
		t.Error("addresses that were given out are not told apart")
	}
	c.lose(true)
	if d.owner(t.Context(), "web.other") != laptops || d.owner(t.Context(), "web.shop") != clusters || d.owner(t.Context(), "web") != clusters {
		t.Error("without a connection names have other owners")
	}
}

// TestLaptopsNames asks a name server of the laptop, over TCP where its answer is
// cut.
func TestLaptopsNames(t *testing.T) {
	t.Parallel()
	c, d := newCluster(t, nil)
	s, err := listenDNS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.answer = func(_ context.Context, query []byte) []byte { return c.answer(query) }
	go func() { _ = s.serveTCP(t.Context()) }()
	go func() { _ = s.serveUDP(t.Context()) }()
	t.Cleanup(func() { _ = s.close() })
	for name, want := range map[string]int{"web.shop.svc.cluster.local.": 1, "many.corp.example.": 100} {
		q := question(name, dnsmessage.TypeA)
		reply, err := d.direct.exchange(t.Context(), s.address(), q)
		var m dnsmessage.Message
		if err != nil || m.Unpack(reply) != nil || len(m.Answers) != want {
			t.Errorf("%s has %d answers, %v", name, len(m.Answers), err)
		}
	}
}

// TestSystemsNames asks the system, as on Windows.
func TestSystemsNames(t *testing.T) {
	t.Parallel()
	_, d := newCluster(t, nil)
	for kind, want := range map[dnsmessage.Type]int{dnsmessage.TypeA: 1, dnsmessage.TypeMX: 0} {
		var m dnsmessage.Message
		if err := m.Unpack(d.answer(t.Context(), question("localhost.", kind))); err != nil || len(m.Answers) != want {
			t.Errorf("localhost has for %v the answers %v, %v", kind, m.Answers, err)
		}
	}
}

// question packs one.
func question(name string, kind dnsmessage.Type) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}}
	m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}
	packed, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

// TestServeReturnsTheCause ends many, as the ports close while the end of the
// context still spreads.
func TestServeReturnsTheCause(t *testing.T) {
	why := errors.New("the session is over")
	for range 300 {
		d, err := Listen(t.Context(), Config{Connected: func() bool { return true }, ResolvConf: func() []byte { return nil },
			Lookup: func(string) (string, bool) { return "", false }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		served := make(chan error, 1)
		go func() { served <- d.Serve(ctx) }()
		awaitProxy(t, d)
		cancel(why)
		if err := <-served; !errors.Is(err, why) {
			t.Fatal(err)
		}
	}
}

// awaitProxy returns when the proxy serves.
func awaitProxy(t *testing.T, d *Doors) {
	t.Helper()
	conn, err := net.Dial("tcp", d.proxy.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte{socksVersion, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
}
