package node

import (
	"fmt"
	"slices"
	"strings"
)

// ownChain says whether a packet filter chain is made by this cluster:
// kube-proxy's, those of the CNI plugins, and ours.
func ownChain(name string) bool {
	return strings.HasPrefix(name, "KUBE-") || strings.HasPrefix(name, "CNI-") || strings.HasPrefix(name, "OKTETO-TEST")
}

// unruled reads the output of iptables-save and returns the input for
// `iptables-restore --noflush` that removes the cluster's chains and the rules
// that lead to them, and nothing else; "" when there are none.
func unruled(save string) string {
	var out strings.Builder
	var table string
	var chains, rules []string
	for line := range strings.Lines(save) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table, chains, rules = line, nil, nil
		case strings.HasPrefix(line, ":"):
			if name := strings.Fields(line[1:])[0]; ownChain(name) {
				chains = append(chains, name)
			}
		case strings.HasPrefix(line, "-A "):
			if rule := line[len("-A "):]; !ownChain(strings.Fields(rule)[0]) && leadsToOwn(rule) {
				rules = append(rules, rule)
			}
		case line == "COMMIT" && len(chains)+len(rules) > 0:
			fmt.Fprintln(&out, table)
			for _, rule := range rules {
				fmt.Fprintln(&out, "-D", rule)
			}
			// A chain must be empty, and nothing may lead to it, before it goes.
			for _, chain := range chains {
				fmt.Fprintln(&out, "-F", chain)
			}
			for _, chain := range chains {
				fmt.Fprintln(&out, "-X", chain)
			}
			fmt.Fprintln(&out, "COMMIT")
		}
	}
	return out.String()
}

// leadsToOwn says whether a rule jumps or goes to a chain of the cluster.
func leadsToOwn(rule string) bool {
	fields := strings.Fields(unquoted(rule))
	for _, option := range []string{"-j", "-g"} {
		if i := slices.Index(fields, option); i >= 0 && i+1 < len(fields) && ownChain(fields[i+1]) {
			return true
		}
	}
	return false
}

// unquoted leaves the quoted words of a rule out, which are comments of anybody.
func unquoted(rule string) string {
	var out strings.Builder
	quoted, escaped := false, false
	for _, r := range rule {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case !quoted:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// emptyTables reads the output of iptables-save and returns the tables that
// have no rules, no chains but the built-in ones, and no policy but ACCEPT.
func emptyTables(save string) []string {
	var names []string
	var table string
	empty := false
	for line := range strings.Lines(save) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table, empty = line[1:], true
		case strings.HasPrefix(line, ":"):
			empty = empty && len(fields) > 1 && fields[1] == "ACCEPT"
		case strings.HasPrefix(line, "-"):
			empty = false
		case line == "COMMIT" && empty:
			names = append(names, table)
		}
	}
	return names
}

// masquerade is the input for `iptables-restore --noflush` that lets pods
// reach what is outside, whatever the machine's policy for forwarding is.
func masquerade(c Config) string {
	return strings.ReplaceAll(`*nat
:OKTETO-TEST - [0:0]
-A OKTETO-TEST -s ${pods} ! -d ${pods} -j MASQUERADE
-I POSTROUTING -j OKTETO-TEST
COMMIT
*filter
:OKTETO-TEST - [0:0]
-A OKTETO-TEST -s ${pods} -j ACCEPT
-A OKTETO-TEST -d ${pods} -j ACCEPT
-I FORWARD -j OKTETO-TEST
COMMIT
`, "${pods}", c.pods().String())
}
