package engine

import (
	"runtime"
	"testing"
	"weak"

	"github.com/kubectl-okteto/kubectl-okteto/syncproto"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/merge"
)

// TestTakenIsLetGo takes the last list of each queue: that of a first sync is
// as large as the tree, and nothing may hold on to it afterwards.
func TestTakenIsLetGo(t *testing.T) {
	b, q := &backlog{}, newQueue()
	for name, take := range map[string]func([]merge.Change){
		"urgent":  func(list []merge.Change) { b.push(list, 1); b.take() },
		"patient": func(list []merge.Change) { b.push(list, 2); b.take() },
		"rest":    func(list []merge.Change) { b.push(list, 3); b.take(); b.rest(list[1:]); b.take() },
		"laptop":  func(list []merge.Change) { q.push(list); _, _ = q.pop(t.Context()) },
	} {
		list := make([]merge.Change, urgentChanges+2)
		if name == "urgent" {
			list = list[:1]
		}
		last := weak.Make(&list[len(list)-1])
		take(list)
		list = nil
		runtime.GC()
		if last.Value() != nil {
			t.Errorf("%s: the list is still held", name)
		}
	}
	runtime.KeepAlive(b)
	runtime.KeepAlive(q)
}

// TestSentAheadIsLetGo takes what was packed before there was a connection.
func TestSentAheadIsLetGo(t *testing.T) {
	a := ahead{{batch: syncproto.Batch{ID: 1}}, {batch: syncproto.Batch{ID: 2}}}
	first := weak.Make(a[0])
	a.take(1, 0, nil)
	runtime.GC()
	if first.Value() != nil {
		t.Error("a parcel that was taken is still held")
	}
	if len(a) != 1 {
		t.Errorf("%d parcels wait, want one", len(a))
	}
}
