package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How far the heap may grow between two collections, in percent of what lives. What lives is small, and a tenth of the work
// on a small message was collecting: so it may grow far. With thousands of connections open what lives is much, and the
// same percentage would be hundreds of megabytes: then garbage may take gcRoom. GOGC in the environment says otherwise.
const (
	gcMost  = 300
	gcLeast = 25
	gcRoom  = 24 << 20
	gcPace  = time.Second
)

// What a burst left behind goes back to the system once it is quiet: nothing else would collect it for two minutes, and the
// runtime gives pages back slowly. Quiet is a second in which hardly anything was allocated.
const (
	quietOctets = 256 << 10
	worthOctets = 8 << 20 // less is not worth a collection
)

// gcPercent is the percentage where so many octets live.
func gcPercent(live uint64) int {
	return int(min(gcMost, max(gcLeast, gcRoom*100/max(live, 1))))
}

// paceCollector keeps the percentage to what lives, until ctx is done.
func paceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(gcPace)
	defer tick.Stop()
	var before uint64
	for now := gcMost; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m := readMemory()
		next := gcPercent(m.lives + m.stacks)
		if next < now*9/10 || next > now*11/10 || next == gcMost && now != gcMost {
			debug.SetGCPercent(next) // it stops the world for a moment
			now = next
		}
		if m.allocated-before < quietOctets && m.left() {
			debug.FreeOSMemory()
		}
		before = m.allocated
	}
}

// heap is how the memory of the process is used, in octets.
type heap struct {
	lives     uint64 // what the last collection found in use
	stacks    uint64 // of goroutines, in use
	objects   uint64 // in use, or garbage that was not collected yet
	free      uint64 // kept for what comes
	allocated uint64 // since the start, in all
}

// left reports whether so much lies unused that it is worth a collection: at least a quarter of what one would look through.
func (m heap) left() bool {
	unused := m.free + m.objects - min(m.lives, m.objects)
	return unused >= max(worthOctets, (m.lives+m.stacks)/4)
}

func readMemory() heap {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64(), s[4].Value.Uint64()}
}
