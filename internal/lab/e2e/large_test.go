package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// How many messages of which size TestLargeMessagesInLittleMemory has under way at once; scripts/soak has the full ones.
var (
	largeFlag     = flag.Int("large", 60, "how many large messages are under way at once")
	largeSizeFlag = flag.Int("large-size", 2_000_000, "octets of each")
)

// TestLargeMessagesInLittleMemory: however many large messages are under way at once, what they take of memory has a
// bound, the rest lies on disk, and each arrives whole.
func TestLargeMessagesInLittleMemory(t *testing.T) {
	t.Parallel()
	inMemory := 4 << 20
	if *largeFlag >= 100 {
		inMemory = 64 << 20 // the default
	}
	var whole atomic.Int64
	block := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 1000)
	hop, err := lab.StartNextHop(lab.NextHopOptions{Taken: func(m lab.Received) {
		if m.Complete && strings.Count(string(m.Body), block) == *largeSizeFlag/len(block) {
			whole.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hop.Close)
	w := begin(t, setup{clamav: "off", spamd: "off", body: fmt.Sprintf("max_memory = \"%dM\"", inMemory>>20),
		routes: []route{{name: "internal", domains: []string{"served.test"}, addr: hop.Addr(), lines: "pool = 8"}},
		limits: noWaits + "message_size = \"32M\"\n", trusted: `"127.0.0.0/8"`, env: []string{collectsOften}})
	before := w.warm(t)
	whole.Store(0)
	var most usage
	look := func(during string) {
		now := w.usage(t)
		most.memory, most.resident = max(most.memory, now.memory), max(most.resident, now.resident)
		_, text, err := w.daemon.Get(t.Context(), "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		if n := metric(t, text, "gatepost_body_memory_octets"); n > float64(inMemory) {
			t.Fatalf("%s bodies take %.0f octets of memory, more than %d", during, n, inMemory)
		}
	}
	senders := make([]*client, *largeFlag)
	for i := range senders {
		senders[i] = w.begun(t)
		for range *largeSizeFlag / len(block) {
			senders[i].send(block)
		}
		if i%10 == 9 {
			look("in sending")
		}
	}
	w.awaitOnDisk(t, float64(*largeFlag)*float64(*largeSizeFlag-128<<10)-float64(inMemory))
	look("with all sent")
	for _, c := range senders {
		c.send(".\r\n")
	}
	for i, c := range senders {
		if r := c.replyWithin(5 * time.Minute); !strings.HasPrefix(r, "250 ") {
			t.Fatalf("sender %d was told %q", i, r)
		}
		if i%10 == 0 {
			look("in relaying")
		}
	}
	if n := whole.Load(); n != int64(*largeFlag) {
		t.Errorf("%d of %d messages arrived whole", n, *largeFlag)
	}
	t.Logf("%d messages of %d octets: at most %.1f MiB of heap and stacks (%.1f before), %.1f MiB resident (%.1f before)", *largeFlag, *largeSizeFlag,
		float64(most.memory)/(1<<20), float64(before.memory)/(1<<20), float64(most.resident)/(1<<20), float64(before.resident)/(1<<20))
	if grew := most.memory - before.memory; grew > int64(*largeFlag)*192<<10+32<<20 {
		t.Errorf("heap and stacks grew by %d octets", grew)
	}
	if !lab.Raced() && most.resident > 300<<20 {
		t.Errorf("%d octets were resident", most.resident)
	}
}

// TestBodyCutOnDisk: a message whose file is no longer whole when it is read back is not handed on as if it were.
func TestBodyCutOnDisk(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{clamav: "off", spamd: "off", body: "memory = \"64K\""})
	hop := w.hop(t)
	// The time in which the file must be found and cut. It is only waited for.
	hop.On("DATA", lab.ReplyAfter(8*time.Second, "354 go on"), lab.Action{})
	c := w.begun(t)
	c.send(strings.Repeat(strings.Repeat("x", 98)+"\r\n", 10_000) + ".\r\n")
	awaitBegun(t, hop)
	w.cutBodies(t, 300_000)
	if r := c.replyWithin(time.Minute); !strings.HasPrefix(r, "451 4.") {
		t.Errorf("the sender was told %q", r)
	}
	for _, m := range hop.Messages() {
		if m.Complete {
			t.Errorf("the next hop took %d octets for a message", len(m.Body))
		}
	}
	// The next one passes.
	if said := w.hello(t).deliver("bob@served.test", strings.Repeat("text\r\n", 20_000)); !said.accepted() {
		t.Errorf("afterwards the sender was told %q", said.last())
	}
}

// cutBodies cuts the files of the messages that are under way.
func (w *world) cutBodies(t *testing.T, size int64) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", w.daemon.PID()))
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, f := range files {
		if name, err := os.Readlink(f); err != nil || !strings.HasPrefix(name, filepath.Join(lab.StateDir(w.dir), "tmp")) || !strings.HasSuffix(name, "(deleted)") {
			continue
		}
		if err := os.Truncate(f, size); err != nil {
			t.Fatal(err)
		}
		cut++
	}
	if cut != 1 {
		t.Fatalf("%d files of bodies were found", cut)
	}
}
