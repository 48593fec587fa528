package engine

import (
	"slices"
	"testing"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

func TestFetchedLast(t *testing.T) {
	change := func(op syncproto.Op, path string, size int64, from string) merge.Change {
		return merge.Change{Change: syncproto.Change{
			Op: op, Path: path, From: from, Entry: syncproto.Entry{Type: syncproto.EntryFile, Size: size},
		}}
	}
	const large = syncproto.MaxInline + 1
	changes := []merge.Change{
		change(syncproto.OpPut, "large 1", large, ""),
		change(syncproto.OpPut, "small 1", 1, ""),
		change(syncproto.OpDelete, "gone", 0, ""),
		change(syncproto.OpPut, "large 2", large, ""),
		change(syncproto.OpPut, "copy", large, "large 1"),
		change(syncproto.OpPut, "large 3", large, ""),
		change(syncproto.OpPut, "small 2", 1, ""),
	}
	fetchedLast(changes)
	var got []string
	for _, c := range changes {
		got = append(got, c.Path)
	}
	if want := []string{"small 1", "large 1", "gone", "copy", "small 2", "large 2", "large 3"}; !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}
