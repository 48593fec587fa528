package engine

import (
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
	// A collection of its own means that much memory was used and let go. Where
	// there was none there is little to give back, for the price of another.
	if cycles := collections(); cycles != o.cycles {
		debug.FreeOSMemory()
		o.cycles = collections()
	}
	return err
}

// collections returns how often garbage was collected.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
