package manifest

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// forwards reads forwards, sorted by local port, and the places of their local
// ports. A root forward leads to a Service, because it belongs to no pod.
func (v value) forwards(root bool) ([]Forward, []placedPort) {
	var forwards []Forward
	var ports []placedPort
	for _, item := range v.items() {
		var f Forward
		var ok bool
		if item.isMap() {
			f, ok = item.forwardObject(root)
		} else {
			f, ok = item.forwardText(root)
		}
		if ok {
			forwards = append(forwards, f)
			ports = append(ports, placedPort{localEnd{f.Local, f.Protocol, f.LocalSocket}, item})
		}
	}
	slices.SortStableFunc(forwards, func(a, b Forward) int { return a.Local - b.Local })
	return forwards, ports
}

// forwardText reads localPort:remotePort and localPort:serviceName:remotePort,
// with /udp behind it for UDP, and paths of sockets in the place of ports.
func (v value) forwardText(root bool) (Forward, bool) {
	s, ok := v.text()
	if !ok {
		return Forward{}, false
	}
	f := Forward{}
	text, protocol := cutProtocol(s)
	parts := strings.Split(text, ":")
	switch {
	case root && len(parts) != 3:
		v.fail("wrong global forward syntax '%s', must be of the form 'localPort:serviceName:remotePort'", s)
		return Forward{}, false
	case len(parts) != 2 && len(parts) != 3:
		v.fail("wrong port-forward syntax '%s', must be of the form 'localPort:remotePort' or 'localPort:serviceName:remotePort'", s)
		return Forward{}, false
	}
	f.Protocol = protocol
	if len(parts) == 3 {
		if f.Service, ok = v.service(parts[1]); !ok {
			return Forward{}, false
		}
	}
	if f.Local, f.LocalSocket, ok = v.localEnd("port-forward", parts[0]); !ok {
		return Forward{}, false
	}
	if f.Remote, f.RemoteSocket, ok = v.remoteEnd("port-forward", parts[len(parts)-1]); !ok {
		return Forward{}, false
	}
	return f, v.checkSockets(f.Protocol, f.LocalSocket+f.RemoteSocket) && v.checkServiceSocket(f)
}

// cutProtocol cuts /udp or /tcp off the end of a forward.
func cutProtocol(s string) (string, Protocol) {
	if rest, ok := strings.CutSuffix(s, "/"+string(UDP)); ok && !inPath(rest) {
		return rest, UDP
	}
	if rest, ok := strings.CutSuffix(s, "/tcp"); ok && !inPath(rest) {
		return rest, ""
	}
	return s, ""
}

// inPath tells whether a forward's text ends within a path.
func inPath(s string) bool {
	return strings.Contains(s[strings.LastIndexByte(s, ':')+1:], "/")
}

// localEnd reads the laptop's end of a forward: a port, or the path of a socket,
// which has a slash.
func (v value) localEnd(kind, s string) (port int, socket string, ok bool) {
	if strings.Contains(s, "/") {
		return 0, v.p.local(s), true
	}
	port, ok = v.portText("local", kind, s)
	return port, "", ok
}

// remoteEnd reads the pod's end of a forward: a port, or the absolute path of a
// socket.
func (v value) remoteEnd(kind, s string) (port int, socket string, ok bool) {
	if strings.HasPrefix(s, "/") {
		return 0, path.Clean(s), true
	}
	port, ok = v.portText("remote", kind, s)
	return port, "", ok
}

// checkSockets refuses unix sockets where UDP is asked for.
func (v value) checkSockets(protocol Protocol, sockets string) bool {
	if protocol == UDP && sockets != "" {
		v.fail("UDP is for ports, not for the socket %s", sockets)
		return false
	}
	return true
}

// checkServiceSocket refuses a unix socket of a Service.
func (v value) checkServiceSocket(f Forward) bool {
	if f.RemoteSocket != "" && (f.Service != "" || len(f.Labels) > 0) {
		v.fail("a Service has ports, not the socket %s", f.RemoteSocket)
		return false
	}
	return true
}

// forwardObject reads {localPort | localSocket, remotePort | remoteSocket,
// protocol, name | labels}.
func (v value) forwardObject(root bool) (Forward, bool) {
	before := len(v.p.problems)
	f := Forward{}
	v.object([]field{
		{"localPort", "The port here.", isPort, func(v value) { f.Local, _ = v.port() }},
		{"remotePort", "The port of the pod or the Service.", isPort, func(v value) { f.Remote, _ = v.port() }},
		{"localSocket", "The path of a unix socket here, in the place of a port.", isText, func(v value) {
			if s, ok := v.text(); ok {
				f.LocalSocket = v.p.local(s)
			}
		}},
		{"remoteSocket", "The absolute path of a unix socket of the pod, in the place of a port.", isText, func(v value) {
			s, ok := v.text()
			if ok && !path.IsAbs(s) {
				v.fail("the path %q must be absolute, such as /run/app.sock", s)
			}
			f.RemoteSocket = path.Clean(s)
		}},
		{"protocol", "The protocol of the ports; tcp when unset.", isOneOf("tcp", string(UDP)), func(v value) {
			if s, _ := v.oneOf("tcp", string(UDP)); s == string(UDP) {
				f.Protocol = UDP
			}
		}},
		{"name", "The name of a Service.", isText, func(v value) {
			if s, ok := v.text(); ok {
				f.Service, _ = v.service(s)
			}
		}},
		{"labels", "Labels that select a Service.", isPairs, func(v value) { f.Labels = v.labels(false) }},
	})
	if len(v.p.problems) > before {
		return Forward{}, false
	}
	switch {
	case f.Local == 0 && f.LocalSocket == "" || f.Remote == 0 && f.RemoteSocket == "":
		v.fail("\"localPort\" and \"remotePort\" are both needed")
	case f.Local != 0 && f.LocalSocket != "" || f.Remote != 0 && f.RemoteSocket != "":
		v.fail("a port and a socket exclude each other")
	case f.Service != "" && len(f.Labels) > 0:
		v.fail("\"name\" and \"labels\" exclude each other")
	case root && f.Service == "" && len(f.Labels) == 0:
		v.fail("a global forward needs \"name\" or \"labels\" to find its Service")
	default:
		return f, v.checkSockets(f.Protocol, f.LocalSocket+f.RemoteSocket) && v.checkServiceSocket(f)
	}
	return Forward{}, false
}

// service checks the name of a Service, which may have its namespace behind a
// dot.
func (v value) service(s string) (string, bool) {
	if problems := validation.IsDNS1123Subdomain(s); len(problems) > 0 {
		v.fail("%q is not the name of a Service", s)
		return "", false
	}
	return s, true
}

// portText converts a port within a text of the kind port-forward or reverse.
func (v value) portText(side, kind, s string) (int, bool) {
	port, err := strconv.Atoi(s)
	if err != nil {
		v.fail("cannot convert %s port '%s' in %s '%s'", side, s, kind, v.node.Value)
		return 0, false
	}
	if port < 1 || port > 65535 {
		v.fail("%s port %d in %s '%s' is not between 1 and 65535", side, port, kind, v.node.Value)
		return 0, false
	}
	return port, true
}

// reverses reads reverse forwards, remotePort:localPort, with /udp behind it for
// UDP, and paths of sockets in the place of ports. They are sorted by remote port.
func (v value) reverses() []Reverse {
	var out []Reverse
	seen := map[localEnd]bool{}
	for _, item := range v.items() {
		r, ok := item.reverseText()
		if !ok {
			continue
		}
		end := localEnd{r.Remote, r.Protocol, r.RemoteSocket}
		switch {
		case !seen[end]:
			seen[end] = true
		case r.RemoteSocket != "":
			item.fail("socket %s is listed multiple times, please check your reverse forwards configuration", r.RemoteSocket)
		default:
			item.fail("port %d is listed multiple times, please check your reverse forwards configuration", r.Remote)
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b Reverse) int { return a.Remote - b.Remote })
	return out
}

func (v value) reverseText() (Reverse, bool) {
	s, ok := v.text()
	if !ok {
		return Reverse{}, false
	}
	r := Reverse{}
	text, protocol := cutProtocol(s)
	remote, local, ok := strings.Cut(text, ":")
	if !ok || strings.Contains(local, ":") {
		v.fail("wrong reverse syntax '%s', must be of the form 'remotePort:localPort'", s)
		return Reverse{}, false
	}
	r.Protocol = protocol
	if r.Remote, r.RemoteSocket, ok = v.remoteEnd("reverse", remote); !ok {
		return Reverse{}, false
	}
	if r.Local, r.LocalSocket, ok = v.localEnd("reverse", local); !ok {
		return Reverse{}, false
	}
	return r, v.checkSockets(r.Protocol, r.RemoteSocket+r.LocalSocket)
}
