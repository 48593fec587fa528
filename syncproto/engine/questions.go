package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// questions are what a leader asks about the pod's trash: one at a time, so
// that they fit the follower's window.
type questions struct {
	turn chan struct{} // held by who asks

	mu      sync.Mutex
	latest  uint64
	pending uint64 // the question without an answer; 0 for none
	answers chan syncproto.Message
}

func newQuestions() *questions {
	return &questions{turn: make(chan struct{}, 1), answers: make(chan syncproto.Message, 1)}
}

// ask sends a question and waits for its answer. Where the session ends first
// the error is errSessionEnded.
func (s *leading) ask(ctx context.Context, question func(id uint64) syncproto.Message) (syncproto.Message, error) {
	q := s.asked
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.done:
		return nil, errSessionEnded
	}
	q.mu.Lock()
	q.latest++
	id := q.latest
	q.pending = id
	q.mu.Unlock()
	if err := s.l.conn.Write(question(id)); err != nil {
		<-q.turn
		return nil, errSessionEnded
	}
	select {
	case m := <-q.answers:
		<-q.turn
		return m, nil
	case <-s.done:
		<-q.turn
		return nil, errSessionEnded
	case <-ctx.Done():
		// The turn ends with the answer, which nobody waits for.
		go func() {
			select {
			case <-q.answers:
			case <-s.done:
			}
			<-q.turn
		}()
		return nil, context.Cause(ctx)
	}
}

// answer takes an answer from the reader; it does not wait.
func (q *questions) answer(id uint64, m syncproto.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if id == 0 || id != q.pending {
		return fmt.Errorf("%w: an answer that fits no question", ErrProtocol)
	}
	q.pending = 0
	q.answers <- m
	return nil
}
