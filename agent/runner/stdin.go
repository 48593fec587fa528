//go:build linux

package runner

import (
	"errors"
	"sync"
)

// window holds the standard input that a process has not read yet: at most so
// many bytes, so that the connection can always be read on.
type window struct {
	most   int
	mu     sync.Mutex
	change sync.Cond
	data   []byte
	eof    bool
}

func newWindow(most int) *window {
	w := &window{most: most}
	w.change.L = &w.mu
	return w
}

// put adds data. More than the window is a breach of the protocol.
func (w *window) put(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.eof {
		return errors.New("standard input after its end")
	}
	if len(w.data)+len(p) > w.most {
		return errors.New("standard input beyond the window")
	}
	w.data = append(w.data, p...)
	w.change.Signal()
	return nil
}

// end says that no more data comes.
func (w *window) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.eof = true
	w.change.Signal()
}

// take waits for data and returns all of it; nil at the end.
func (w *window) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.data) == 0 && !w.eof {
		w.change.Wait()
	}
	p := w.data
	w.data = nil
	return p
}
