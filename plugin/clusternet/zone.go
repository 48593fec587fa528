package clusternet

import (
	"net/netip"
	"strings"
)

// owner says whose a name or an address is.
type owner int

const (
	// laptops is what the laptop reaches by itself.
	laptops owner = iota
	// clusters is what the pod reaches.
	clusters
	// asked is what the cluster's name server has to be asked about.
	asked
)

// zone is what a pod knows of the cluster's names. The zero value has none.
type zone struct {
	// nameservers are the pod's, in order.
	nameservers []netip.Addr
	// search are the domains that the pod completes names with, in lower case
	// and without dots at their ends; services are those of them that have
	// nothing but Services and pods, domain is the cluster's.
	search, services []string
	domain           string
	// addresses are those that the pod was told.
	addresses map[netip.Addr]bool
}

// newZone reads the pod's resolv.conf, and the variables by which a pod knows the
// Services of its namespace.
func newZone(resolvConf []byte, env []string) zone {
	z := zone{addresses: map[netip.Addr]bool{}}
	for line := range strings.Lines(string(resolvConf)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 2:
		case fields[0] == "nameserver":
			if a, err := netip.ParseAddr(fields[1]); err == nil {
				z.nameservers = append(z.nameservers, a)
				z.addresses[a.Unmap()] = true
			}
		case fields[0] == "search":
			z.search = nil // the last line counts
			for _, domain := range fields[1:] {
				if domain = canonical(domain); domain != "" {
					z.search = append(z.search, domain)
				}
			}
		}
	}
	for _, domain := range z.search {
		if rest, ok := strings.CutPrefix(domain, "svc."); ok {
			z.domain = rest
		}
	}
	for _, domain := range z.search {
		if z.domain != "" && under(domain, "svc."+z.domain) {
			z.services = append(z.services, domain)
		}
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasSuffix(name, "_SERVICE_HOST") {
			continue
		}
		if a, err := netip.ParseAddr(value); err == nil {
			z.addresses[a.Unmap()] = true
		}
	}
	return z
}

// canonical is a name in lower case without the dot at its end.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// under tells whether a name is a domain's, or the domain itself.
func under(name, domain string) bool { return name == domain || strings.HasSuffix(name, "."+domain) }

// owner says whose a name is, by the name alone. Names such as db.shop and
// db-0.db.shop may be a Service's and a pod's as well as the internet's.
func (z zone) owner(name string) owner {
	name = canonical(name)
	switch {
	case z.domain == "", name == "", under(name, "localhost"):
		return laptops
	case !strings.Contains(name, "."), under(name, "svc"), under(name, z.domain):
		return clusters
	}
	for _, domain := range z.search {
		if under(name, domain) {
			return clusters
		}
	}
	if len(z.guesses(name)) > 0 {
		return asked
	}
	return laptops
}

// guesses are the full names that a name of the kind asked may stand for.
func (z zone) guesses(name string) []string {
	dots := strings.Count(name, ".")
	var names []string
	for _, domain := range z.services {
		// A Service has one label before its namespace, its pods have two.
		namespaced := domain != "svc."+z.domain
		if dots == 1 || dots == 2 && !namespaced {
			names = append(names, name+"."+domain)
		}
	}
	return names
}

// candidates are the full names that a name of the cluster may stand for, in the
// order of the pod. No top-level domain is asked about: whether there is one the
// internet's name servers know, which the cluster may not reach.
func (z zone) candidates(name string) []string {
	name = canonical(name)
	if under(name, z.domain) {
		return []string{name}
	}
	var names []string
	for _, domain := range z.search {
		if under(name, domain) {
			return []string{name}
		}
		names = append(names, name+"."+domain)
	}
	return names
}
