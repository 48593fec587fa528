package clusternet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/sshclient"
)

// SOCKS version 5 (RFC 1928) with user name and password (RFC 1929). Only CONNECT
// is served: hardly a program asks for another command.
const (
	socksVersion     = 5
	passwordVersion  = 1
	methodPassword   = 2
	methodNone       = 0xff
	commandConnect   = 1
	addressIPv4      = 1
	addressDomain    = 3
	addressIPv6      = 4
	replyDone        = 0
	replyFailed      = 1
	replyUnreachable = 4
	replyRefused     = 5
	replyCommand     = 7
	replyAddress     = 8
)

var errSOCKS = errors.New("not as SOCKS has it")

// greetSOCKS hears a client out, which has to be trusted, and returns the host:port
// that it asks for. What is wrong has been answered.
func greetSOCKS(conn io.ReadWriter, trusted func(name, password string) bool) (string, error) {
	r := socksReader{r: conn}
	if r.octet() != socksVersion {
		return "", errSOCKS
	}
	methods := r.text()
	if r.err != nil {
		return "", r.err
	}
	method := byte(methodNone)
	for _, m := range []byte(methods) {
		if m == methodPassword {
			method = m
		}
	}
	if _, err := conn.Write([]byte{socksVersion, method}); err != nil || method == methodNone {
		return "", errors.Join(err, errSOCKS)
	}
	version, name, password := r.octet(), r.text(), r.text()
	if r.err != nil || version != passwordVersion {
		return "", errors.Join(r.err, errSOCKS)
	}
	if !trusted(name, password) {
		_, err := conn.Write([]byte{passwordVersion, 1})
		return "", errors.Join(err, errSOCKS)
	}
	if _, err := conn.Write([]byte{passwordVersion, 0}); err != nil {
		return "", err
	}
	return readSOCKSRequest(conn, &r)
}

func readSOCKSRequest(conn io.Writer, r *socksReader) (string, error) {
	version, command, _, kind := r.octet(), r.octet(), r.octet(), r.octet()
	var host string
	known := true
	switch kind {
	case addressIPv4:
		host = r.address(net.IPv4len)
	case addressIPv6:
		host = r.address(net.IPv6len)
	case addressDomain:
		host = r.text()
	default:
		known = false
	}
	port := int(r.octet())<<8 | int(r.octet())
	reply := byte(replyDone)
	switch {
	case r.err != nil:
		return "", r.err
	case version != socksVersion:
		return "", errSOCKS
	case command != commandConnect:
		reply = replyCommand
	case !known || host == "":
		reply = replyAddress
	}
	if reply != replyDone {
		_, err := conn.Write(socksReply(reply))
		return "", errors.Join(err, fmt.Errorf("%w: reply %d", errSOCKS, reply))
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// socksAnswer tells a client how connecting went.
func socksAnswer(err error) []byte {
	_, refused := errors.AsType[*sshclient.DialError](err)
	_, unknown := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil:
		return socksReply(replyDone)
	case errors.Is(err, syscall.ECONNREFUSED):
		return socksReply(replyRefused)
	case refused, unknown:
		return socksReply(replyUnreachable)
	default:
		return socksReply(replyFailed)
	}
}

// socksReply is a reply with an address that says nothing: no client needs ours.
func socksReply(code byte) []byte {
	return []byte{socksVersion, code, 0, addressIPv4, 0, 0, 0, 0, 0, 0}
}

// socksReader reads the parts of messages; after an error all are empty.
type socksReader struct {
	r   io.Reader
	err error
}

func (r *socksReader) bytes(n int) []byte {
	b := make([]byte, n)
	if r.err == nil {
		_, r.err = io.ReadFull(r.r, b)
	}
	return b
}

func (r *socksReader) octet() byte { return r.bytes(1)[0] }

// text reads a text after its length.
func (r *socksReader) text() string { return string(r.bytes(int(r.octet()))) }

func (r *socksReader) address(length int) string {
	a, _ := netip.AddrFromSlice(r.bytes(length))
	return a.String()
}
