package engine

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

// counter counts the bytes that are written to a connection.
type counter struct {
	net.Conn
	n *atomic.Int64
}

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.Conn.Write(b)
}

// startCounting is start over a connection that counts what both ends write.
func (p *pair) startCounting(n *atomic.Int64) *session {
	p.boot()
	a, b := net.Pipe()
	return p.connect(counter{a, n}, counter{b, n})
}

func random(seed byte, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// TestLargeFiles changes large files on either side: only chunks that the
// other side has nowhere travel.
func TestLargeFiles(t *testing.T) {
	const (
		size    = 6 << 20
		nothing = 64 << 10              // lists, entries, acks
		little  = nothing + 3*(512<<10) // and a few chunks
	)
	path := func(root, name string) string { return filepath.Join(root, name) }
	save := func(root, name string, content []byte) { // as many an editor does
		must(t, os.WriteFile(path(root, name+".new"), content, 0o644))
		must(t, os.Rename(path(root, name+".new"), path(root, name)))
	}
	steps := []struct {
		name string
		do   func(root string)
		most int64
	}{
		{"edited in the middle", func(root string) {
			f, err := os.OpenFile(path(root, "f"), os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt(random(2, 1024), size/2)
			must(t, err)
			must(t, f.Close())
		}, little},
		{"inserted at the head", func(root string) {
			save(root, "f", append(random(3, 1024), read(t, root, "f")...))
		}, little},
		{"copied", func(root string) { write(t, root, "copy", read(t, root, "f")) }, nothing},
		{"copied and edited", func(root string) {
			write(t, root, "copy2", read(t, root, "f")[:size/2]+"edited"+read(t, root, "f")[size/2:])
		}, little},
		{"renamed and edited", func(root string) {
			must(t, os.Rename(path(root, "f"), path(root, "moved")))
			write(t, root, "moved", read(t, root, "moved")+"more")
		}, little},
		{"deleted", func(root string) {
			for _, name := range []string{"moved", "copy", "copy2"} {
				must(t, os.Rename(path(root, name), path(root+".away", name)))
			}
		}, nothing},
		{"brought back", func(root string) {
			for _, name := range []string{"moved", "copy", "copy2"} {
				write(t, root, name, read(t, root+".away", name))
			}
		}, nothing},
	}
	p := newPair(t)
	for i := range 20 { // or the deletes would be too much of the tree
		write(t, p.laptop, fmt.Sprint("small", i), "small")
	}
	var n atomic.Int64
	s := p.startCounting(&n)
	defer func() { s.stop() }()
	for i, root := range []string{p.laptop, p.pod} {
		must(t, os.Mkdir(root+".away", 0o755))
		write(t, root, "f", string(random(byte(10+i), size)))
		p.settle()
		for _, step := range steps {
			s.stop() // what was known must not get lost with the processes
			must(t, p.leader.Close())
			s = p.startCounting(&n)
			p.settle()
			before := n.Load()
			step.do(root)
			p.settle()
			if sent := n.Load() - before; sent > step.most {
				t.Errorf("%s in %s: %d bytes were sent", step.name, filepath.Base(root), sent)
			}
		}
		for _, name := range []string{"moved", "copy", "copy2"} {
			must(t, os.Remove(path(root, name)))
		}
		p.settle()
	}
}

// TestInterruptedLargeFile cuts the connection in the midst of a large file:
// what was written is not sent again, and nothing is left of it in the end. Up
// to 4 MiB had arrived without being written yet.
func TestInterruptedLargeFile(t *testing.T) {
	const size, cut = 16 << 20, 12 << 20
	p := newPair(t)
	write(t, p.laptop, "dir/f", string(random(1, size)))
	p.boot()
	a, b := net.Pipe()
	half := &cutter{Conn: a}
	half.left.Store(cut)
	s := p.connect(half, b)
	<-s.leads
	s.leads <- nil
	s.stop()
	var n atomic.Int64
	a, b = net.Pipe()
	s = p.connect(counter{a, &n}, counter{b, &n}) // the same processes
	defer s.stop()
	p.settle()
	if sent := n.Load(); sent > size-cut/2 {
		t.Errorf("%d bytes were sent after the cut", sent)
	}
	for _, root := range []string{p.laptop, p.pod} {
		if left, err := filepath.Glob(filepath.Join(root, "dir", syncproto.TempPrefix+"*")); err != nil || len(left) > 0 {
			t.Errorf("left are %q, %v", left, err)
		}
	}
}

// TestLargeFileWhileItIsWritten lets a large file change all the time: what
// arrives is always one of its versions, and the last one in the end.
func TestLargeFileWhileItIsWritten(t *testing.T) {
	p := newPair(t)
	content := random(1, 3<<20)
	write(t, p.laptop, "f", string(content))
	s := p.start()
	defer s.stop()
	p.settle()
	for i := range 20 {
		copy(content[i*100_000:], fmt.Sprint("version ", i))
		must(t, os.WriteFile(filepath.Join(p.laptop, "f"), content, 0o644))
		if i%5 == 0 {
			p.awaitEvent(t.Context())
		}
	}
	p.settle()
	if read(t, p.pod, "f") != string(content) {
		t.Error("the last version did not arrive")
	}
}

// TestLostLists removes the chunk lists from both state folders: files are cut
// again when they are wanted.
func TestLostLists(t *testing.T) {
	p := newPair(t)
	content := random(1, 3<<20)
	write(t, p.laptop, "f", string(content))
	var n atomic.Int64
	s := p.startCounting(&n)
	p.settle()
	s.stop()
	for _, dir := range []string{p.leaderState, p.followerState} {
		must(t, os.Remove(filepath.Join(dir, "chunks")))
	}
	s = p.startCounting(&n)
	defer s.stop()
	p.settle()
	before := n.Load()
	write(t, p.laptop, "copy", string(content[:2<<20]))
	write(t, p.pod, "f", string(append(content, "more"...)))
	p.settle()
	if sent := n.Load() - before; sent > 3*syncproto.ChunkMax {
		t.Errorf("%d bytes were sent", sent)
	}
}

// TestSupplyOfIgnored asks an honest laptop for chunks and pieces that it must
// not give away.
func TestSupplyOfIgnored(t *testing.T) {
	p := newPair(t)
	secret := random(1, 1<<20)
	write(t, p.laptop, ".stignore", "secret\n")
	write(t, p.laptop, "secret", string(secret))
	write(t, p.laptop, "public", string(random(2, 1<<20)))
	p.boot()
	a, b := net.Pipe()
	conn, err := syncproto.NewConn(b)
	must(t, err)
	run := make(chan error, 1)
	go func() { run <- p.leader.Run(t.Context(), a, "/src") }()
	_, err = conn.Hello(syncproto.SidePod, "evil")
	must(t, err)
	_, err = conn.Read()
	must(t, err)
	must(t, conn.Write(&syncproto.Opened{Tree: [16]byte{6}}))
	must(t, conn.Write(&syncproto.Report{Full: true}))
	var public syncproto.Digest
	for public == (syncproto.Digest{}) { // until the laptop has scanned
		m, err := conn.Read()
		must(t, err)
		if batch, ok := m.(*syncproto.Batch); ok {
			public = batch.Changes[0].Entry.Digest
		}
	}
	secretDigest := tree.Sum(secret)
	for i, req := range []*syncproto.Chunks{
		{Path: "secret", Digest: secretDigest}, {Path: "public", Digest: secretDigest}, {Path: "none", Digest: secretDigest},
		{Path: "secret", Digest: public}, {Path: "public", Digest: public, Offset: 1}, {Path: "public", Digest: public, Offset: 1 << 50},
	} {
		req.ID = uint64(i)
		must(t, conn.Write(req))
		m, err := conn.Read()
		must(t, err)
		if l, ok := m.(*syncproto.ChunkList); !ok || l.Code == syncproto.CodeOK || len(l.Chunks) > 0 {
			t.Errorf("%v is answered with %v", req, m)
		}
	}
	must(t, conn.Write(&syncproto.Chunks{ID: 9, Path: "public", Digest: public}))
	m, err := conn.Read()
	must(t, err)
	if l, ok := m.(*syncproto.ChunkList); !ok || len(l.Chunks) == 0 {
		t.Errorf("the list of a public file is %v", m)
	}
	must(t, b.Close())
	<-run
}
