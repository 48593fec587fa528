package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/tree"
)

func TestHostilePodBreaksTheProtocol(t *testing.T) {
	report := func(items ...syncproto.Item) *syncproto.Report {
		return &syncproto.Report{Full: true, Items: items}
	}
	cases := map[string][]syncproto.Message{
		"data nobody asked for":         {&syncproto.Data{ID: 7, Content: []byte("x")}},
		"chunks nobody asked for":       {&syncproto.ChunkList{ID: 7}},
		"undone without undo":           {&syncproto.Undone{ID: 3}},
		"a trash list nobody asked for": {&syncproto.TrashList{ID: 3}},
		"an ack for no batch":           {&syncproto.Ack{Batch: 99}},
		"opened twice":                  {&syncproto.Opened{Tree: [16]byte{2}}},
		"a batch":                       {&syncproto.Batch{ID: 1}},
		"an open":                       {&syncproto.Open{Root: "/"}},
		"a huge target":                 {report(syncproto.Item{Path: "l", Entry: linkTo(strings.Repeat("x", syncproto.MaxTarget+1))})},
		"a target with a NUL":           {report(syncproto.Item{Path: "l", Entry: linkTo("a\x00b")})},
		"a mode with more bits":         {report(syncproto.Item{Path: "f", Entry: tree.Entry{Type: syncproto.EntryFile, Mode: 0o4755}})},
	}
	for _, p := range badPaths {
		cases[fmt.Sprintf("path %.20q", p)] = []syncproto.Message{report(syncproto.Item{Path: p, Entry: fileOf("evil")})}
	}
	for name, messages := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := handPod(t).open()
			for _, m := range messages {
				_ = h.conn.Write(m) // it may hang up before
			}
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
	t.Run("a report before the tree is opened", func(t *testing.T) {
		h := handPod(t)
		_ = h.conn.Write(report())
		h.ended(ErrProtocol)
	})
}

// Whatever the pod says that it has, nothing is written outside the root, no
// link is followed, and what is ignored is not touched.
func TestHostilePodReports(t *testing.T) {
	h := handPod(t).open()
	const evil = "evil"
	paths := map[string]tree.Entry{
		"out": linkTo("../outside"), "out/new": fileOf(evil), "out/secret": fileOf(evil),
		"abs": linkTo(filepath.Join(filepath.Dir(h.root), "outside")), "abs/new": fileOf(evil),
		"up": linkTo(".."), "up/new": fileOf(evil),
		"hooks": linkTo(".git"), "hooks/config": fileOf(evil), "hooks/new": fileOf(evil),
		".git/config": fileOf(evil), ".git/hooks/post-checkout": fileOf(evil), ".git": linkTo("../outside"),
		".stignore": fileOf("!.git"), syncproto.TempPrefix + "x": fileOf(evil), "d/" + syncproto.TempPrefix + "x": fileOf(evil),
		"file": fileOf(evil), "file/below": fileOf(evil),
		"folder": fileOf(evil), "folder/in": fileOf("swapped"),
		"mine": fileOf("swapped"), "good": fileOf("good"),
	}
	var items []syncproto.Item
	for p, e := range paths {
		items = append(items, syncproto.Item{Path: p, Entry: e})
	}
	must(t, h.conn.Write(&syncproto.Report{Full: true, Items: items}))
	// It has what it says, except that one content has another digest.
	good := make(chan struct{})
	go func() {
		defer close(good)
		for m := range h.got {
			switch m := m.(type) {
			case *syncproto.Request:
				content := evil
				switch m.Digest {
				case tree.Sum([]byte("good")):
					content = "good"
				case tree.Sum([]byte("swapped")):
					content = "another"
				}
				_ = h.conn.Write(&syncproto.Data{ID: m.ID, Content: []byte(content)[:min(len(content), int(m.Length))]})
			case *syncproto.Batch:
				ack := &syncproto.Ack{Batch: m.ID}
				for range m.Changes {
					ack.Results = append(ack.Results, syncproto.Result{Code: syncproto.CodeDenied, Text: "\x1b[31mno\a"})
				}
				_ = h.conn.Write(ack)
			}
		}
	}()
	h.await(func() bool {
		return exists(h.root, "good") && read(t, h.root, "good") == "good" && exists(h.root, "out") && exists(h.root, "hooks") && len(h.leader.Status().Held) > 0
	})
	h.unharmed()
	if read(t, h.root, "mine") != "mine" || exists(h.root, ".stignore") {
		t.Error("the pod wrote what is the laptop's")
	}
	h.mu.Lock()
	for _, e := range h.events {
		if strings.ContainsAny(e.Detail, "\x1b\a") {
			t.Errorf("a text steers the terminal: %q", e.Detail)
		}
	}
	h.mu.Unlock()
	_ = h.raw.Close()
	<-good
}

// Reports without end, of paths that come and go, take no memory; and neither
// notices nor failures flood the user.
func TestHostilePodTalksForEver(t *testing.T) {
	h := handPod(t).open()
	must(t, h.conn.Write(&syncproto.Report{Full: true, More: true}))
	go func() {
		for range h.got { // the leader must not wait for us
		}
	}()
	for i := range 60 {
		r := &syncproto.Report{More: true}
		for k := range 500 {
			r.Items = append(r.Items, syncproto.Item{Path: fmt.Sprintf("%d/%d", i, k), Entry: fileOf("x")})
		}
		must(t, h.conn.Write(r))
		for k := range r.Items {
			r.Items[k].Entry = tree.Entry{}
		}
		must(t, h.conn.Write(r))
		must(t, h.conn.Write(&syncproto.Notice{Kind: syncproto.NoticeSkipped, Path: fmt.Sprint(i), Text: "a\x1b[2Jb"}))
		must(t, h.conn.Write(&syncproto.Notice{Kind: syncproto.NoticeWarning, Text: fmt.Sprint("text ", i)}))
		must(t, h.conn.Write(&syncproto.Flushed{ID: uint64(i)}))
	}
	h.leader.mu.Lock()
	s := h.leader.session
	h.leader.mu.Unlock()
	size := make(chan [3]int, 1)
	s.post(func(rc *reconciler) error {
		size <- [3]int{len(rc.dirty), rc.remote.Len(), len(rc.flight.lag.queue)}
		return nil
	})
	select {
	case n := <-size:
		if n[0] > 100 || n[1] > 0 || n[2] > 3000 {
			t.Errorf("%d paths are dirty, %d remembered, %d wait", n[0], n[1], n[2])
		}
	case <-time.After(patience):
		t.Fatal("the leader is stuck")
	}
	if n := h.told(Skipped, "") + h.told(Warning, ""); n > maxNotes+10 {
		t.Errorf("the user was told %d things", n)
	}
}

// A tree is bounded by its entries and by its text.
func TestRemoteTreeIsBounded(t *testing.T) {
	known := tree.NewEntries(nil)
	known.Set("a", linkTo("b"))
	var r remoteTree
	r.forget(known)
	for range 3 { // the same again is not more
		must(t, r.set("c", linkTo("d")))
	}
	must(t, r.set("a", tree.Entry{}))
	if r.text != 2 {
		t.Errorf("%d bytes are counted", r.text)
	}
	r.text = syncproto.MaxTreeText
	if err := r.set("e", fileOf("")); !errors.Is(err, ErrProtocol) {
		t.Errorf("error %v", err)
	}
}

// A pod that folds names gets one of two that differ only in case, and the
// other is named.
func TestPodThatFoldsNames(t *testing.T) {
	h := newHand(t, syncproto.SidePod)
	write(t, h.root, "A", "upper")
	write(t, h.root, "a", "lower")
	h.listen()
	h.hear(func(m syncproto.Message) bool { _, ok := m.(*syncproto.Open); return ok })
	must(t, h.conn.Write(&syncproto.Opened{Tree: [16]byte{1}, FoldCase: true}))
	must(t, h.conn.Write(&syncproto.Report{Full: true}))
	var sent []string
	for len(sent) == 0 || h.leader.Status().State != Converged {
		h.hear(func(m syncproto.Message) bool {
			b, ok := m.(*syncproto.Batch)
			if !ok {
				return false
			}
			ack := &syncproto.Ack{Batch: b.ID}
			for _, c := range b.Changes {
				sent = append(sent, c.Path)
				ack.Results = append(ack.Results, syncproto.Result{Entry: c.Entry})
			}
			must(t, h.conn.Write(ack))
			return true
		})
		limit, cancel := context.WithTimeout(t.Context(), patience)
		for len(h.got) == 0 && h.leader.Status().State != Converged && limit.Err() == nil {
			h.awaitEvent(limit)
		}
		cancel()
	}
	if n := strings.Count(strings.ToLower(strings.Join(sent, " ")+" "), "a "); n != 1 {
		t.Errorf("sent %q", sent)
	}
	if held := h.leader.Status().Held; len(held) != 1 || !strings.Contains(held[0], "takes it for") {
		t.Errorf("held %q", held)
	}
}
