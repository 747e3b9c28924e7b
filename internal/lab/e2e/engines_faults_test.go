package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// What a sender is told of mail that could not be scanned.
const (
	scanLater = "451 4.7.1 The message cannot be scanned right now; try again later"
	scanNever = "554 5.7.1 The message cannot be scanned"
	scanned   = "250 2.0.0 "
)

// engineKind is one kind of engine, and what comes of mail that it cannot judge.
type engineKind struct {
	check     string
	name      string // as status and alarms have it
	server    string // host:port of one that works
	bootstrap string // of gatepost.toml; %s is where it is
	garbage   string // what no engine of the kind says
	big       string // how an answer begins that is too big

	said, verdict string // by default
	unknown       string // what the operator says instead, and what comes of it
	saidThen      string
	verdictThen   string
}

// engineKinds are all that are asked over a network.
func engineKinds(t *testing.T) []engineKind {
	clamd := labtest.Clamd(t, lab.ClamdOptions{})
	scanner := labtest.ICAP(t, lab.ICAPOptions{Clamd: clamd.Socket})
	rspamd := labtest.Rspamd(t, lab.RspamdOptions{})
	const huge = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{\"x\":\""
	return []engineKind{
		{check: "clamav", name: "clamav", server: clamd.Addr, garbage: "220 mx.example.org ESMTP\x00", big: "stream: ",
			said: scanLater, verdict: "defer", unknown: "tag", saidThen: scanned, verdictThen: "tag"},
		{check: "rspamd", name: "rspamd", server: rspamd.Addr, bootstrap: "[rspamd]\naddresses = [\"%s\"]\ntimeout = \"2s\"\n", garbage: "SPAMD/1.1 0 EX_OK\r\n\r\n", big: huge,
			said: scanned, verdict: "tag", unknown: "defer", saidThen: scanLater, verdictThen: "defer"},
		{check: "icap", name: "icap", server: scanner.Addr, bootstrap: "[icap]\naddresses = [\"%s\"]\ntimeout = \"2s\"\n", garbage: "HTTP/1.1 200 OK\r\n\r\n", big: "ICAP/1.0 200 OK\r\nISTag: \"x\"\r\nX-",
			said: scanLater, verdict: "defer", unknown: "pass", saidThen: scanned, verdictThen: "accept"},
		{check: "milter", name: "milter proxy", server: rspamd.Milter, bootstrap: "[[milter]]\nname = \"proxy\"\naddresses = [\"%s\"]\ntimeout = \"2s\"\n", garbage: "220 mx.example.org ESMTP\r\n", big: "\x7f\xff\xff\xffO",
			said: scanLater, verdict: "defer", unknown: "quarantine", saidThen: scanned, verdictThen: "quarantine"},
		{check: "hook", name: "hook crm", server: labtest.Server(t, answerHook), bootstrap: "[[hook]]\nname = \"crm\"\nurl = \"http://%s/\"\ntimeout = \"2s\"\n", garbage: "<html>\r\n\r\n", big: huge,
			said: scanned, verdict: "tag", unknown: "reject", saidThen: scanNever, verdictThen: "reject"},
	}
}

// wireFaults are all that may go wrong between the daemon and an engine, and what the trace must tell of it. Garbage and a
// big answer are each kind's own.
func (k *engineKind) wireFaults() []wireFault {
	const late, any = "no answer in time: ", "error: "
	return []wireFault{
		{name: "away", away: true, told: "not reachable"},
		{name: "closes", closes: true, told: any},
		{name: "resets", reset: true, told: any},
		{name: "says nothing", silent: true, told: late},
		{name: "talks garbage", say: k.garbage, told: any},
		{name: "talks without end", say: strings.Repeat("x", 4<<10), endless: true, told: any},
		{name: "has too big an answer", say: k.big, endless: true, told: any},
		{name: "stops in its answer", keep: 5, told: late},
		{name: "trickles", gap: 500 * time.Millisecond, told: late},
	}
}

// TestEngineFaults shows each kind of engine in the daemon as all goes wrong with it that can: the sender and the trace are
// told, a verdict is never made up, and the next message finds it working again. Then it is away for long.
func TestEngineFaults(t *testing.T) {
	t.Parallel()
	for _, k := range engineKinds(t) {
		t.Run(k.check, func(t *testing.T) {
			t.Parallel()
			way := startWire(t, k.server)
			s := setup{policy: noGreylist, clamavTimeout: "2s"}
			if k.check == "clamav" {
				s.clamav = way.port.Addr()
			} else {
				s.bootstrap = fmt.Sprintf(k.bootstrap, way.port.Addr())
			}
			w := begin(t, s)
			w.awaitLooks(t, k.check)
			for _, f := range k.wireFaults() {
				way.set(f)
				ref := w.unlooked(t, k.check+" "+f.name, k.check, k.said, k.verdict)
				w.awaitTrace(t, f.told, ref)
				way.set(wireFault{})
				w.awaitLooks(t, k.check)
			}
			k.awayForLong(t, w, way)
		})
	}
}

// awayForLong opens the breaker of an engine, looks at who is told, lets the operator choose anew, and closes it again.
func (k *engineKind) awayForLong(t *testing.T, w *world, way *wire) {
	way.set(wireFault{away: true})
	ref := ""
	for range 4 {
		ref = w.unlooked(t, k.check+" away for long", k.check, k.said, k.verdict)
	}
	// The last one was not shown to it, and is told why.
	w.awaitTrace(t, "error: no address works, and a probe will tell when one does; "+k.address(way)+" was left out after: ", ref)
	for _, args := range [][]string{{"status"}, {"check", "--live"}} {
		w.awaitCommand(t, fmt.Sprintf("FAIL %-13s %-28s ", k.name, k.address(way)), args...)
	}
	w.awaitMetric(t, "gatepost_scanner_up_"+strings.ReplaceAll(k.name, " ", "_")+"_0", 0)
	w.awaitLine(t, "kind=alarm", "part="+k.name)
	w.reload(t, w.policy+"[checks."+k.check+"]\nunknown = \""+k.unknown+"\"\n", "reload")
	w.unlooked(t, k.check+" as the operator says", k.check, k.saidThen, k.verdictThen)

	way.set(wireFault{})
	w.awaitLooks(t, k.check)
	w.awaitCommand(t, fmt.Sprintf("ok   %-13s %-28s ", k.name, k.address(way)), "status")
	w.awaitMetric(t, "gatepost_scanner_up_"+strings.ReplaceAll(k.name, " ", "_")+"_0", 1)
	w.awaitLine(t, "kind=alarm_over", "part="+k.name)
}

// address is where an engine is, as the operator wrote it.
func (k *engineKind) address(way *wire) string {
	if k.check == "hook" {
		return "http://" + way.port.Addr() + "/"
	}
	return way.port.Addr()
}

// awaitLooks sends messages until the check has looked at one: the first may come before its engine is known to be back.
func (w *world) awaitLooks(t *testing.T, check string) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(100 * time.Millisecond) {
		said, e := w.asked(t, "bob@served.test", head+"Shall we meet at noon?\r\n")
		err := e.check([]string{"verdict=accept", "findings~" + check + ",pass", "marks="})
		if err == nil && strings.HasPrefix(said, scanned) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s works: %q, %v, in\n%s", check, said, err, show([]event{e}))
		}
	}
}

// unlooked sends a message that the check cannot judge, and returns its reference.
func (w *world) unlooked(t *testing.T, what, check, want, verdict string) string {
	t.Helper()
	said, e := w.asked(t, "bob@served.test", head+"Shall we meet at one?\r\n")
	values := []string{"verdict=" + verdict, "findings~" + check + ",unknown"}
	if verdict == "tag" || verdict == "accept" {
		values = append(values, "marks="+check)
	}
	if err := e.check(values); err != nil || !strings.HasPrefix(said, want) {
		t.Errorf("%s: %q, %v, in\n%s", what, said, err, show([]event{e}))
	}
	return anyRef.FindString(said)
}

// awaitTrace waits until the trace tells something, wherever its lines break.
func (w *world) awaitTrace(t *testing.T, want, ref string) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) {
		out, errOut, _, err := w.daemon.Command(t.Context(), "trace", ref)
		if err == nil && strings.Contains(strings.Join(strings.Fields(out), " ")+" ", want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the trace of %s has no %q, %v, in\n%s%s", ref, want, err, out, errOut)
		}
	}
}

// answerHook is a hook that has nothing against any message.
func answerHook(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"result\": \"pass\"}"); err != nil {
			return
		}
	}
}

// TestClamds shows that one of two clamd stands in for the other, and what two engines with different signatures do.
func TestClamds(t *testing.T) {
	t.Parallel()
	clamd := labtest.Clamd(t, lab.ClamdOptions{})
	one, two, third := startWire(t, clamd.Addr), startWire(t, clamd.Addr), startWire(t, clamd.Addr)
	w := begin(t, setup{clamav: one.port.Addr() + " " + two.port.Addr(), clamavTimeout: "2s", policy: noGreylist,
		bootstrap: fmt.Sprintf("[[clamav.engine]]\nname = \"third\"\naddresses = [%q]\noptional = true\n", third.port.Addr())})
	w.awaitLooks(t, "clamav")

	one.set(wireFault{away: true})
	for range 5 { // more than until its breaker opens; each is handed on
		said, e := w.asked(t, "bob@served.test", head+"Shall we meet at noon?\r\n")
		if err := e.check([]string{"verdict=accept", "findings~clamav,pass"}); err != nil || !strings.HasPrefix(said, scanned) {
			t.Errorf("one of two away: %q, %v, in\n%s", said, err, show([]event{e}))
		}
	}
	w.awaitCommand(t, fmt.Sprintf("FAIL %-13s %-28s ", "clamav", one.port.Addr()), "status")
	w.awaitCommand(t, fmt.Sprintf("ok   %-13s %-28s ", "clamav", two.port.Addr()), "status")
	w.awaitCommand(t, "ok   clamav        ClamAV", "status") // as a whole it works

	// A find is a find, whoever of them is left.
	said, e := w.asked(t, "bob@served.test", zippedMail(t, lab.EICAR()))
	if err := e.check([]string{"verdict=reject", "reason^malware."}); err != nil || !strings.HasPrefix(said, "550 5.7.1") {
		t.Errorf("EICAR: %q, %v, in\n%s", said, err, show([]event{e}))
	}

	two.set(wireFault{away: true})
	w.unlooked(t, "both away", "clamav", scanLater, "defer")
	// The third is another opinion, and stands in for nobody.
	w.awaitCommand(t, fmt.Sprintf("ok   %-13s %-28s ", "clamav third", third.port.Addr()), "status")

	two.set(wireFault{})
	w.awaitLooks(t, "clamav")
	third.set(wireFault{away: true})
	ref := w.unlooked(t, "an optional one away", "clamav", scanned, "tag")
	w.awaitTrace(t, "scanner.partly", ref)
}
