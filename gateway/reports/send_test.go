package reports_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/reports"
	"gatepost/internal/dmarcreport"
)

const record = "v=DMARC1; p=reject; rua=mailto:d@a.example"

// TestDaily: what comes in a day is told once, in the window of the next, to whom the record names.
func TestDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, stop := w.start()
		until(0, "10:00:00")
		for range 3 {
			r.Take(message("a.example", record))
		}
		r.Take(message("sub.a.example", record, func(_ *gateway.Event, d *gateway.DMARCResult) { d.PolicyDomain = "a.example" }))
		r.Take(message("b.example", "v=DMARC1; p=none")) // asks for none
		until(0, "23:59:59")
		if got := w.sent(); len(got) != 0 {
			t.Fatalf("%d mails in the day itself", len(got))
		}
		until(1, "00:09:59")
		if got := w.sent(); len(got) != 0 {
			t.Fatalf("%d mails before the window", len(got))
		}
		until(0, "05:00:00")
		got := w.sent()
		if len(got) != 1 || got[0].to != "d@a.example" || got[0].from != "dmarc@reports.ours.example" {
			t.Fatalf("%+v", got)
		}
		if clock := got[0].at.UTC().Format(time.TimeOnly); clock < "00:10:00" || clock > "04:16:00" {
			t.Errorf("sent at %s", clock)
		}
		rep := readReport(t, got[0].raw)
		if rep.Domain != "a.example" || rep.P != "reject" || rep.Messages != 4 || len(rep.Records) != 2 || rep.Records[0].Disposition != "pass" ||
			rep.Begin != time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() {
			t.Errorf("%+v", rep)
		}
		until(3, "00:00:00")
		if n := len(w.sent()); n != 1 {
			t.Errorf("%d mails in all", n)
		}
		if s := r.Stats(); s.Counted != 4 || s.Lost != 0 || s.Sent != 1 {
			t.Errorf("%+v", s)
		}
		if got := overview(t, r, reports.Query{}); len(got) != 1 || got[0] != "2000-01-01 a.example sent d@a.example: 250 taken" {
			t.Errorf("%q", got)
		}
		stop()
	})
}

// TestJitter: two domains of one installation, and one domain of two installations, are told at other times, each day at
// the same one.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := map[string]bool{}
		for _, host := range []string{"mx1.ours.example", "mx2.ours.example"} {
			w := newWorld(t)
			w.settings.Receiver = host
			r, stop := w.start()
			for day := range 2 {
				until(1, "12:00:00")
				r.Take(message("a.example", record))
				r.Take(message("b.example", strings.ReplaceAll(record, "a.example", "b.example")))
				until(1, "12:00:00")
				for _, m := range w.sent()[2*day:] {
					times[host+m.to+m.at.UTC().Format(time.TimeOnly)[:5]] = true
				}
			}
			stop()
		}
		if len(times) != 4 {
			t.Errorf("%v", times)
		}
	})
}

// TestDestinations: who gets a report and who does not, in one record of all kinds.
func TestDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.txt["a.example._report._dmarc.yes.example"] = "v=DMARC1"
		w.txt["a.example._report._dmarc.other.example"] = "v=DMARC1; rua=mailto:new@other.example"
		w.txt["a.example._report._dmarc.later.example"] = "!"
		r, stop := w.start()
		r.Take(message("a.example", "v=DMARC1; p=none; rua=mailto:d@yes.example, https://a.example/, mailto:d@no.example, mailto:d@other.example, mailto:d@later.example, mailto:d@a.example!1k"))
		until(1, "04:20:00")
		to := map[string]bool{}
		for _, m := range w.sent() {
			to[m.to] = true
			if rep := readReport(t, m.raw); !strings.Contains(rep.Error, "https://a.example/: only mailto: is known") {
				t.Errorf("%+v", rep)
			}
		}
		if len(w.sent()) != 2 || !to["d@yes.example"] || !to["new@other.example"] {
			t.Errorf("%v", to)
		}
		lines := strings.Join(overview(t, r, reports.Query{}), "\n")
		for _, want := range []string{"dropped d@no.example: the destination does not ask", "waiting d@later.example: TXT", "dropped d@a.example: too big", "sent new@other.example"} {
			if !strings.Contains(lines, want) {
				t.Errorf("no %q in\n%s", want, lines)
			}
		}
		w.mu.Lock()
		w.txt["a.example._report._dmarc.later.example"] = "v=DMARC1"
		w.mu.Unlock()
		until(0, "12:00:00")
		if got := w.sent(); len(got) != 3 || got[2].to != "d@later.example" {
			t.Errorf("%d mails", len(got))
		}
		stop()
	})
}

// TestRefused: a destination that refuses is not tried again for this report; one that defers is, for a day.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		says     func(*gateway.Delivery) gateway.Relayed
		state    string
		min, max int
	}{
		"refused":  {said(gateway.RefusedByHop, "rcpt", "550 no"), "refused", 1, 1},
		"deferred": {said(gateway.DeferredByHop, "rcpt", "450 later"), "expired", 8, 12},
		"unknown":  {said(gateway.OutcomeUnknown, "dot", "no answer"), "expired", 8, 12},
		"cut off":  {said(gateway.NotDelivered, "body", "gone"), "expired", 8, 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.answers(c.says)
				r, stop := w.start()
				r.Take(message("a.example", record))
				until(4, "00:00:00")
				n, first, last := w.tried()
				if n < c.min || n > c.max {
					t.Errorf("%d tries", n)
				}
				if spent := last.Sub(first); spent > 24*time.Hour || c.max > 1 && spent < 16*time.Hour {
					t.Errorf("tried over %v", spent)
				}
				if got := overview(t, r, reports.Query{}); len(got) != 1 || !strings.Contains(got[0], c.state) {
					t.Errorf("%q", got)
				}
				seen := map[string]bool{}
				for _, m := range w.sent() { // a second time it is known again
					rep := readReport(t, m.raw)
					seen[rep.ID+rep.Name] = true
				}
				if len(seen) > 1 {
					t.Errorf("%v", seen)
				}
				stop()
			})
		})
	}
}

// TestWayOutShut: while nothing can be sent at all, everything waits, and it is not the destinations' fault.
func TestWayOutShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(said(gateway.NotDelivered, "dial", "connection refused"))
		r, stop := w.start()
		for i := range 20 {
			d := fmt.Sprintf("d%d.example", i)
			r.Take(message(d, strings.ReplaceAll(record, "a.example", d)))
		}
		until(1, "22:00:00")
		if n, _, _ := w.tried(); n < 100 || n > 400 { // about every five minutes one, and not each of all
			t.Errorf("%d tries", n)
		}
		if ok, why := r.Health(); ok || !strings.Contains(why, "the way out is shut") {
			t.Errorf("%v %q", ok, why)
		}
		w.answers(nil)
		until(0, "22:10:00")
		if n := len(w.sent()); n != 20 {
			t.Errorf("%d mails", n)
		}
		if ok, why := r.Health(); !ok {
			t.Error(why)
		}
		stop()
	})
}

// TestRest: after three days of refusals a destination rests for a week, is tried once more then, and works again.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(said(gateway.RefusedByHop, "rcpt", "550 no"))
		r, stop := w.start()
		var tried []int
		for day := range 16 {
			if day == 12 {
				w.answers(nil)
			}
			r.Take(message("a.example", record))
			before, _, _ := w.tried()
			until(1, "12:00:00")
			if after, _, _ := w.tried(); after > before {
				tried = append(tried, day)
			}
		}
		if got := fmt.Sprint(tried); got != "[0 1 2 9]" { // one more failure when the week is over is a week again
			t.Errorf("tried on days %v", tried)
		}
		if day := reports.DayOf(time.Now()) - 5; !strings.Contains(strings.Join(overview(t, r, reports.Query{Day: &day}), ""), "rests until") {
			t.Errorf("%q", overview(t, r, reports.Query{Day: &day}))
		}
		stop()
	})
}

// TestOwnRecord: as long as the domain of our own address asks for reports, none is sent; once it does not, they are.
func TestOwnRecord(t *testing.T) {
	for _, text := range []string{"v=DMARC1; p=reject; rua=mailto:x@ours.example", "!"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.txt["_dmarc.ours.example"] = text
			r, stop := w.start()
			r.Take(message("a.example", record))
			until(1, "12:00:00")
			if ok, why := r.Health(); ok || !strings.Contains(why, "ours.example") {
				t.Errorf("%v %q", ok, why)
			}
			if n, _, _ := w.tried(); n > 0 {
				t.Errorf("%d tries", n)
			}
			w.mu.Lock()
			w.txt["_dmarc.reports.ours.example"] = "v=DMARC1; p=reject"
			w.mu.Unlock()
			until(0, "12:10:00")
			if n := len(w.sent()); n != 1 {
				t.Errorf("%d mails", n)
			}
			stop()
		})
	}
}

// TestRestart: a process that ends while a report is under way, before or after the next hop took it, sends it again under
// the same name, and one that ends while it counts loses nothing.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, stop := w.start()
		time.Sleep(time.Second)
		r.Take(message("a.example", record))
		stop() // at once: what was taken is counted
		r, stop = w.start()
		r.Take(message("a.example", record))
		time.Sleep(time.Second)
		hang := make(chan struct{})
		w.answers(func(*gateway.Delivery) gateway.Relayed {
			close(hang)
			time.Sleep(500 * time.Millisecond) // the end comes meanwhile
			return gateway.Relayed{Result: gateway.OutcomeUnknown, At: "dot", Said: "ended"}
		})
		<-hang
		stop()
		w.answers(nil)
		_, stop = w.start()
		until(1, "12:00:00")
		stop()
		_, stop = w.start()
		until(1, "12:00:00")
		got := w.sent()
		if len(got) != 2 {
			t.Fatalf("%d mails", len(got))
		}
		a, b := readReport(t, got[0].raw), readReport(t, got[1].raw)
		if a.ID != b.ID || a.Name != b.Name || a.Messages != 2 || b.Messages != 2 {
			t.Errorf("%+v\n%+v", a, b)
		}
		stop()
	})
}

// TestHangingHop: the end does not wait for a next hop that hangs (see stop of the world).
func TestHangingHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hop := hanging{make(chan struct{})}
		w.settings.Hop = hop
		r, stop := w.start()
		r.Take(message("a.example", record))
		<-hop.called
		stop()
	})
}

// TestParts: a report that is longer than its reader allows comes in parts, which together are all of it.
func TestParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, stop := w.start()
		const n = 2000
		for i := range n {
			r.Take(message("a.example", record+"!8k", func(e *gateway.Event, _ *gateway.DMARCResult) {
				e.Record.From.Domain = fmt.Sprintf("x%d.%x.example", i, i*7919)
			}))
			if i%500 == 0 {
				time.Sleep(time.Second)
			}
		}
		until(1, "12:00:00")
		var messages int64
		ids := map[string]bool{}
		for _, m := range w.sent() {
			if len(m.raw) > 8<<10 {
				t.Errorf("a mail of %d octets", len(m.raw))
			}
			rep := readReport(t, m.raw)
			messages += rep.Messages
			ids[rep.ID] = true
		}
		if messages != n || len(ids) < 2 || len(ids) != len(w.sent()) {
			t.Errorf("%d messages in %d mails of %d names", messages, len(w.sent()), len(ids))
		}
		stop()
	})
}

// TestShow: what would be sent is shown without sending it, in either format.
func TestShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, stop := w.start()
		r.Take(message("a.example", record+",mailto:d@no.example"))
		r.Take(message("b.example", strings.ReplaceAll(record, "a.example", "b.example")))
		time.Sleep(time.Second)
		old := dmarcreport.RFC7489
		for _, f := range []*dmarcreport.Format{nil, &old} {
			o, err := r.Show(t.Context(), reports.Query{Domain: "a.example", DryRun: true, Format: f})
			if err != nil || len(o.Subjects) != 1 {
				t.Fatalf("%+v, %v", o, err)
			}
			s := o.Subjects[0]
			if strings.Contains(s.XML, dmarcreport.Namespace) != (f == nil) || len(s.Deliveries) != 2 || s.Deliveries[0].State != reports.Waiting ||
				!s.Deliveries[0].Next.Equal(s.Due) || s.Deliveries[1].State != reports.Dropped {
				t.Errorf("%+v", s)
			}
		}
		if n, _, _ := w.tried(); n > 0 {
			t.Errorf("%d tries", n)
		}
		if o, err := r.Show(t.Context(), reports.Query{Limit: 1}); err != nil || len(o.Subjects) != 1 || !o.More {
			t.Errorf("%+v, %v", o, err)
		}
		stop()
	})
}

// TestKept: a report that cannot be sent is forgotten after some days, and what became of it after two weeks.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(said(gateway.NotDelivered, "dial", "connection refused"))
		r, stop := w.start()
		r.Take(message("a.example", record))
		until(6, "00:30:00")
		w.answers(nil)
		until(1, "12:00:00")
		if n := len(w.sent()); n != 0 {
			t.Errorf("%d mails", n)
		}
		if got := overview(t, r, reports.Query{}); len(got) != 1 || !strings.Contains(got[0], "expired") {
			t.Errorf("%q", got)
		}
		until(10, "00:00:00")
		if got := overview(t, r, reports.Query{}); len(got) != 0 {
			t.Errorf("%q", got)
		}
		stop()
	})
}

// TestTwoReporters: another gateway reports to us each day, from a domain whose record asks for reports, as it should not.
// We report about its people's mail, never about its reports, so that each of ours is not followed by one more.
func TestTwoReporters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, stop := w.start()
		r.Take(message("a.example", record))
		for range 5 {
			until(1, "12:00:00")
			r.Take(message("a.example", record, func(e *gateway.Event, _ *gateway.DMARCResult) {
				e.Subject = "Report Domain: ours.example Submitter: mx.a.example Report-ID: <x>"
			}))
		}
		until(2, "12:00:00")
		if n := len(w.sent()); n != 1 {
			t.Errorf("%d reports", n)
		}
		stop()
	})
}
