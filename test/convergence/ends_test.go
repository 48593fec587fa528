package convergence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// ends are a leader and a follower, and the session between them.
type ends struct {
	dir      string // holds the roots and the state folders
	leader   *engine.Leader
	follower *engine.Follower
	wire     *wire // nil while there is no session
	cancel   context.CancelFunc
	over     chan error      // the fates of both ends of the session
	ahead    [2]atomic.Int64 // what the clocks of leader and follower are ahead of the true time
	news     chan struct{}
}

func newEnds(dir string) (*ends, error) {
	e := &ends{dir: dir, news: make(chan struct{}, 1)}
	return e, errors.Join(e.boot(false), e.boot(true))
}

func (e *ends) path(name string) string { return filepath.Join(e.dir, name) }

// boot starts an end anew from what is on disk.
func (e *ends) boot(pod bool) (err error) {
	if pod {
		e.follower, err = engine.NewFollower(engine.Config{Root: e.path("pod"), StateDir: e.path("follower"), Now: e.clock(pod)})
		return err
	}
	if e.leader != nil {
		_ = e.leader.Close()
	}
	e.leader, err = engine.NewLeader(engine.Config{
		Root: e.path("laptop"), StateDir: e.path("leader"), Now: e.clock(pod),
		OnEvent: func(engine.Event) {
			select {
			case e.news <- struct{}{}:
			default:
			}
		},
	})
	return err
}

// clock returns what tells the time to an end.
func (e *ends) clock(pod bool) func() time.Time {
	ahead := e.aheadOf(pod)
	// The reading that a clock's being set leaves alone is taken off.
	return func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load())) }
}

// set sets the clock of an end.
func (e *ends) set(pod bool, ahead time.Duration) { e.aheadOf(pod).Store(int64(ahead)) }

func (e *ends) aheadOf(pod bool) *atomic.Int64 {
	if pod {
		return &e.ahead[1]
	}
	return &e.ahead[0]
}

// connect starts a session over a wire.
func (e *ends) connect(w *wire) {
	ctx, cancel := context.WithCancel(context.Background())
	e.wire, e.cancel, e.over = w, cancel, make(chan error, 2)
	leader, follower := e.leader, e.follower
	go func() { e.over <- leader.Run(ctx, w.end(false), "/src") }()
	go func() {
		e.over <- engine.Accept(ctx, w.end(true), func(string) (*engine.Follower, error) { return follower, nil })
	}()
}

// ended returns why an end of the session is over, nil if both go on.
func (e *ends) ended() error {
	select {
	case err := <-e.over:
		e.over <- err
		return fmt.Errorf("the session ended: %w", err)
	default:
		return nil
	}
}

// disconnect ends the session, in good order unless it was cut before.
func (e *ends) disconnect() {
	if e.wire == nil {
		return
	}
	e.cancel()
	<-e.over
	<-e.over
	e.wire = nil
}

// cut breaks the connection and waits until both ends have noticed.
func (e *ends) cut(lose bool) {
	if e.wire != nil {
		e.wire.cut(lose)
		e.disconnect()
	}
}

// restart ends an end in good order and starts it again.
func (e *ends) restart(pod bool) error {
	e.disconnect()
	return e.boot(pod)
}

// kill cuts the connection and starts an end with the state that was on disk at
// that moment. What the end did to its root while it went down stays: a
// process may die between that and taking note of it.
func (e *ends) kill(pod bool) error {
	state := e.path("leader")
	if pod {
		state = e.path("follower")
	}
	saved, err := read(state)
	if err != nil {
		return err
	}
	e.cut(true)
	if !pod {
		_ = e.leader.Close()
		e.leader = nil
	}
	if err := restore(state, saved); err != nil {
		return err
	}
	return e.boot(pod)
}

// read returns the files of a state folder, but not its trash.
func read(dir string) (map[string][]byte, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, d := range list {
		if d.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, d.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a temporary one
		}
		if err != nil {
			return nil, err
		}
		files[d.Name()] = b
	}
	return files, nil
}

// restore makes the files of a state folder what they were.
func restore(dir string, files map[string][]byte) error {
	now, err := read(dir)
	if err != nil {
		return err
	}
	for name := range now {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return fmt.Errorf("restoring state: %w", err)
		}
	}
	return nil
}

// close ends both ends.
func (e *ends) close() {
	e.disconnect()
	if e.leader != nil {
		_ = e.leader.Close()
	}
}
