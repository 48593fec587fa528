//go:build linux

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockAddress is an abstract Unix socket that a supervisor holds while it
// lives. There is one per network namespace, which is what two nodes could not
// share, and the kernel frees it with its process.
const lockAddress = "@kubectl-okteto-test-cluster"

// child is a component that was started.
type child struct {
	component Component
	pid       int // 0 when it does not run
	started   time.Time
	ended     string // how it ended, when it did
}

// supervisor is process 1 of the node's process namespace.
type supervisor struct {
	config Config

	mu       sync.Mutex // guards children, and no child is reaped while it is held
	children map[string]*child
}

// Supervise runs the supervisor of a state folder's node until ctx is done. It
// must be process 1 of fresh process and mount namespaces: Up starts it so.
func Supervise(ctx context.Context, state string) error {
	if os.Getpid() != 1 {
		return errors.New("the supervisor is started by the verb up only")
	}
	r, err := readRecord(state)
	if err != nil {
		return err
	}
	c := r.Config
	lock, err := net.Listen("unix", lockAddress)
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrRunning, err)
	}
	defer lock.Close()
	if err := enterMounts(c); err != nil {
		return err
	}
	s := &supervisor{config: c, children: map[string]*child{}}
	for _, component := range components(c) {
		s.children[component.Name] = &child{component: component}
	}
	reaped := make(chan os.Signal, 1)
	signal.Notify(reaped, syscall.SIGCHLD)
	go s.reap(ctx, reaped)
	listener, err := net.Listen("unix", c.path("control.sock"))
	if err != nil {
		return fmt.Errorf("listening for control: %w", err)
	}
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// reap collects ended processes, the orphans of others among them, as process
// 1 must.
func (s *supervisor) reap(ctx context.Context, children <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-children:
			for s.reapOne() {
			}
		}
	}
}

// reapOne collects one ended process and says whether there may be more.
func (s *supervisor) reapOne() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err != nil || pid <= 0 {
		return errors.Is(err, syscall.EINTR)
	}
	for _, c := range s.children {
		if c.pid == pid {
			c.pid, c.ended = 0, endedBy(status)
		}
	}
	return true
}

// endedBy tells how a process ended.
func endedBy(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "ended by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("ended with status %d", status.ExitStatus())
}

// start starts a component that does not run.
func (s *supervisor) start(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.children[name]
	if !ok {
		return fmt.Errorf("no component is called %q", name)
	}
	if c.pid != 0 {
		return nil
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	log, err := os.OpenFile(s.config.log(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	// The process is reaped by number and never waited for through the handle.
	p, err := os.StartProcess(c.component.Args[0], c.component.Args, &os.ProcAttr{
		Dir:   s.config.State,
		Env:   environment(s.config),
		Files: []*os.File{null, log, log},
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	c.pid, c.started, c.ended = p.Pid, time.Now(), ""
	return p.Release()
}

// environment is what the components get of the caller's environment, and
// what keeps them to the state folder. There is no collector of traces here.
func environment(c Config) []string {
	return append(os.Environ(), "PATH="+searchPath(c), "TMPDIR="+c.path("tmp"), "HOME="+c.path("tmp"), "OTEL_TRACES_EXPORTER=none")
}

// kill sends a signal to a component that runs.
func (s *supervisor) kill(name string, signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.children[name]
	if !ok {
		return fmt.Errorf("no component is called %q", name)
	}
	if c.pid == 0 {
		return nil
	}
	return syscall.Kill(c.pid, signal)
}

// report is what the supervisor knows about a component.
type report struct {
	Name    string
	PID     int // in the node's process namespace; 0 when it does not run
	Started time.Time
	Ended   string
}

// reports lists all components in their order.
func (s *supervisor) reports() []report {
	s.mu.Lock()
	defer s.mu.Unlock()
	var reports []report
	for _, component := range components(s.config) {
		c := s.children[component.Name]
		reports = append(reports, report{component.Name, c.pid, c.started, c.ended})
	}
	return reports
}

// routes is the supervisor's side of control.
func (s *supervisor) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /components", func(w http.ResponseWriter, _ *http.Request) {
		// The reader has gone if this fails.
		_ = json.NewEncoder(w).Encode(s.reports())
	})
	mux.HandleFunc("POST /components/{name}/start", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.start(r.PathValue("name")))
	})
	mux.HandleFunc("POST /components/{name}/kill", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.kill(r.PathValue("name"), syscall.SIGKILL))
	})
	return mux
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}
