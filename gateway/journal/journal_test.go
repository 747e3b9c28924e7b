package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

func TestEventsAreToldAndKept(t *testing.T) {
	var m memory
	st := new(fakeStore)
	j := New(Options{Sinks: []Sink{&m}, Store: st})
	j.Daemon(Start, slog.String("version", "1"))
	j.Daemon("nonsense")
	j.Write(mailEvent())
	j.Write(refusedEvent())
	j.Write(nil)
	closeJournal(t, j)
	var verbs []string
	for _, l := range m.lines {
		verbs = append(verbs, string(l.Verb))
	}
	if s := strings.Join(verbs, " "); s != "start note transaction connection" {
		t.Error(s)
	}
	if len(st.events) != 2 {
		t.Errorf("%d events kept", len(st.events))
	}
	j.Write(mailEvent()) // after the end: told where that is still possible, never a panic
	if j.lost.Load() != 1 || len(m.lines) != 5 {
		t.Errorf("%d lost, %d lines", j.lost.Load(), len(m.lines))
	}
	closeJournal(t, j)
}

// TestOverflow shows that a store that hangs costs events, which are counted and still told, and never the caller's time.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		st := &fakeStore{hang: make(chan struct{})}
		j := New(Options{Sinks: []Sink{&m}, Store: st, Queue: 10})
		for range 100 {
			j.Write(mailEvent())
		}
		synctest.Wait()
		if lost := j.lost.Load(); lost < 85 || lost > 90 {
			t.Errorf("%d lost", lost)
		}
		if ok, detail := j.state(); ok || !strings.Contains(detail, "found no room") {
			t.Errorf("%v %s", ok, detail)
		}
		close(st.hang)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !strings.Contains(m.text(), `"kind":"alarm","part":"journal"`) {
			t.Error("no alarm")
		}
		time.Sleep(quietTime)
		synctest.Wait()
		if text := m.text(); strings.Count(text, `"kind":"alarm"`) != 1 || strings.Count(text, `"kind":"alarm_over"`) != 1 || strings.Count(text, `"kind":"transaction"`) != 100 {
			t.Errorf("%d transactions told", strings.Count(text, `"kind":"transaction"`))
		}
		if ok, _ := j.state(); !ok {
			t.Error("not well again")
		}
		closeJournal(t, j)
		if n, held := j.queued(), heldBy(j); n != 0 || held != 0 {
			t.Errorf("%d events, %d octets held", n, held)
		}
	})
}

func heldBy(j *Journal) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.held
}

// TestQueueIsBoundedInOctets shows that huge events do not take all memory.
func TestQueueIsBoundedInOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &fakeStore{hang: make(chan struct{})}
		j := New(Options{Store: st})
		big := mailEvent()
		big.Record.Findings = make([]gateway.Finding, 100000)
		for range 20 {
			j.Write(big)
		}
		synctest.Wait()
		if held := heldBy(j); held > queueOctets || j.lost.Load() == 0 {
			t.Errorf("%d octets held, %d lost", held, j.lost.Load())
		}
		close(st.hang)
		closeJournal(t, j)
	})
}

func TestFullSinkAndStoreAreCounted(t *testing.T) {
	m := &memory{full: true}
	j := New(Options{Sinks: []Sink{m}, Store: &fakeStore{full: true}})
	j.Write(mailEvent())
	closeJournal(t, j)
	body := scrape(t, j)
	for _, want := range []string{`gatepost_journal_dropped_total{sink="memory"} 1`, `gatepost_journal_dropped_total{sink="store"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		st := new(fakeStore)
		j := New(Options{Sinks: []Sink{&m}, Store: st})
		for i := range 10 {
			j.Early(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), gateway.TooManyConnections)
		}
		j.Early(netip.MustParseAddr("::ffff:192.0.2.77"), gateway.TooManyConnections)
		j.Early(netip.MustParseAddr("2001:db8:1:2:3::4%eth0"), gateway.TooManyFromClient)
		j.Early(netip.Addr{}, gateway.ShuttingDown)
		if len(st.told()) != 0 {
			t.Error("kept before the minute is over")
		}
		time.Sleep(62 * time.Second)
		synctest.Wait()
		j.Early(netip.MustParseAddr("198.51.100.1"), gateway.ShuttingDown)
		closeJournal(t, j) // tells what the minute at hand holds
		want := map[string]int{"00:00 192.0.2.0/24 smtp.too_many_connections": 11, "00:00 2001:db8:1::/48 smtp.too_many_from_client": 1,
			"00:00 other smtp.shutting_down": 1, "00:01 198.51.100.0/24 smtp.shutting_down": 1}
		if fmt.Sprint(st.told()) != fmt.Sprint(want) {
			t.Errorf("%v", st.told())
		}
		lines := strings.Split(strings.TrimSpace(m.text()), "\n")
		if len(lines) != 4 || lines[1] != `{"time":"2000-01-01T00:00:00.000Z","kind":"early","reason":"smtp.too_many_connections","count":11,"networks":[["192.0.2.0/24",11]]}` {
			t.Errorf("%s", m.text())
		}
	})
}

// TestFloodIsBounded shows that 100,000 connections from as many networks in a minute are counted, whole, in bounded memory,
// rows, lines and metrics, and that those who come most are named.
func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		st := new(fakeStore)
		j := New(Options{Sinks: []Sink{&m}, Store: st})
		const n = 100_000
		for i := range n {
			if i%2 == 0 {
				j.Early(flooder(i), gateway.TooManyConnections)
			} else {
				j.Early(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i), 15: byte(i)}), gateway.TooManyConnections)
			}
			if i%100 == 0 {
				j.Early(netip.MustParseAddr("192.0.2.7"), gateway.TooManyFromClient)
			}
		}
		j.early.mu.Lock()
		entries := len(j.early.counts)
		j.early.mu.Unlock()
		if entries > maxEarly+len(gateway.Reasons()) {
			t.Errorf("%d entries", entries)
		}
		if body := scrape(t, j); !strings.Contains(body, fmt.Sprintf(`gatepost_early_refusals_total{reason="smtp.too_many_connections"} %d`, n)) ||
			strings.Count(body, "gatepost_early_refusals_total{") != 2 {
			t.Error("not in the metrics")
		}
		closeJournal(t, j)
		total := 0
		for _, c := range st.early {
			total += c
		}
		if total != n+n/100 || len(st.early) > keptEarly+2 || st.early["00:00 192.0.2.0/24 smtp.too_many_from_client"] != n/100 {
			t.Errorf("%d in all, %d rows", total, len(st.early))
		}
		if len(m.lines) != 2 {
			t.Errorf("%d lines", len(m.lines))
		}
		for _, l := range m.lines {
			checkLine(t, l.JSON)
		}
	})
}

func scrape(t *testing.T, j *Journal) string {
	t.Helper()
	_, body := get(t, j, "/metrics")
	return body
}

func get(t *testing.T, j *Journal, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	j.HTTP().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	j := New(Options{})
	defer closeJournal(t, j)
	j.Metrics().Gauge("sessions", "Sessions in flight.", func() float64 { return 3 })
	j.Metrics().Counter("store_written_total", "Events in a file.", func() float64 { return 4 })
	j.Write(mailEvent())
	j.Write(virusEvent())
	c := refusedEvent()
	c.Record.Findings = mailEvent().Record.Findings[:1]
	j.Write(c)
	for _, tls := range []gateway.TLS{{Version: "TLS1.3", Resumed: true}, {Version: "TLS1.3"}, {Version: "TLS1.3"}} {
		e := refusedEvent()
		e.Record.Listener, e.Session.TLS = "other", tls
		j.Write(e)
	}
	j.Early(netip.MustParseAddr("192.0.2.1"), gateway.TooManyConnections)
	for i := range 1000 {
		e := refusedEvent()
		e.Record.Listener = fmt.Sprint("listener ", i)
		j.Write(e)
	}
	body := scrape(t, j)
	for _, want := range []string{
		`gatepost_connections_total{end="limit",listener="mx"} 1`,
		`gatepost_connections_total{end="limit",listener="other"} `,
		`gatepost_tls_connections_total{resumed="true",version="TLS1.3"} 1`,
		`gatepost_tls_connections_total{resumed="false",version="TLS1.3"} 2`,
		`gatepost_tls_connections_total{resumed="false",version="none"} `,
		`gatepost_early_refusals_total{reason="smtp.too_many_connections"} 1`,
		`gatepost_transactions_total{reason="spam.score",verdict="tag"} 1`,
		`gatepost_transactions_total{reason="malware.found",verdict="reject"} 1`,
		`gatepost_recipients_total{reply="2xx"} 2`,
		`gatepost_recipients_total{reply="5xx"} 2`,
		`gatepost_checks_total{check="clamav",result="fail"} 1`,
		`gatepost_checks_total{check="greylist",result="not run"} 2`,
		`gatepost_checks_total{check="rdns",result="fail"} 1`,
		`gatepost_check_seconds_count{check="spamassassin"} 2`,
		`gatepost_relays_total{result="delivered"} 1`,
		`gatepost_next_hop_seconds_count{next_hop="192.0.2.10:25"} 1`,
		`gatepost_transaction_seconds_count 2`,
		`gatepost_message_octets_total 20480`,
		`gatepost_journal_queue `,
		`gatepost_part_up{part="journal"} 1`,
		`gatepost_sessions 3`,
		`gatepost_store_written_total 4`,
		`go_goroutines `,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(body, "gatepost_connections_total{"); n > maxLabels+1 {
		t.Errorf("%d listeners", n)
	}
}

func TestHealth(t *testing.T) {
	j := New(Options{})
	defer closeJournal(t, j)
	h := j.Health()
	if code, body := get(t, j, "/healthz"); code != 200 || body != "alive\n" {
		t.Errorf("%d %s", code, body)
	}
	draining := false
	h.Require("listeners", func() (bool, string) { return !draining, map[bool]string{true: "draining", false: "2 open"}[draining] })
	remove := h.Watch("scanner", func() (bool, string) { return false, "no \"answer\"" })
	code, body := get(t, j, "/readyz")
	if code != 200 || !strings.Contains(body, `"ready": true`) || !strings.Contains(body, `no \"answer\"`) {
		t.Errorf("%d %s", code, body)
	}
	draining = true
	if code, body = get(t, j, "/readyz"); code != 503 || !strings.Contains(body, `"detail": "draining"`) {
		t.Errorf("%d %s", code, body)
	}
	if body := scrape(t, j); !strings.Contains(body, `gatepost_part_up{part="scanner"} 0`) || !strings.Contains(body, `gatepost_part_up{part="listeners"} 0`) {
		t.Error("parts are no metrics")
	}
	remove()
	if _, body := get(t, j, "/readyz"); strings.Contains(body, "scanner") {
		t.Error("still there")
	}
	h.Watch("broken", func() (bool, string) { panic("no") })
	if _, body := get(t, j, "/readyz"); !strings.Contains(body, "panic: no") {
		t.Error(body)
	}
	if code, _ := get(t, j, "/else"); code != 404 {
		t.Errorf("%d", code)
	}
	w := httptest.NewRecorder()
	j.HTTP().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/readyz", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestHealthOfHungPart shows that a part that never answers is not well, is asked once, and delays nobody for long.
func TestHealthOfHungPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(newMetrics())
		release := make(chan struct{})
		var asked atomic.Int32
		h.Require("hung", func() (bool, string) { asked.Add(1); <-release; return true, "" })
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				began := time.Now()
				ready, parts := h.Parts()
				if ready || parts[0].OK || time.Since(began) > probeTime {
					t.Errorf("%v %v after %s", ready, parts, time.Since(began))
				}
			})
		}
		wg.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
		close(release)
		synctest.Wait()
		if ready, _ := h.Parts(); !ready || asked.Load() != 2 {
			t.Errorf("not ready again, asked %d times", asked.Load())
		}
	})
}

func TestWriterSink(t *testing.T) {
	r, w := io.Pipe()
	s := NewWriter("stdout", w, 4)
	l := newLine(mailEvent())
	took := 0
	for range 100 { // nobody reads yet
		if s.Send(l) {
			took++
		}
	}
	if took != 4 {
		t.Errorf("took %d lines", took)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if s.Send(l) {
		t.Error("took a line after the end")
	}
	got := make(chan int)
	go func() {
		b, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		got <- strings.Count(string(b), "\n")
	}()
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	w.Close()
	if n := <-got; n != took || s.Lost() != 0 {
		t.Errorf("%d of %d lines, %d lost", n, took, s.Lost())
	}
}

// flaky fails until it is well.
type flaky struct {
	mu   sync.Mutex
	well bool
	b    strings.Builder
}

func (f *flaky) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.well {
		return 0, net.ErrClosed
	}
	return f.b.Write(p)
}

func TestWriterSinkRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(flaky)
		s := NewWriter("stdout", w, 0)
		l := newLine(mailEvent())
		s.Send(l)
		time.Sleep(2 * linger)
		synctest.Wait()
		w.well = true
		s.Send(l)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s.Lost() != 1 || w.b.String() != string(l.JSON) {
			t.Errorf("%d lost, %q", s.Lost(), w.b.String())
		}
	})
}

// TestLossesOfSinksAreCounted shows that what a sink took and could not hand on is seen in metrics and health.
func TestLossesOfSinksAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := New(Options{Sinks: []Sink{NewWriter("stdout", new(flaky), 0)}})
		j.Write(mailEvent())
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if ok, detail := j.state(); ok || detail != "2 events or lines found no room" { // the event, and the alarm for it
			t.Errorf("%v %s", ok, detail)
		}
		closeJournal(t, j)
		if body := scrape(t, j); !strings.Contains(body, `gatepost_journal_dropped_total{sink="stdout"} 2`) {
			t.Error("not in the metrics")
		}
	})
}

// slow is a reader that takes its time, and counts how often it is called.
type slow struct {
	took   time.Duration
	calls  int
	octets int
	text   strings.Builder
}

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(s.took)
	s.calls++
	s.octets += len(p)
	s.text.Write(p)
	return len(p), nil
}

// TestLinesAreWrittenTogether shows that no line is lost, changed or put behind a later one while many are written in few
// calls, each of whole lines and of at most maxWrite octets.
func TestLinesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slow{took: time.Millisecond}
		j := New(Options{Sinks: []Sink{NewWriter("stdout", w, 0)}})
		var want strings.Builder
		const n = 3000
		for i := range n {
			e := mailEvent()
			e.Subject = fmt.Sprint("number ", i)
			want.Write(newLine(e).JSON)
			j.Write(e)
			time.Sleep(time.Second / 3000)
		}
		closeJournal(t, j)
		if w.text.String() != want.String() {
			t.Errorf("%d octets of %d", w.octets, want.Len())
		}
		if w.calls > n/5 || j.lost.Load() != 0 {
			t.Errorf("%d calls, %d lost", w.calls, j.lost.Load())
		}
	})
}
