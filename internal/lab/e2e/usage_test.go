package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage is what a daemon holds.
type usage struct {
	goroutines  int
	descriptors int
	memory      int64 // octets of heap and stacks in use
	resident    int64 // octets
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MiB in use, %.1f MiB resident",
		u.goroutines, u.descriptors, float64(u.memory)/(1<<20), float64(u.resident)/(1<<20))
}

// collectsOften makes the daemon's garbage go soon, so that what it says it holds is what it holds.
const collectsOften = "GOGC=10"

// usage asks the daemon, and the kernel for its descriptors.
func (w *world) usage(t testing.TB) usage {
	t.Helper()
	var text string
	for deadline := time.Now().Add(clientTime); ; time.Sleep(10 * time.Millisecond) {
		status, page, err := w.daemon.Get(t.Context(), "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		if text = page; status == http.StatusOK {
			break
		}
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) { // it is while some others read it
			t.Fatalf("/metrics says %d: %s", status, page)
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.daemon.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return usage{
		goroutines: int(metric(t, text, "go_goroutines")), descriptors: len(fds),
		memory:   int64(metric(t, text, "go_memstats_heap_alloc_bytes") + metric(t, text, "go_memstats_stack_inuse_bytes")),
		resident: int64(metric(t, text, "process_resident_memory_bytes")),
	}
}

// metric is a value of the page.
func metric(t testing.TB, text, name string) float64 {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(value, 64)
	if !ok || err != nil {
		t.Fatalf("/metrics has no %s: %v", name, err)
	}
	return v
}

// roomFor is by how much a daemon may hold more than before: what it keeps for the next messages, and what asking costs.
var roomFor = usage{goroutines: 10, descriptors: 10, memory: 8 << 20}

// returns waits until the daemon holds no more than before, or hardly more. Two minutes are the longest that Go leaves
// garbage where nothing happens.
func (w *world) returns(t testing.TB, before usage) usage {
	t.Helper()
	var now usage
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		now = w.usage(t)
		if now.goroutines <= before.goroutines+roomFor.goroutines && now.descriptors <= before.descriptors+roomFor.descriptors &&
			now.memory <= before.memory+roomFor.memory {
			return now
		}
		if time.Now().After(deadline) {
			t.Errorf("the daemon holds %v, and held %v before", now, before)
			return now
		}
	}
}

// warm has the daemon do once what it will do often, and says what it holds then.
func (w *world) warm(t testing.TB) usage {
	t.Helper()
	for range 5 {
		c := w.hello(t)
		if said := c.deliver("bob@served.test", strings.Repeat("text\r\n", 20_000)); !said.accepted() {
			t.Fatalf("the sender was told %q", said.last())
		}
		c.want("221", "QUIT")
	}
	before := w.usage(t)
	for range 20 { // the least of what it says: asking makes garbage
		if now := w.usage(t); now.memory < before.memory {
			before = now
		}
	}
	return before
}
