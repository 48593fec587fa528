package chunk

import "github.com/kubectl-okteto/kubectl-okteto/syncproto"

// queue holds the blocks that wait to be cut. What is expected in them is
// hashed meanwhile, as if each went on where what is expected in the one before
// it ends.
type queue struct {
	read   <-chan *block
	blocks []*block
}

// guess is what was found out about a block ahead of its turn: the digests of
// the chunks that begin with number at of the older content, -1 for none, if
// rest bytes are left of the block before it.
type guess struct {
	at, rest int
	digests  []syncproto.Digest
}

// next returns the next block, nil after the last one. rest is what is left of
// the one that was returned before.
func (q *queue) next(f *forecast, rest []byte) *block {
	for at := f.at; len(q.blocks) < hashers(); {
		if n := len(q.blocks); n > 0 {
			if at, rest = q.blocks[n-1].expected(f); at < 0 {
				break // it goes on from what is known when the others are cut
			}
		}
		b := q.receive()
		if b == nil {
			break
		}
		b.expect(f, at, rest)
		q.blocks = append(q.blocks, b)
	}
	if len(q.blocks) == 0 {
		return nil
	}
	b := q.blocks[0]
	q.blocks = q.blocks[1:]
	b.work.Wait()
	return b
}

// receive returns the next block that was read. It waits for one only if the
// queue is empty.
func (q *queue) receive() *block {
	if len(q.blocks) == 0 {
		return <-q.read
	}
	select {
	case b := <-q.read:
		return b
	default:
		return nil
	}
}

// expect guesses that the block goes on with chunk number at of the older
// content, after the rest of the block before it.
func (b *block) expect(f *forecast, at int, rest []byte) {
	b.guess = guess{at: -1}
	if at < 0 || at >= len(f.old) {
		return
	}
	end := b.from - len(rest)
	copy(b.buf[end:], rest)
	var chunks [][]byte
	for _, c := range f.old[at:] {
		begin := end
		if end += int(c.Length); end > b.to {
			break
		}
		chunks = append(chunks, b.buf[begin:end])
	}
	digests := make([]syncproto.Digest, len(chunks))
	b.guess = guess{at: at, rest: len(rest), digests: digests}
	b.work.Go(func() {
		for i, c := range chunks {
			digests[i] = Sum(c)
		}
	})
}

// expected returns the chunk with which the next block goes on if the guess
// about this one is right, -1 for none, and what this one leaves to it.
func (b *block) expected(f *forecast) (at int, rest []byte) {
	at = b.guess.at + len(b.guess.digests)
	if b.guess.at < 0 || at >= len(f.old) {
		return -1, nil
	}
	end := b.from - b.guess.rest
	for _, c := range f.old[b.guess.at:at] {
		end += int(c.Length)
	}
	return at, b.buf[end:b.to]
}

// void takes back what was guessed about the blocks in the queue.
func (q *queue) void() {
	for _, b := range q.blocks {
		b.guess.at = -1
	}
}

// drop passes on the blocks that nobody needs, when no more are read.
func (q *queue) drop(free chan<- *block) {
	for _, b := range q.blocks {
		b.work.Wait()
		free <- b
	}
	for b := range q.read {
		free <- b
	}
}
