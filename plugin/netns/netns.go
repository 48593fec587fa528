// Package netns runs a process in a network namespace of its own, without rights
// on the machine: what it asks of the network arrives at listeners of this program,
// and what listens in there can be reached from here.
//
// This program itself, under another name, prepares the namespace from the inside
// and becomes the process. A second one stays in there as the keeper, which
// connects for this side.
package netns

import (
	"errors"
	"net"
)

// Role is the name, as the first of its arguments, under which this program
// prepares a namespace.
const Role = "kubectl-okteto-namespace"

// What else it may be under that name: the keeper, or a process that does nothing.
const (
	roleKeeper = "keeper"
	roleProbe  = "probe"
)

// ErrForbidden means that this machine lets its users have no namespaces.
var ErrForbidden = errors.New("this machine does not let you have a network namespace")

// Plan is what a namespace is like.
type Plan struct {
	// Loopback are ports of 127.0.0.1 that are this machine's, in there too.
	Loopback []uint16
}

// Entrances are where the traffic of a namespace arrives.
type Entrances struct {
	// Connections accepts what is connected to from the inside; Destination
	// says what that was, as host:port.
	Connections net.Listener
	Destination func(net.Conn) (string, error)
	// Datagrams receives what is sent by UDP, and is nil where the kernel cannot
	// lead it here; DatagramDestination says where that of a peer was meant to go.
	Datagrams           net.PacketConn
	DatagramDestination func(peer net.Addr) string
	// Names and NamesTCP are where the inside asks for names.
	Names    net.PacketConn
	NamesTCP net.Listener
}

// Close closes them.
func (e Entrances) Close() error {
	err := errors.Join(e.Connections.Close(), e.Names.Close(), e.NamesTCP.Close())
	if e.Datagrams != nil {
		err = errors.Join(err, e.Datagrams.Close())
	}
	return err
}

// task is what the preparing program is told.
type task struct {
	Plan
	// Path and Argv are the process.
	Path string
	Argv []string
}

// report is what it says: what went wrong, or that the files come with it.
type report struct {
	Error     string `json:",omitempty"`
	Forbidden bool   `json:",omitempty"`
	Keeper    int    `json:",omitempty"`
}

// dialRequest asks the keeper for a connection, or for a socket of UDP with an
// address; dialReply comes with it, or with the number of the system's error.
type dialRequest struct {
	Network, Address string
	Bind             bool `json:",omitempty"`
}

type dialReply struct {
	Errno uintptr `json:",omitempty"`
	Error string  `json:",omitempty"`
}
