package clusternet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// answerTimeout bounds one answer, the wait for a lost connection included.
const answerTimeout = 15 * time.Second

// errNoServer means that the pod has no name server.
var errNoServer = errors.New("the pod has no name server")

// answer answers a message of DNS: about the cluster's names as its name server
// does to the pod, about others as the laptop's. nil is for what is no question.
func (d *Doors) answer(ctx context.Context, query []byte) []byte {
	var q dnsmessage.Message
	if q.Unpack(query) != nil || q.Response || len(q.Questions) != 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var reply []byte
	var err error
	if d.ownerOfQuestion(ctx, q.Questions[0]) == clusters {
		reply, err = d.resolve(ctx, q)
	} else {
		reply, err = d.direct.resolve(ctx, newZone(d.config.ResolvConf(), nil).nameservers, query, q)
	}
	if err == nil {
		return reply
	}
	failed := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, RecursionDesired: q.RecursionDesired, RecursionAvailable: true, RCode: dnsmessage.RCodeServerFailure},
		Questions: q.Questions,
	}
	packed, err := failed.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// ownerOfQuestion says whom to ask: names for addresses are whose the address is.
func (d *Doors) ownerOfQuestion(ctx context.Context, q dnsmessage.Question) owner {
	name := q.Name.String()
	if addr, ok := reversed(name); ok {
		name = addr.String()
	}
	return d.owner(ctx, name)
}

// resolve asks the pod's name server, with the pod's search list.
func (d *Doors) resolve(ctx context.Context, q dnsmessage.Message) ([]byte, error) {
	d.mu.Lock()
	z := d.zone
	d.mu.Unlock()
	asked := q.Questions[0]
	names := []string{canonical(asked.Name.String())}
	if _, ok := reversed(names[0]); !ok {
		names = z.candidates(names[0])
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{Response: true, RecursionDesired: q.RecursionDesired, RCode: dnsmessage.RCodeNameError}}
	for _, name := range names {
		full, err := dnsmessage.NewName(name + ".")
		if err != nil {
			continue // too long with this domain
		}
		q.Questions = []dnsmessage.Question{{Name: full, Type: asked.Type, Class: asked.Class}}
		if reply, err = d.exchange(ctx, z, q); err != nil {
			return nil, err
		}
		for i, r := range reply.Answers {
			if strings.EqualFold(r.Header.Name.String(), full.String()) {
				reply.Answers[i].Header.Name = asked.Name
			}
		}
		if reply.RCode != dnsmessage.RCodeNameError {
			break
		}
	}
	reply.ID, reply.Questions = q.ID, []dnsmessage.Question{asked}
	d.remember(addressesOf(reply))
	return reply.Pack()
}

// addressesOf are the addresses that a reply has.
func addressesOf(m dnsmessage.Message) (all []netip.Addr) {
	for _, r := range m.Answers {
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			all = append(all, netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			all = append(all, netip.AddrFrom16(body.AAAA))
		}
	}
	return all
}

// ask has the cluster's name server say whether a name or an address is the
// cluster's.
func (d *Doors) ask(ctx context.Context, z zone, host string, addr netip.Addr) owner {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	names, kind := z.guesses(host), dnsmessage.TypeA
	if addr.IsValid() {
		names, kind = []string{reverse(addr.Unmap())}, dnsmessage.TypePTR
	}
	for _, name := range names {
		full, err := dnsmessage.NewName(name + ".")
		if err != nil {
			continue
		}
		q := dnsmessage.Message{Header: dnsmessage.Header{RecursionDesired: true}}
		q.Questions = []dnsmessage.Question{{Name: full, Type: kind, Class: dnsmessage.ClassINET}}
		reply, err := d.exchange(ctx, z, q)
		if err != nil {
			return laptops
		}
		if reply.RCode == dnsmessage.RCodeSuccess && (kind == dnsmessage.TypeA || pointsInto(reply, z.domain)) {
			return clusters
		}
	}
	return laptops
}

// askTimeout bounds finding out whose a name is: what is the internet's waits for
// it.
const askTimeout = 2 * time.Second

// pointsInto tells whether a reply has a name of a domain.
func pointsInto(m dnsmessage.Message, domain string) bool {
	for _, r := range m.Answers {
		if p, ok := r.Body.(*dnsmessage.PTRResource); ok && under(canonical(p.PTR.String()), domain) {
			return true
		}
	}
	return false
}

// exchange asks the pod's name servers, one after the other, from the pod and over
// TCP.
func (d *Doors) exchange(ctx context.Context, z zone, q dnsmessage.Message) (dnsmessage.Message, error) {
	var reply dnsmessage.Message
	query, err := q.Pack()
	if err != nil {
		return reply, fmt.Errorf("asking for a name: %w", err)
	}
	err = errNoServer
	for _, server := range z.nameservers {
		var conn net.Conn
		if conn, err = d.config.Dial(ctx, "tcp", net.JoinHostPort(server.String(), "53")); err != nil {
			continue
		}
		var answer []byte
		if answer, err = exchangeOver(ctx, conn, query, writeMessage, readMessage); err == nil {
			err = reply.Unpack(answer)
		}
		if err == nil && (!reply.Response || reply.ID != q.ID) {
			err = errors.New("the answer is to another question")
		}
		if err == nil {
			return reply, nil
		}
	}
	return reply, fmt.Errorf("asking the pod's name server: %w", err)
}
