package e2e

import (
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// scannerFault is a scanner that fails in one way.
type scannerFault struct {
	name   string
	step   string // of the fake
	action lab.Action
	dead   bool // nobody listens, from the start
	big    bool // with a message that does not fit into buffers
}

// clamdFaults never mean that a message is clean.
var clamdFaults = []scannerFault{
	{name: "dead", dead: true},
	{name: "refuses connections", step: "CONNECT", action: lab.Gone()},
	{name: "resets connections", step: "CONNECT", action: lab.Action{Bytes: []byte{}, Then: lab.Reset}},
	{name: "hangs at once", step: "CONNECT", action: lab.Silence()},
	{name: "hangs within", step: "BODY", action: lab.Action{After: 50, Bytes: []byte{}, Then: lab.Hang}},
	{name: "hangs before its answer", step: "INSTREAM", action: lab.Silence()},
	{name: "closes within", step: "BODY", action: lab.Action{After: 50, Bytes: []byte{}, Then: lab.Close}},
	{name: "resets within", step: "BODY", action: lab.Action{After: 50, Bytes: []byte{}, Then: lab.Reset}},
	{name: "OK before it has read the message", step: "BODY", action: lab.Action{After: 50, Bytes: []byte("stream: OK\x00"), Then: lab.Close}, big: true},
	{name: "OK before it has read anything", step: "CONNECT", action: lab.Action{Bytes: []byte("stream: OK\x00"), Then: lab.Close}, big: true},
	{name: "closes without an answer", step: "INSTREAM", action: lab.Gone()},
	{name: "too slow", step: "INSTREAM", action: lab.Action{Delay: 4 * time.Second, Bytes: []byte("stream: OK\x00")}},
	{name: "trickles", step: "INSTREAM", action: lab.Trickle("stream: OK\x00", 400*time.Millisecond)},
	{name: "garbage", step: "INSTREAM", action: lab.Action{Bytes: []byte("\xff\xfe\x00"), Then: lab.Close}},
	{name: "endless", step: "INSTREAM", action: lab.Endless(strings.Repeat("stream: ", 1000))},
	{name: "answer cut off", step: "INSTREAM", action: lab.Action{Bytes: []byte("stream: OK"), Then: lab.Close}},
	{name: "another stream's answer", step: "INSTREAM", action: lab.Action{Bytes: []byte("1: stream: OK\x00"), Then: lab.Close}},
	{name: "an answer like OK", step: "INSTREAM", action: lab.Action{Bytes: []byte("stream: OK OK\x00"), Then: lab.Close}},
	{name: "OK in lower case", step: "INSTREAM", action: lab.Action{Bytes: []byte("stream: ok\x00"), Then: lab.Close}},
	{name: "an error", step: "INSTREAM", action: lab.Action{Bytes: []byte("stream: Can't allocate memory ERROR\x00"), Then: lab.Close}},
	{name: "an error in its protocol", step: "INSTREAM", action: lab.Action{Bytes: []byte("UNKNOWN COMMAND\x00"), Then: lab.Close}},
}

// spamdFaults never mean that a message has no points.
var spamdFaults = []scannerFault{
	{name: "dead", dead: true},
	{name: "refuses connections", step: "CONNECT", action: lab.Gone()},
	{name: "hangs at once", step: "CONNECT", action: lab.Silence()},
	{name: "hangs within", step: "BODY", action: lab.Action{After: 50, Bytes: []byte{}, Then: lab.Hang}},
	{name: "closes within", step: "BODY", action: lab.Action{After: 50, Bytes: []byte{}, Then: lab.Close}},
	{name: "hangs before its answer", step: "REPORT", action: lab.Silence()},
	{name: "closes without an answer", step: "REPORT", action: lab.Gone()},
	{name: "too slow", step: "REPORT", action: lab.Action{Delay: 4 * time.Second, Bytes: []byte("SPAMD/1.1 0 EX_OK\r\nSpam: False ; 0.0 / 5.0\r\n\r\n"), Then: lab.Close}},
	{name: "garbage", step: "REPORT", action: lab.Action{Bytes: []byte("HTTP/1.1 200 OK\r\n\r\n"), Then: lab.Close}},
	{name: "endless", step: "REPORT", action: lab.Endless(strings.Repeat("SPAMD/1.1 0 EX_OK\r\n", 500))},
	{name: "an error", step: "REPORT", action: lab.Action{Bytes: []byte("SPAMD/1.0 75 EX_TEMPFAIL\r\n\r\n"), Then: lab.Close}},
	{name: "half an answer", step: "REPORT", action: lab.Action{Bytes: []byte("SPAMD/1.1 0 EX_OK\r\nContent-length: 1000\r\nSpam: False ; 0.0 / 5.0\r\n\r\nContent"), Then: lab.Close}},
	{name: "no score", step: "REPORT", action: lab.Action{Bytes: []byte("SPAMD/1.1 0 EX_OK\r\n\r\n"), Then: lab.Close}},
	{name: "a score that is none", step: "REPORT", action: lab.Action{Bytes: []byte("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: False ; NaN / 5.0\r\n\r\n"), Then: lab.Close}},
}

// TestClamdFaults: by default a message that cannot be scanned is deferred; it passes only where the policy says so, and
// then it bears the mark. Nothing arrives unscanned without it.
func TestClamdFaults(t *testing.T) {
	t.Parallel()
	for _, f := range clamdFaults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, f.setup(t, "clamav"))
			if !f.dead {
				w.clamd.On(f.step, f.action)
			}
			lines := 200
			if f.big {
				lines = 400_000
			}
			w.unscanned(t, "clamav", lines, "451 4.7.1 The message cannot be scanned right now", "defer")
		})
	}
	for action, verdict := range map[string]string{"pass": "accept", "tag": "tag", "quarantine": "quarantine", "reject": "reject"} {
		t.Run("unknown is "+action, func(t *testing.T) {
			t.Parallel()
			w := begin(t, setup{policy: markQuarantined + "[checks.clamav]\nunknown = \"" + action + "\"\n"})
			w.clamd.On("INSTREAM", lab.Gone())
			told := "250 2.0.0"
			if verdict == "reject" {
				told = "554 5.7.1 The message cannot be scanned"
			}
			w.unscanned(t, "clamav", 200, told, verdict)
		})
	}
}

// TestSpamdFaults: by default a message that cannot be scored is delivered with a tag and the mark.
func TestSpamdFaults(t *testing.T) {
	t.Parallel()
	for _, f := range spamdFaults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, f.setup(t, "spamassassin"))
			if !f.dead {
				w.spamd.On(f.step, f.action)
			}
			w.unscanned(t, "spamassassin", 200, "250 2.0.0", "tag")
		})
	}
	for action, verdict := range map[string]string{"pass": "accept", "defer": "defer"} {
		t.Run("unknown is "+action, func(t *testing.T) {
			t.Parallel()
			w := begin(t, setup{policy: "[checks.spamassassin]\nunknown = \"" + action + "\"\n"})
			w.spamd.On("REPORT", lab.Gone())
			told := "250 2.0.0"
			if verdict == "defer" {
				told = "451 4.7.1 The message cannot be scanned"
			}
			w.unscanned(t, "spamassassin", 200, told, verdict)
		})
	}
}

// setup is a daemon whose scanner can be made to fail, or is not there. Both are asked at the same time: the other one
// works, and must not stand in for it.
func (f *scannerFault) setup(t *testing.T, check string) setup {
	s := setup{clamavTimeout: "2s", spamdTimeout: "2s"}
	if f.big {
		s.limits = noWaits + "message_size = \"50M\"\n"
	}
	if f.dead && check == "clamav" {
		s.clamav = labtest.ClosedAddr(t)
	} else if f.dead {
		s.spamd = labtest.ClosedAddr(t)
	}
	return s
}

// unscanned sends a message, of so many lines, that the check cannot judge.
func (w *world) unscanned(t *testing.T, check string, lines int, want, verdict string) {
	t.Helper()
	text := strings.Repeat(strings.Repeat("x", 70)+"\r\n", lines) + "end"
	c := w.hello(t)
	said := c.deliver("bob@served.test", text)
	if !strings.HasPrefix(said.dot, want) {
		t.Errorf("the sender was told %q, not %q", said.last(), want)
	}
	c.want("221", "QUIT")
	values := []string{"verdict=" + verdict, "findings~" + check + ",unknown"}
	switch verdict {
	case "defer", "reject", "tag":
		values = append(values, "check="+check, "reason=scanner.failed")
	}
	if verdict == "accept" || verdict == "tag" {
		values = append(values, "marks="+check)
	}
	e := w.awaitEvent(t, "transaction")
	if err := e.check(values); err != nil {
		t.Errorf("%v, in\n%s", err, show([]event{e}))
	}
	all := w.hop(t).Messages()
	if !said.accepted() {
		if len(all) > 0 {
			t.Errorf("it arrived all the same: %+v", all)
		}
		return
	}
	if len(all) != 1 {
		t.Fatalf("the next hop has %d messages", len(all))
	}
	a, err := readArrival(all[0])
	if err != nil || a.content != head+text+"\r\n" {
		t.Fatalf("the next hop got another message: %v", err)
	}
	w.marked(t, &a, check, verdict)
}

// marked looks at the fields of a message that was delivered though the check could not judge it.
func (w *world) marked(t *testing.T, a *arrival, check, verdict string) {
	t.Helper()
	scanner := map[string]string{"clamav": "ClamAV", "spamassassin": "SpamAssassin"}[check]
	if got, _ := a.field("X-Gatepost-Verdict"); got != verdict {
		t.Errorf("X-Gatepost-Verdict is %q, not %q", got, verdict)
	}
	if got, _ := a.field("X-Gatepost-Scanned"); strings.Contains(got, scanner) || got == "" {
		t.Errorf("X-Gatepost-Scanned is %q: only the other scanner has seen it", got)
	}
	got, _ := a.field("X-Gatepost-Unscanned")
	if verdict == "quarantine" {
		return // the verdict is the mark
	}
	if got != check {
		t.Errorf("X-Gatepost-Unscanned is %q, not %q", got, check)
	}
}

// TestScannersSlow: scanners that take their time and answer are believed.
func TestScannersSlow(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{})
	w.clamd.On("INSTREAM", lab.ReplyAfter(time.Second, ""))
	w.spamd.On("REPORT", lab.Action{Delay: 1500 * time.Millisecond})
	said := w.hello(t).deliver("bob@served.test", "text")
	all := w.hop(t).Accepted()
	if !said.accepted() || len(all) != 1 {
		t.Fatalf("the sender was told %q and the next hop has %d messages", said.last(), len(all))
	}
	a, err := readArrival(all[0])
	if scanned, _ := a.field("X-Gatepost-Scanned"); err != nil || !strings.Contains(scanned, "ClamAV") || !strings.Contains(scanned, "SpamAssassin") {
		t.Errorf("X-Gatepost-Scanned is %q, %v", scanned, err)
	}
	if mark, ok := a.field("X-Gatepost-Unscanned"); ok {
		t.Errorf("X-Gatepost-Unscanned is %q", mark)
	}
}

// TestScannersComeBack: after a failure of both and their return, mail is scanned and passes again, without a restart.
func TestScannersComeBack(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{})
	w.clamd.On("CONNECT", lab.Gone())
	w.spamd.On("CONNECT", lab.Gone())
	if said := w.hello(t).deliver("bob@served.test", "one"); !strings.HasPrefix(said.dot, "451") {
		t.Errorf("without scanners the sender was told %q", said.last())
	}
	w.clamd.On("CONNECT")
	w.spamd.On("CONNECT")
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		before := len(w.hop(t).Accepted())
		said := w.hello(t).deliver("bob@served.test", "two")
		all := w.hop(t).Accepted()
		if said.accepted() != (len(all) > before) {
			t.Fatalf("the sender was told %q and the next hop has %d messages after %d", said.dot, len(all), before)
		}
		if said.accepted() {
			a, err := readArrival(all[len(all)-1])
			scanned, _ := a.field("X-Gatepost-Scanned")
			if err != nil || !strings.Contains(scanned, "ClamAV") {
				t.Fatalf("it arrived unscanned: %v %q", err, a.fields)
			}
			if strings.Contains(scanned, "SpamAssassin") {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the scanners are back, and the sender is told %q", said.dot)
		}
	}
}
