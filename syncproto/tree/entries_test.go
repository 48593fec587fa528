package tree

import (
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
)

// plain returns entries as a tree of its own.
func plain(t *Entries) Tree {
	all := Tree{}
	for p, e := range t.All() {
		all[p] = *e
	}
	return all
}

// TestEntriesShare agrees on what an index has, and on what it has otherwise,
// and then changes the index.
func TestEntriesShare(t *testing.T) {
	x := NewIndex()
	mine := Entry{Type: syncproto.EntryFile, Mode: 0o644, Size: 1, MTime: 1}
	x.Set("same", Record{Entry: mine, Inode: 7})
	x.Set("other", Record{Entry: mine})
	theirs := mine
	theirs.MTime = 2
	want := Tree{"same": mine, "other": theirs, "only": mine}
	dir := t.TempDir()
	b, err := OpenBase(dir, x.Shared)
	if err != nil {
		t.Fatal(err)
	}
	for p, e := range want {
		if err := b.Agree([]syncproto.Item{{Path: p, Entry: e}}); err != nil {
			t.Fatal(err)
		}
	}
	if b.Entries().byPath["same"] != x.Shared("same") {
		t.Error("what is the same is kept twice")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = OpenBase(dir, x.Shared); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Entries().byPath["same"] != x.Shared("same") {
		t.Error("what is the same is kept twice after a start")
	}
	x.Set("same", Record{Entry: theirs})
	x.Set("other", Record{})
	for p, e := range want {
		if got := b.Entries().Get(p); got != e {
			t.Errorf("%s: agreed is %+v, want %+v", p, got, e)
		}
	}
	if b.Digest() != want.Digest() {
		t.Error("the digest is not that of the tree")
	}
}
