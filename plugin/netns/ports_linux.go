package netns

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// LoopbackPorts are the ports of TCP that this machine serves on its loopback at the
// moment.
func LoopbackPorts() []uint16 {
	var ports []uint16
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // a machine without IPv6
		}
		ports = append(ports, listening(string(text))...)
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// listening finds the ports in a table of proc(5) that a client of 127.0.0.1 can
// connect to.
func listening(table string) (ports []uint16) {
	const listen = "0A" // TCP_LISTEN
	for line := range strings.Lines(table) {
		// sl local_address rem_address st ...
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != listen {
			continue
		}
		address, port, _ := strings.Cut(fields[1], ":")
		// The address is in the order of bytes of the machine.
		loopback := len(address) == 8 && (strings.HasPrefix(address, "7F") || strings.HasSuffix(address, "7F"))
		if !loopback && strings.Trim(address, "0") != "" {
			continue
		}
		if n, err := strconv.ParseUint(port, 16, 16); err == nil {
			ports = append(ports, uint16(n))
		}
	}
	return ports
}
