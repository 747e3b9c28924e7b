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
	lives := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	for now := gcMost; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(lives)
		next := gcPercent(lives[0].Value.Uint64() + lives[1].Value.Uint64())
		if next < now*9/10 || next > now*11/10 || next == gcMost && now != gcMost {
			debug.SetGCPercent(next) // it stops the world for a moment
			now = next
		}
	}
}
