package engine

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// stir says that something happens: a rest is due after a while. It may be
// called by any goroutine.
func (o *observer) stir() {
	select {
	case o.stirred <- struct{}{}:
	default:
	}
}

// rest does what is left to do after something happened. While nothing does, no
// clock ticks.
func (o *observer) rest() error {
	o.r.trash.Expire()
	var err error
	if o.r.index.Unsaved() {
		err = o.r.save()
	}
	// Where garbage was collected, much memory was used, and let go maybe.
	const little = 8 << 20
	if h := readHeap(); h.collections != o.collections || h.spare() > little {
		debug.FreeOSMemory()
		o.collections = readHeap().collections
	}
	hush(o.stir)
	return err
}

// heap is what the runtime tells of its memory, in bytes.
type heap struct {
	collections uint64 // that nobody asked for
	live        int64  // found by the last collection
	objects     int64  // live, or not collected yet
	free        int64  // pages without an object, not given back
	used        int64  // all memory that was not given back
}

func readHeap() heap {
	s := []metrics.Sample{
		{Name: "/gc/cycles/automatic:gc-cycles"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(s)
	value := func(i int) int64 { return int64(s[i].Value.Uint64()) }
	return heap{collections: s[0].Value.Uint64(), live: value(1), objects: value(2), free: value(3), used: value(4) - value(5)}
}

// spare is what a collection would find, as far as is known.
func (h heap) spare() int64 { return h.objects + h.free - h.live }

// hush puts off the collections that come every two minutes otherwise: each
// looks at all that is known of a tree, to find next to nothing. The heap grows
// by no more than it would without; the collection that this brings ends the
// hush, and calls ended. All of the process is hushed, by whoever is first.
func hush(ended func()) {
	percent := debug.SetGCPercent(-1)
	if percent < 0 {
		return // it is, or nobody wants collections
	}
	const least = 4 << 20 // as for the runtime
	h := readHeap()
	limit := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(limit, h.used+max(h.live, least)*int64(percent)/100))
	runtime.AddCleanup(new([64]byte), func(int) {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
		ended()
	}, 0)
}
