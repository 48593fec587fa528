package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

func TestHostileLaptopBreaksTheProtocol(t *testing.T) {
	put := func(p, from string) *syncproto.Batch {
		return &syncproto.Batch{ID: 1, Changes: []syncproto.Change{{
			Op: syncproto.OpPut, Path: p, Entry: fileOf("evil"), From: from, Inline: from == "", Content: []byte("evil"),
		}}}
	}
	cases := map[string]syncproto.Message{
		"data nobody asked for": &syncproto.Data{ID: 7},
		"a report":              &syncproto.Report{Full: true},
		"an ack":                &syncproto.Ack{Batch: 1},
		"undone":                &syncproto.Undone{ID: 1},
		"open twice":            &syncproto.Open{Root: "/src"},
		"from outside":          put("good", "../outside/secret"),
		"from an absolute path": put("good", "/etc/passwd"),
	}
	for _, p := range badPaths {
		cases[fmt.Sprintf("path %.20q", p)] = put(p, "")
	}
	for name, m := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := handLaptop(t)
			_ = h.conn.Write(m)
			select {
			case err := <-h.end:
				h.end <- err
				if !errors.Is(err, ErrProtocol) && !errors.Is(err, syncproto.ErrMalformed) {
					t.Errorf("error %v", err)
				}
			case <-time.After(patience):
				t.Error("the session goes on")
			}
			h.unharmed()
		})
	}
	t.Run("more batches than the window", func(t *testing.T) {
		h := handLaptop(t)
		hold := make(chan struct{})
		var once sync.Once
		for i := range 4 * workRoom {
			b := put(fmt.Sprint("f", i), "")
			b.ID = uint64(i)
			b.Changes[0].Inline, b.Changes[0].Content = false, nil // it waits for data that does not come
			if h.conn.Write(b) != nil {
				once.Do(func() { close(hold) })
				break
			}
		}
		h.ended(ErrProtocol)
	})
}

// tell sends one change and returns its result.
func (h *hand) tell(id uint64, c syncproto.Change) syncproto.Result {
	h.t.Helper()
	must(h.t, h.conn.Write(&syncproto.Batch{ID: id, Changes: []syncproto.Change{c}}))
	var res syncproto.Result
	h.hear(func(m syncproto.Message) bool {
		a, ok := m.(*syncproto.Ack)
		if !ok || a.Batch != id {
			return false
		}
		res = a.Results[0]
		return true
	})
	return res
}

func evilPut(p string) syncproto.Change {
	return syncproto.Change{Op: syncproto.OpPut, Path: p, Entry: fileOf("evil"), Inline: true, Content: []byte("evil")}
}

// Whatever the laptop asks for, nothing outside the root is written or read, and
// what is ignored stays.
func TestHostileLaptopChanges(t *testing.T) {
	h := handLaptop(t)
	id := uint64(0)
	do := func(c syncproto.Change) syncproto.Result { id++; return h.tell(id, c) }
	for name, target := range map[string]string{
		"out": "../outside", "abs": filepath.Join(filepath.Dir(h.root), "outside"), "git": ".git", "up": "..", "self": "self",
	} {
		if res := do(syncproto.Change{Op: syncproto.OpSymlink, Path: name, Entry: linkTo(target)}); res.Code != syncproto.CodeOK {
			t.Errorf("a link is a link: %+v", res)
		}
		for _, p := range []string{name + "/new", name + "/secret", name + "/config", name + "/a/b"} {
			if res := do(evilPut(p)); res.Code == syncproto.CodeOK {
				t.Errorf("%s was written", p)
			}
			for _, c := range []syncproto.Change{
				{Op: syncproto.OpMkdir, Path: p, Entry: tree.Entry{Type: syncproto.EntryDir, Mode: 0o755}},
				{Op: syncproto.OpSymlink, Path: p, Entry: linkTo("x")},
				{Op: syncproto.OpChmod, Path: p, Entry: tree.Entry{Type: syncproto.EntryDir, Mode: 0o777}, Expect: tree.Entry{Type: syncproto.EntryDir, Mode: 0o755}},
			} {
				if res := do(c); res.Code == syncproto.CodeOK {
					t.Errorf("operation %d on %s was done", c.Op, p)
				}
			}
			del := syncproto.Change{Op: syncproto.OpDelete, Path: p, Expect: fileOf(secret)}
			_ = do(del) // nothing is there: done
		}
		steal := evilPut("stolen")
		steal.Inline, steal.Content, steal.From, steal.Entry = false, nil, name+"/secret", fileOf(secret)
		if res := do(steal); res.Code == syncproto.CodeOK {
			t.Errorf("content was copied through %s", name)
		}
	}
	steal := evilPut("stolen")
	steal.Inline, steal.Content, steal.From, steal.Entry = false, nil, ".git/config", fileOf(secret)
	if res := do(steal); res.Code == syncproto.CodeOK || exists(h.root, "stolen") {
		t.Errorf("an ignored file was copied: %+v", res)
	}
	for _, p := range []string{".git/config", ".git/new", ".stignore", syncproto.TempPrefix + "x"} {
		if res := do(evilPut(p)); res.Code == syncproto.CodeOK {
			t.Errorf("%s was written", p)
		}
	}
	wrong := evilPut("wrong")
	wrong.Entry.Digest[0]++
	if res := do(wrong); res.Code != syncproto.CodeContent || exists(h.root, "wrong") {
		t.Errorf("another content than announced: %+v", res)
	}
	lie := evilPut("mine")
	lie.Expect = fileOf("not so")
	if res := do(lie); res.Code != syncproto.CodeChanged || read(t, h.root, "mine") != "mine" {
		t.Errorf("another entry than expected: %+v", res)
	}
	for _, req := range []syncproto.Request{
		{Path: ".git/config", Digest: tree.Sum([]byte(secret)), Length: 100},
		{Path: "out/secret", Digest: tree.Sum([]byte(secret)), Length: 100},
		{Path: "mine", Digest: tree.Sum([]byte("another")), Length: 100},
		{Path: "mine", Digest: tree.Sum([]byte("mine")), Offset: 1 << 62, Length: syncproto.MaxPiece},
	} {
		id++
		req.ID = id
		must(t, h.conn.Write(&req))
		h.hear(func(m syncproto.Message) bool {
			d, ok := m.(*syncproto.Data)
			if ok && len(d.Content) > 0 {
				t.Errorf("%s was handed out: %q", req.Path, d.Content)
			}
			return ok
		})
	}
	h.unharmed()
}

// A folder becomes a link while changes are applied in it, over and over: none
// lands outside, and none in what is ignored.
func TestFolderBecomesALinkWhileItIsFilled(t *testing.T) {
	h := handLaptop(t)
	dir := filepath.Join(h.root, "folder")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(dir, dir+".away")
			_ = os.Symlink([]string{"../outside", ".git", filepath.Join(filepath.Dir(h.root), "outside")}[i%3], dir)
			_ = os.Remove(dir)
			_ = os.Rename(dir+".away", dir)
		}
	}()
	applied := 0
	for i := range uint64(400) {
		c := evilPut(fmt.Sprintf("folder/f%d", i%7))
		if i%3 == 1 {
			c = syncproto.Change{Op: syncproto.OpMkdir, Path: fmt.Sprintf("folder/d%d/e", i), Entry: tree.Entry{Type: syncproto.EntryDir, Mode: 0o755}}
		}
		if res := h.tell(i, c); res.Code == syncproto.CodeOK {
			applied++
		}
	}
	close(stop)
	<-stopped
	if applied == 0 {
		t.Error("nothing was applied at all")
	}
	h.unharmed()
}
