package engine

import (
	"context"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/stage"
)

// fetch returns a source that asks the other end for the content of c, several
// pieces ahead of what was written.
func (l *link) fetch(c *syncproto.Change) stage.Source {
	return func(ctx context.Context, yield func([]byte) error) error {
		f := &fetching{link: l, change: c}
		err := f.run(ctx, yield)
		f.abandon()
		return err
	}
}

// fetching is the transfer of one file.
type fetching struct {
	link   *link
	change *syncproto.Change
	asked  int64
	queue  []piece // requests on their way, in order
}

type piece struct {
	answer <-chan *syncproto.Data
	length int
}

func (f *fetching) run(ctx context.Context, yield func([]byte) error) error {
	for f.asked < f.change.Entry.Size || len(f.queue) > 0 {
		if err := f.ask(ctx); err != nil {
			return err
		}
		p := f.queue[0]
		select {
		case d := <-p.answer:
			f.queue = f.queue[1:]
			<-f.link.slots
			if d.Code != syncproto.CodeOK || len(d.Content) != p.length {
				return stage.ContentError(fmt.Errorf("%q changed before it could be fetched", f.change.Path))
			}
			if err := yield(d.Content); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// ask sends requests while there are slots. It waits for a slot only when it
// has nothing else to wait for.
func (f *fetching) ask(ctx context.Context) error {
	for f.asked < f.change.Entry.Size {
		select {
		case f.link.slots <- struct{}{}:
		default:
			if len(f.queue) > 0 {
				return nil
			}
			select {
			case f.link.slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		n := int(min(f.change.Entry.Size-f.asked, syncproto.MaxPiece))
		answer, err := f.link.request(f.change.Path, f.change.Entry.Digest, f.asked, n)
		f.queue = append(f.queue, piece{answer: answer, length: n})
		if err != nil {
			return err
		}
		f.asked += int64(n)
	}
	return nil
}

// abandon gives the slots of unanswered requests back once their answers are
// there, so that the window stays honest.
func (f *fetching) abandon() {
	if len(f.queue) == 0 {
		return
	}
	queue := f.queue
	f.link.drain.Go(func() {
		for _, p := range queue {
			select {
			case <-p.answer:
				<-f.link.slots
			case <-f.link.closed:
				return
			}
		}
	})
}
