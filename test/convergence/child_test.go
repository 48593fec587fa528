package convergence

import (
	"context"
	"net"
	"os"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// childSide and childDir tell a child process which end it is, and where.
const (
	childSide = "CONVERGENCE_SIDE"
	childDir  = "CONVERGENCE_DIR"
)

// TestMain lets the test binary be one end of a session: a process that can be
// killed.
func TestMain(m *testing.M) {
	if s := os.Getenv(childSide); s != "" {
		// How the session ends is no news: it was cut.
		_ = child(s == side(true), os.Getenv(childDir))
		return
	}
	os.Exit(m.Run())
}

// child serves one session on file descriptor 3.
func child(pod bool, dir string) error {
	conn, err := net.FileConn(os.NewFile(3, "session"))
	if err != nil {
		return err
	}
	e := &ends{dir: dir}
	if err := e.boot(pod); err != nil {
		return err
	}
	if pod {
		return engine.Accept(context.Background(), conn, func(string) (*engine.Follower, error) { return e.follower, nil })
	}
	return e.leader.Run(context.Background(), conn, "/src")
}
