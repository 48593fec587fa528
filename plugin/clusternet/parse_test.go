package clusternet

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestZone(t *testing.T) {
	t.Parallel()
	z := newZone([]byte("nameserver fd00::a\n"+podResolvConf+"search\nnameserver x\n"), []string{"DB_SERVICE_HOST=10.1.2.3", "X_SERVICE_HOST=db"})
	if !z.addresses[netip.MustParseAddr("10.1.2.3")] || !z.addresses[netip.MustParseAddr("fd00::a")] || len(z.addresses) != 3 {
		t.Errorf("the addresses are %v", z.addresses)
	}
	for name, want := range map[string]owner{
		"db": clusters, "DB.": clusters, "db.shop.svc": clusters, "a.b.shop.svc.cluster.local": clusters, "cluster.local": clusters,
		"git.corp.example": clusters, "db.shop": asked, "db-0.db.shop": asked, "a.b.c.d": laptops,
		"localhost": laptops, "x.localhost": laptops, "": laptops, ".": laptops, "mycluster.local.example.com": laptops,
	} {
		if got := z.owner(name); got != want {
			t.Errorf("the owner of %q is %d, want %d", name, got, want)
		}
		if got := newZone([]byte("search corp.example\nnameserver 10.0.0.1"), nil).owner(name); got != laptops {
			t.Errorf("outside of any cluster the owner of %q is %d", name, got)
		}
	}
	if got, want := z.guesses("db.shop"), []string{"db.shop.shop.svc.cluster.local", "db.shop.svc.cluster.local"}; !slices.Equal(got, want) {
		t.Errorf("db.shop may be %q", got)
	}
	if got, want := z.guesses("www.example.com"), []string{"www.example.com.svc.cluster.local"}; !slices.Equal(got, want) {
		t.Errorf("www.example.com may be %q", got)
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	z := newZone([]byte(podResolvConf), nil)
	for name, want := range map[string][]string{
		"db":                         {"db.shop.svc.cluster.local", "db.svc.cluster.local", "db.cluster.local", "db.corp.example"},
		"db.shop.svc":                {"db.shop.svc.shop.svc.cluster.local", "db.shop.svc.svc.cluster.local", "db.shop.svc.cluster.local", "db.shop.svc.corp.example"},
		"db.other.svc.cluster.local": {"db.other.svc.cluster.local"},
		"git.corp.example.":          {"git.corp.example"},
	} {
		if got := z.candidates(name); !slices.Equal(got, want) {
			t.Errorf("%s may be %q", name, got)
		}
	}
}

func TestReverse(t *testing.T) {
	t.Parallel()
	for addr, name := range map[string]string{
		"10.96.0.9": "9.0.96.10.in-addr.arpa",
		"fd00::12":  "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
	} {
		a := netip.MustParseAddr(addr)
		if got := reverse(a); got != name {
			t.Errorf("%s is %s", addr, got)
		}
		if got, ok := reversed(strings.ToUpper(name) + "."); !ok || got != a {
			t.Errorf("%s is %s, %v", name, got, ok)
		}
	}
	for _, name := range []string{"in-addr.arpa", "1.2.3.in-addr.arpa", "x.0.96.10.in-addr.arpa", "1.ip6.arpa", "example.com"} {
		if a, ok := reversed(name); ok {
			t.Errorf("%s is %s", name, a)
		}
	}
}

// script is a client whose words are known beforehand.
type script struct {
	io.Reader
	bytes.Buffer
}

func (s *script) Read(b []byte) (int, error) { return s.Reader.Read(b) }

func greet(words []byte) (address, answer string, err error) {
	s := &script{Reader: bytes.NewReader(words)}
	address, err = greetSOCKS(s, func(name, password string) bool { return name == "u" && password == "p" })
	return address, s.String(), err
}

func TestSOCKS(t *testing.T) {
	t.Parallel()
	const hello, login = "\x05\x02\x00\x02", "\x01\x01u\x01p"
	const welcome = "\x05\x02\x01\x00"
	for name, c := range map[string]struct{ words, address, answer string }{
		"name":         {hello + login + "\x05\x01\x00\x03\x03web\x00\x50", "web:80", welcome},
		"IPv4":         {hello + login + "\x05\x01\x00\x01\x0a\x60\x00\x07\x01\xbb", "10.96.0.7:443", welcome},
		"IPv6":         {hello + login + "\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + "\x01\x00\x50", "[::1]:80", welcome},
		"no password":  {"\x05\x01\x00", "", "\x05\xff"},
		"wrong":        {hello + "\x01\x01u\x01q", "", "\x05\x02\x01\x01"},
		"other login":  {hello + "\x02\x01u\x01p", "", "\x05\x02"},
		"version 4":    {"\x04\x01\x00\x50\x00\x00\x00\x01", "", ""},
		"BIND":         {hello + login + "\x05\x02\x00\x03\x03web\x00\x50", "", welcome + string(socksReply(replyCommand))},
		"address type": {hello + login + "\x05\x01\x00\x09\x03web\x00\x50", "", welcome + string(socksReply(replyAddress))},
		"empty name":   {hello + login + "\x05\x01\x00\x03\x00\x00\x50", "", welcome + string(socksReply(replyAddress))},
		"cut":          {hello + login + "\x05\x01\x00\x03\x03we", "", welcome},
	} {
		address, answer, err := greet([]byte(c.words))
		if address != c.address || answer != c.answer || (err == nil) != (c.address != "") {
			t.Errorf("%s: %q, answer %q, %v", name, address, answer, err)
		}
	}
}

func FuzzSOCKS(f *testing.F) {
	f.Add([]byte("\x05\x02\x00\x02\x01\x01u\x01p\x05\x01\x00\x03\x03web\x00\x50"))
	f.Add([]byte("\x05\x01\x02\x01\x01u\x01p\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + "\x01\x00\x50"))
	f.Fuzz(func(t *testing.T, words []byte) {
		address, _, err := greet(words)
		if err != nil {
			return
		}
		if !bytes.Contains(words, []byte("\x01u\x01p")) {
			t.Error("it trusts without credentials")
		}
		if host, _, err := net.SplitHostPort(address); err == nil && host == "" {
			t.Error("it connects to no host")
		}
	})
}

// FuzzQuestion has the doors answer whatever comes, with a cluster that answers
// whatever comes.
func FuzzQuestion(f *testing.F) {
	f.Add(question("web.", dnsmessage.TypeA), question("web.shop.svc.cluster.local.", dnsmessage.TypeA), false)
	f.Add(question("9.0.96.10.in-addr.arpa.", dnsmessage.TypePTR), []byte{0, 7, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}, true)
	f.Fuzz(func(t *testing.T, query, reply []byte, response bool) {
		if len(reply) > maxMessage {
			return
		}
		if len(query) > 1 && len(reply) > 2 && response { // an answer to this question
			copy(reply, query[:2])
			reply[2] |= 0x80
		}
		d := &Doors{known: map[string]verdict{}, given: map[netip.Addr]bool{}, direct: newDirect(nothing)}
		d.config = Config{
			Connected:  func() bool { return true },
			ResolvConf: func() []byte { return nil },
			Dial: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					defer func() { _ = far.Close() }()
					if _, err := readMessage(far); err == nil {
						_ = writeMessage(far, reply)
					}
				}()
				return near, nil
			},
		}
		d.Know([]byte(podResolvConf), nil)
		var q dnsmessage.Message
		if q.Unpack(query) == nil && len(q.Questions) == 1 && d.ownerOfQuestion(t.Context(), q.Questions[0]) == laptops {
			return // the network is not asked
		}
		answer := d.answer(t.Context(), query)
		if answer == nil {
			return
		}
		if !bytes.Equal(answer[:2], query[:2]) || answer[2]&0x80 == 0 {
			t.Errorf("% x is no answer to % x", answer, query)
		}
		if short := fit(answer, query); len(short) > len(answer) {
			t.Errorf("%d bytes were cut to %d", len(answer), len(short))
		}
	})
}

func FuzzResolvConf(f *testing.F) {
	f.Add([]byte(podResolvConf), "web.shop")
	f.Fuzz(func(t *testing.T, resolvConf []byte, name string) {
		z := newZone(resolvConf, []string{name})
		if z.owner(name) == asked && len(z.guesses(canonical(name))) == 0 {
			t.Errorf("%q is to be asked about, but not how", name)
		}
		if z.owner(name) == clusters && len(z.candidates(name)) == 0 {
			t.Errorf("%q stands for nothing", name)
		}
	})
}

// FuzzPreface has the proxy served whatever comes first.
func FuzzPreface(f *testing.F) {
	f.Add([]byte("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\nProxy-Authorization: Basic b2t0ZXRvOng=\r\n\r\n"))
	f.Add([]byte("GET http://web/ HTTP/1.1\r\nHost: web\r\n\r\n"))
	f.Add([]byte("\x05\x01\x02\x01\x06okteto\x01x\x05\x01\x00\x03\x03web\x00\x50"))
	f.Fuzz(func(t *testing.T, preface []byte) {
		d, err := Listen(t.Context(), Config{
			Dial: func(context.Context, string, string) (net.Conn, error) {
				t.Error("a stranger came in")
				return nil, io.EOF
			},
			Connected: func() bool { return true }, Lookup: nothing, ResolvConf: func() []byte { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		d.Know([]byte(podResolvConf), nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = d.Serve(ctx)
		}()
		conn, err := net.Dial("tcp", d.proxy.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(preface)
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		cancel()
		<-ended
	})
}
