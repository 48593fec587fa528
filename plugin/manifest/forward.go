package manifest

import (
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
			ports = append(ports, placedPort{f.Local, item})
		}
	}
	slices.SortStableFunc(forwards, func(a, b Forward) int { return a.Local - b.Local })
	return forwards, ports
}

// forwardText reads localPort:remotePort and localPort:serviceName:remotePort.
func (v value) forwardText(root bool) (Forward, bool) {
	s, ok := v.text()
	if !ok {
		return Forward{}, false
	}
	parts := strings.Split(s, ":")
	switch {
	case root && len(parts) != 3:
		v.fail("wrong global forward syntax '%s', must be of the form 'localPort:serviceName:remotePort'", s)
		return Forward{}, false
	case len(parts) != 2 && len(parts) != 3:
		v.fail("wrong port-forward syntax '%s', must be of the form 'localPort:remotePort' or 'localPort:serviceName:remotePort'", s)
		return Forward{}, false
	}
	f := Forward{}
	if len(parts) == 3 {
		if f.Service, ok = v.service(parts[1]); !ok {
			return Forward{}, false
		}
	}
	if f.Local, ok = v.portText("local", "port-forward", parts[0]); !ok {
		return Forward{}, false
	}
	f.Remote, ok = v.portText("remote", "port-forward", parts[len(parts)-1])
	return f, ok
}

// forwardObject reads {localPort, remotePort, name | labels}.
func (v value) forwardObject(root bool) (Forward, bool) {
	before := len(v.p.problems)
	f := Forward{}
	v.object([]field{
		{"localPort", "The port here.", isPort, func(v value) { f.Local, _ = v.port() }},
		{"remotePort", "The port of the pod or the Service.", isPort, func(v value) { f.Remote, _ = v.port() }},
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
	case f.Local == 0 || f.Remote == 0:
		v.fail("\"localPort\" and \"remotePort\" are both needed")
	case f.Service != "" && len(f.Labels) > 0:
		v.fail("\"name\" and \"labels\" exclude each other")
	case root && f.Service == "" && len(f.Labels) == 0:
		v.fail("a global forward needs \"name\" or \"labels\" to find its Service")
	default:
		return f, true
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

// reverses reads reverse forwards, remotePort:localPort, sorted by remote port.
func (v value) reverses() []Reverse {
	var out []Reverse
	seen := map[int]bool{}
	for _, item := range v.items() {
		s, ok := item.text()
		if !ok {
			continue
		}
		remote, local, ok := strings.Cut(s, ":")
		if !ok || strings.Contains(local, ":") {
			item.fail("wrong reverse syntax '%s', must be of the form 'remotePort:localPort'", s)
			continue
		}
		r, l := 0, 0
		if r, ok = item.portText("remote", "reverse", remote); !ok {
			continue
		}
		if l, ok = item.portText("local", "reverse", local); !ok {
			continue
		}
		if seen[r] {
			item.fail("port %d is listed multiple times, please check your reverse forwards configuration", r)
		}
		seen[r] = true
		out = append(out, Reverse{Remote: r, Local: l})
	}
	slices.SortStableFunc(out, func(a, b Reverse) int { return a.Remote - b.Remote })
	return out
}
