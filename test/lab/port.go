package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePort returns a TCP port of 127.0.0.1 that nobody uses. It is below those
// that systems give to outgoing connections and to listeners that ask for any
// port: nobody gets it by accident before its user does, and nobody who dials
// it meanwhile connects to himself.
func FreePort() (int, error) {
	const first, ports, tries = 20_000, 10_000, 100
	for range tries {
		port := first + rand.IntN(ports)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no TCP port is free")
}
