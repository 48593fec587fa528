//go:build !linux

package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
)

// LoopbackPorts are of no use without rooms.
func LoopbackPorts() []uint16 { return nil }

// Room is a namespace for one process: there is none on this system.
type Room struct{}

// New fails, as Probe does.
func New(Plan, func(Entrances)) (*Room, error) { return nil, Probe() }

// Probe tells that there can be no rooms.
func Probe() error { return fmt.Errorf("%w: only Linux has them", ErrForbidden) }

// Enter changes nothing.
func (*Room) Enter(path string, argv []string, _ *os.ProcAttr) (string, []string, error) {
	return path, argv, nil
}

// Started has nothing to await.
func (*Room) Started() error { return nil }

// Refused changes nothing.
func (*Room) Refused(err error) error { return err }

// Dial fails.
func (*Room) Dial(context.Context, string, string) (net.Conn, error) { return nil, Probe() }

// Close has nothing to close.
func (*Room) Close() {}

// Main cannot do what it is for.
func Main([]string, io.Writer) int { return 1 }
