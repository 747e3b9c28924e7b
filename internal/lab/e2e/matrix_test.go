package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var writeFaults = flag.Bool("write-faults", false, "write the table of docs/faults.md from that of TestFaultMatrix")

// fault is one row of the matrix, and of the table in docs/faults.md.
type fault struct {
	name   string
	sender string // what the sender hears
	kept   string // what becomes of the mail
	back   string // how it recovers
	says   string // what says so
	run    func(t *testing.T)
	shown  string // the tests that show it, where run is nil
}

// TestFaultMatrix takes away or breaks each thing that the daemon depends on. Whatever it is: a sender that was told 250 has
// its mail at the next hop once and whole, nothing passes unscanned without its mark, the daemon lives, tells, and works
// again by itself when the fault is over.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	for _, f := range faultMatrix() {
		if f.run == nil {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t)
		})
	}
}

// TestFaultTable: the table of docs/faults.md is that of the tests, and the tests that it names exist.
func TestFaultTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("| Fault | The sender hears | The mail | Back to normal | What says so |\n|---|---|---|---|---|\n")
	sources := ""
	files, err := filepath.Glob("../../../*/*/*_test.go")
	here, err1 := filepath.Glob("*_test.go")
	if err := errors.Join(err, err1); err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, here...) {
		sources += string(readFile(t, file))
	}
	for _, f := range faultMatrix() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.name, f.sender, f.kept, f.back, f.says)
		for _, name := range strings.Fields(f.shown) {
			if !strings.Contains(sources, "func "+name+"(t *testing.T)") {
				t.Errorf("%s: there is no test %s", f.name, name)
			}
		}
		if (f.run == nil) == (f.shown == "") {
			t.Errorf("%s: want either a run or the tests that show it", f.name)
		}
	}
	const file = "../../../docs/faults.md"
	text := string(readFile(t, file))
	table := regexp.MustCompile(`(?s)\| Fault \|.*?\n\n`)
	if *writeFaults {
		text = table.ReplaceAllLiteralString(text, b.String()+"\n")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := table.FindString(text); got != b.String()+"\n" {
		t.Errorf("docs/faults.md has another table; go test -run TestFaultTable ./internal/lab/e2e -write-faults writes it:\n%s", b.String())
	}
}

// broken is a daemon and a fault that comes and goes.
type broken struct {
	w             *world
	breaks, mends func(t *testing.T)
	meanwhile     func(t *testing.T) // what else is asked of a daemon that tells; nil: nothing
	told          string             // how a sender's last reply begins meanwhile
	mark          string             // X-Gatepost-Unscanned of what is delivered meanwhile
	lines         int                // of each message
	part          string             // whose alarm comes and goes in the journal
	metric        string             // that rises meanwhile
	fresh         bool               // each sender has a domain that was not looked up before
}

// endure runs a daemon through a fault: before, meanwhile until it tells, and after it until all is well again.
func (b *broken) endure(t *testing.T) {
	t.Helper()
	w := b.w
	told := map[string]string{} // message: last reply
	number := 0
	send := func() string {
		number++
		text := fmt.Sprintf("message number %d.\r\n", number) + strings.Repeat(strings.Repeat("x", 98)+"\r\n", b.lines) + "end"
		c := w.hello(t)
		from := "alice@example.org"
		if b.fresh {
			from = fmt.Sprintf("alice@n%d.fresh.test", number)
		}
		said := c.deliverFrom(from, "bob@served.test", text)
		c.conn.Close()
		told[head+text+"\r\n"] = said.last()
		return said.last()
	}
	if r := send(); !strings.HasPrefix(r, "250") {
		t.Fatalf("before, the sender was told %q", r)
	}
	rise := 0.0
	if b.metric != "" {
		rise = w.counter(t, b.metric)
	}
	b.breaks(t)
	for range 2 {
		if r := send(); !strings.HasPrefix(r, b.told) {
			t.Errorf("meanwhile the sender was told %q, not %q", r, b.told)
		}
	}
	b.until(t, "the daemon tells of it", func() (string, bool) {
		if status, _, err := w.daemon.Get(t.Context(), "/healthz"); err != nil || status != 200 {
			t.Fatalf("/healthz: %d %v", status, err)
		}
		tells := (b.part == "" || w.alarms(t, "alarm", b.part) > 0) && (b.metric == "" || w.counter(t, b.metric) > rise)
		if tells {
			return "", true
		}
		r := send()
		return fmt.Sprintf("%q", r), false
	})
	if b.meanwhile != nil {
		b.meanwhile(t)
	}
	b.mends(t)
	b.until(t, "mail passes again", func() (string, bool) {
		r := send()
		return fmt.Sprintf("%q", r), strings.HasPrefix(r, "250") && (b.part == "" || w.alarms(t, "alarm_over", b.part) > 0)
	})
	send()
	b.judge(t, told)
}

// until asks for two minutes at the most.
func (b *broken) until(t *testing.T, what string, ask func() (now string, ok bool)) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		now, ok := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not until now: %s; the sender was told %s", what, now)
		}
	}
}

// judge holds what the senders were told against what the next hop has: 250 if and only if it is there, once and whole.
func (b *broken) judge(t *testing.T, told map[string]string) {
	t.Helper()
	arrived := map[string]int{}
	last := arrival{}
	for _, m := range b.w.hop(t).Accepted() {
		a, err := readArrival(m)
		if err != nil {
			t.Fatal(err)
		}
		arrived[a.content]++
		if mark, _ := a.field("X-Gatepost-Unscanned"); mark != "" && mark != b.mark {
			t.Errorf("arrived marked %q, not %q", mark, b.mark)
		}
		if scanned, _ := a.field("X-Gatepost-Scanned"); b.w.clamd != nil && !strings.Contains(scanned, "ClamAV") {
			t.Errorf("arrived unscanned: %q", a.fields)
		}
		last = a
	}
	for content, reply := range told {
		if n := arrived[content]; n > 1 || (n == 1) != strings.HasPrefix(reply, "250") {
			t.Errorf("%.60q was told %q and arrived %d times", content[len(head):], reply, n)
		}
		delete(arrived, content)
	}
	if len(arrived) > 0 {
		t.Errorf("%d messages arrived that nobody sent", len(arrived))
	}
	if mark, _ := last.field("X-Gatepost-Unscanned"); mark != "" {
		t.Errorf("the last message is marked %q though all is well", mark)
	}
}

// alarms counts the journal's lines of a kind about a part.
func (w *world) alarms(t *testing.T, kind, part string) (n int) {
	t.Helper()
	for _, e := range w.lines(t) {
		if e.text("kind") == kind && e.text("part") == part {
			n++
		}
	}
	return n
}

// counter is the sum of a metric over its labels.
func (w *world) counter(t *testing.T, name string) (sum float64) {
	t.Helper()
	_, text, err := w.daemon.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name+" ") || strings.HasPrefix(line, name+"{") {
			var v float64
			_, _ = fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v)
			sum += v
		}
	}
	return sum
}
