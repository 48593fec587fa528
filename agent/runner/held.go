//go:build linux

package runner

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/agent/attach"
	"github.com/kubectl-okteto/kubectl-okteto/agent/frame"
)

// Bounds of the sessions that outlive connections.
const (
	// maxHeld bounds their number, maxClients that of the clients of each.
	maxHeld    = 128
	maxClients = 32
	// heldMemory is what their outputs may take together, beyond the little
	// that each may have.
	heldMemory = 64 << 20
	// maxLag is how far an attached client may be behind before the process
	// is held up. What it was sent and may not have received is kept beyond
	// that: the window of an SSH channel is half of attach.MaxOutput.
	maxLag = 128 << 10
	// nudge is for how long a terminal has another size when a client comes
	// back, so that what runs in it paints it again.
	nudge = 50 * time.Millisecond
)

// holding are the sessions that outlive connections, by name.
type holding struct {
	budget budget
	group  sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]*held
}

// held is a process that outlives connections.
type held struct {
	runner  *Runner
	process *process
	about   attach.Session
	// owner is the client that started it.
	owner string
	// ended is closed when the process has ended and its output was read.
	ended chan struct{}

	mu      sync.Mutex
	changed sync.Cond // something of the following
	outputs [2]ring   // standard output and error
	clients map[string]*heldClient
	exit    *attach.Status
	// timer ends the process, or the memory of its exit, while nobody comes.
	timer *time.Timer
	// forgotten is true when no client will come any more.
	forgotten bool
}

// heldClient is a client, over all of its connections.
type heldClient struct {
	input *window
	// arrived and taken count the bytes of its input: all, and those that the
	// process has.
	arrived, taken int64
	// size is that of its terminal; zero without one.
	size attach.Size
	// at is its connection; nil while it has none.
	at *attachment
}

// hold starts a process for a client, or returns the one that it started
// before. The lock makes a start whose answer was lost and its repetition one.
func (r *Runner) hold(q attach.Request, env []string) (*held, error) {
	r.endRole(q)
	r.holding.mu.Lock()
	defer r.holding.mu.Unlock()
	h, ok := r.holding.sessions[q.Session]
	switch {
	case ok && q.Start != nil && h.owner != q.Client:
		return nil, &attach.Refusal{Code: attach.CodeMalformed, Message: "a session of this name is another client's"}
	case ok:
		return h, nil
	case q.Start == nil:
		return nil, &attach.Refusal{Code: attach.CodeGone, Message: "there is no such session in the dev container"}
	case r.stopping.Load():
		return nil, &attach.Refusal{Code: attach.CodeGone, Message: "the dev container is being stopped"}
	case len(r.holding.sessions) >= maxHeld && !r.holding.evict():
		return nil, &attach.Refusal{Code: attach.CodeBusy, Message: "there are too many sessions in the dev container"}
	}
	start := Start{Line: q.Start.Line, Env: env}
	if t := q.Start.TTY; t != nil {
		start.TTY = &TTY{Term: t.Term, Modes: t.Modes}
		// What a terminal has always had, until a client has one.
		size := cmp.Or(q.Size, &attach.Size{Cols: 80, Rows: 24})
		start.TTY.Size = Size{Cols: size.Cols, Rows: size.Rows}
	}
	p, err := r.startProcess(start)
	if err != nil {
		return nil, err
	}
	h = &held{
		runner: r, process: p, owner: q.Client, ended: make(chan struct{}), clients: map[string]*heldClient{},
		about: attach.Session{Session: q.Session, Line: q.Start.Line, Role: q.Start.Role, TTY: p.tty, Started: time.Now()},
	}
	h.changed.L = &h.mu
	for i := range h.outputs {
		h.outputs[i] = ring{budget: &r.holding.budget, most: attach.MaxOutput / blockSize}
	}
	// Its client comes now, or never.
	h.timer = time.AfterFunc(r.grace.linger+time.Minute, h.expire)
	r.holding.sessions[q.Session] = h
	r.track(p, true)
	r.holding.group.Go(h.run)
	return h, nil
}

// endRole ends older sessions of the role that one is to be started in.
func (r *Runner) endRole(q attach.Request) {
	if q.Start == nil || q.Start.Role == "" {
		return
	}
	r.holding.mu.Lock()
	sessions := slices.Collect(maps.Values(r.holding.sessions))
	r.holding.mu.Unlock()
	for _, h := range sessions {
		if h.about.Role == q.Start.Role && h.about.Session != q.Session {
			h.hangUp()
			<-h.ended
			h.forget()
		}
	}
}

// evict makes room by forgetting the exit that was kept for longest; false when
// all processes run.
func (s *holding) evict() bool {
	var oldest *held
	for _, h := range s.sessions {
		if h.over() && (oldest == nil || h.about.Started.Before(oldest.about.Started)) {
			oldest = h
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.sessions, oldest.about.Session)
	oldest.letGo()
	return true
}

// list returns what there is, oldest first.
func (s *holding) list() []attach.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []attach.Session{}
	for _, h := range s.sessions {
		h.mu.Lock()
		about := h.about
		about.Exit = h.exit
		about.Clients = h.attached()
		h.mu.Unlock()
		list = append(list, about)
	}
	slices.SortFunc(list, func(a, b attach.Session) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Session, b.Session))
	})
	return list
}

// abandon lets go of the outputs of all processes: what still holds them is of
// no session.
func (s *holding) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.sessions {
		h.process.close()
		h.timer.Stop()
	}
}

// run reads the output of the process to its end.
func (h *held) run() {
	status := h.process.pump(h.write)
	h.runner.track(h.process, false)
	exit := attach.Status(h.runner.explain(h.process.memory.explain(exitOf(status))))
	h.mu.Lock()
	h.exit = &exit
	for _, c := range h.clients {
		c.input.end()
	}
	h.timer.Stop()
	h.timer = time.AfterFunc(h.runner.grace.linger, h.forget)
	h.changed.Broadcast()
	h.mu.Unlock()
	h.process.close()
	close(h.ended)
}

// write keeps output. It waits for clients that are attached and behind;
// without one it never waits.
func (h *held) write(framed []byte) error {
	i := 0
	if FrameType(framed[0]) == FrameStderr {
		i = 1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.behind(i) {
		h.changed.Wait()
	}
	h.outputs[i].write(framed[frame.HeaderSize:])
	h.changed.Broadcast()
	return nil
}

// behind tells whether a client that is attached has to be waited for.
func (h *held) behind(i int) bool {
	for _, c := range h.clients {
		if c.at != nil && h.outputs[i].end-c.at.sent[i] >= maxLag {
			return true
		}
	}
	return false
}

// feed gives a client's input to the process. When the process reads no more,
// what comes is dropped. The input of a pipe ends with its owner's.
func (h *held) feed(c *heldClient, owner bool) {
	var broken error
	for p := c.input.take(); p != nil; p = c.input.take() {
		if broken == nil {
			_, broken = h.process.stdin.Write(p)
		}
		h.mu.Lock()
		c.taken += int64(len(p))
		h.changed.Broadcast()
		h.mu.Unlock()
	}
	if owner && !h.process.tty {
		h.process.stdin.Close()
	}
}

// expire ends the process that nobody came back to.
func (h *held) expire() {
	h.mu.Lock()
	wanted := h.attached() > 0
	h.mu.Unlock()
	if !wanted {
		h.hangUp()
	}
}

// over tells whether the process has ended: its number may be another's by now.
func (h *held) over() bool {
	select {
	case <-h.ended:
		return true
	default:
		return false
	}
}

// hangUp ends the process, as the end of its connection ends that of an
// ordinary session.
func (h *held) hangUp() {
	if h.over() {
		return
	}
	h.process.hangUp(h.ended, h.runner.grace.hangUp)
}

// forget ends the session, whose process has ended: no client may come back.
func (h *held) forget() {
	s := &h.runner.holding
	s.mu.Lock()
	if s.sessions[h.about.Session] == h {
		delete(s.sessions, h.about.Session)
	}
	s.mu.Unlock()
	h.letGo()
}

// letGo frees the memory as soon as nobody reads from it.
func (h *held) letGo() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgotten = true
	h.timer.Stop()
	if h.attached() > 0 {
		return
	}
	for i := range h.outputs {
		h.outputs[i].release()
	}
}

// attached counts the clients that are there.
func (h *held) attached() (n int) {
	for _, c := range h.clients {
		if c.at != nil {
			n++
		}
	}
	return n
}

// fit gives the terminal the smallest of its clients' sizes. With again, the
// terminal had that size before, and gets another one first.
func (h *held) fit(again bool) {
	var size attach.Size
	for _, c := range h.clients {
		if c.at == nil || c.size == (attach.Size{}) {
			continue
		}
		if size == (attach.Size{}) {
			size = c.size
		}
		size = attach.Size{Cols: min(size.Cols, c.size.Cols), Rows: min(size.Rows, c.size.Rows)}
	}
	if !h.process.tty || size == (attach.Size{}) {
		return
	}
	if again {
		size.Rows ^= 1
		time.AfterFunc(nudge, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.fit(false)
		})
	}
	// A size that the terminal refuses is no reason to end.
	_ = resize(h.process.stdout, Size{Cols: size.Cols, Rows: size.Rows})
}
