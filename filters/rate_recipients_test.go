package filters

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/limit"
	"gatepost/internal/shaping"
)

// asking answers by a function.
type asking func(to gateway.Address) recipients.Answer

func (a asking) Ask(_ context.Context, _ string, _, to gateway.Address) recipients.Answer {
	return a(to)
}

// existing says of every recipient but those named ghost that it exists, and counts how often it was asked.
type existing struct{ asked int }

func (x *existing) answer(to gateway.Address) recipients.Answer {
	x.asked++
	if strings.HasPrefix(to.Local, "ghost") {
		return recipients.Answer{Kind: recipients.Unknown}
	}
	return recipients.Answer{Kind: recipients.Known}
}

// harvestWorld is the pipeline with recipients that exist or not; its time is that of the bubble.
type harvestWorld struct {
	*rateWorld
	hop *existing
}

func newHarvestWorld(t *testing.T, rates limit.Limits) *harvestWorld {
	names := dnslab.New(t, nil)
	w := &harvestWorld{hop: &existing{}}
	w.rateWorld = &rateWorld{t: t, d: &Deps{Resolver: resolver(t, names), Rates: rates, Limited: &RateCounts{}, Recipients: asking(w.hop.answer)}}
	off := ""
	for _, name := range []string{"helo", "rdns", "spf.helo", "sender", "spf", "clamav", "spamassassin", "dkim", "arc", "dmarc", "greylist"} {
		off += "[checks." + name + "]\naction = \"off\"\n"
	}
	w.pl = build(t, off, w.d)
	return w
}

// begin begins a session and a transaction.
func (w *harvestWorld) begin(client, path string, r limit.Reputation) (*gateway.Session, *gateway.Envelope) {
	s := w.session(client, r)
	v, _ := w.connect(s)
	if v.Outcome != gateway.Accept {
		w.t.Fatalf("connect: %s", v.Explain())
	}
	_, e := w.mail(s, path)
	return s, e
}

// rcpt runs the stage of one recipient and answers it as the edge does.
func (w *harvestWorld) rcpt(s *gateway.Session, e *gateway.Envelope, path string) gateway.Verdict {
	e.Rcpts = append(e.Rcpts, recipientOf(w.t, w.d.Policy, path))
	in := input(s, e)
	in.Rcpt = len(e.Rcpts) - 1
	v := w.pl.Run(w.t.Context(), gateway.Rcpt, in)
	d, reply := v.Rcpt(in.Rcpt, e.ID)
	if e.Rcpts[in.Rcpt].Reply = reply; !d.Outcome.Refuses() {
		e.Rcpts[in.Rcpt].Reply = gateway.SayRcptOK.Reply()
	} else if d.Reason == gateway.RcptUnknown {
		s.Errors++
	}
	return v
}

// end ends the transaction, and charges what the learner charges.
func (w *harvestWorld) end(s *gateway.Session, e *gateway.Envelope, r limit.Reputation) {
	w.learn(&gateway.Event{Kind: gateway.TransactionEvent, Record: gateway.NewRecord(gateway.Rcpt, s, e)}, r)
}

// leave ends the session likewise.
func (w *harvestWorld) leave(s *gateway.Session, r limit.Reputation) {
	w.learn(&gateway.Event{Kind: gateway.ConnectionEvent, Record: gateway.NewRecord(gateway.Connect, s, nil), Session: gateway.Summary{Errors: s.Errors}}, r)
}

func (w *harvestWorld) learn(e *gateway.Event, r limit.Reputation) {
	for _, c := range (RateLessons{w.d.Rates, w.d.Policy}).Of(e, func(netip.Addr) limit.Reputation { return r }) {
		w.d.Shaper.Do(w.t.Context(), &shaping.Ask{Takes: []shaping.Take{{Charges: []limit.Charge{c}}}})
	}
}

// TestHarvest shows that who guesses addresses is braked after its 30th in an hour, however it spreads its guesses over
// recipients, transactions and sessions, that no further one is asked for, that it is told so late, and that the mailboxes
// which must be reachable still are.
func TestHarvest(t *testing.T) {
	for name, c := range map[string]struct{ perMail, perSession int }{
		"in one transaction": {1000, 1000}, "a transaction each": {1, 1000}, "a session each": {1, 1}, "five a session, two a mail": {2, 5},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHarvestWorld(t, limit.Limits{*limit.Defaults().Of(limit.UnknownRecipient, limit.Recipients)})
			synctest.Test(t, func(t *testing.T) {
				w.t, w.d.Shaper = t, newShaper()
				guesses := 0
				var last gateway.Verdict
				for guesses < 100 && last.Reason != gateway.RateUnknown {
					s := w.session("192.0.2.1", limit.Unknown)
					for inSession := 0; inSession < c.perSession && last.Reason != gateway.RateUnknown && guesses < 100; {
						_, e := w.mail(s, "<a@b.example>")
						for range min(c.perMail, c.perSession-inSession) {
							last = w.rcpt(s, e, fmt.Sprintf("<ghost%d@served.example>", guesses))
							if last.Reason == gateway.RateUnknown {
								break
							}
							guesses, inSession = guesses+1, inSession+1
						}
						w.end(s, e, limit.Unknown)
					}
					w.leave(s, limit.Unknown)
				}
				if guesses != 30 || w.hop.asked != 30 {
					t.Errorf("%d guesses, %d asked of the next hop", guesses, w.hop.asked)
				}
				s, e := w.session("192.0.2.1", limit.Unknown), (*gateway.Envelope)(nil)
				_, e = w.mail(s, "<a@b.example>")
				v := w.rcpt(s, e, "<anna@served.example>")
				want := "451 4.7.1 Too many recipients that do not exist, in a short time from your address 192.0.2.1; at most 30 per hour; look at your list of addresses, and try again in 120 seconds. "
				if !strings.HasPrefix(v.Reply.String(), want) || v.Delay != w.d.Policy.Delays.UnknownRecipient || w.hop.asked != 30 {
					t.Errorf("%q, after %v; %d asked", v.Reply, v.Delay, w.hop.asked)
				}
				f := found(t, e.Findings, "rate.recipients")
				if got := evidence(f, "limit"); got != "recipients/unknown-recipient/unknown of 192.0.2.1: at most 30 per hour, 30 used, 120 seconds to wait" {
					t.Errorf("evidence %q", got)
				}
				if v := w.rcpt(s, e, "<postmaster@served.example>"); v.Rcpts[len(v.Rcpts)-1].Outcome != gateway.Accept {
					t.Errorf("postmaster: %s", v.Explain())
				}
				if v := w.rcpt(w.session("192.0.2.1", limit.Known), &gateway.Envelope{From: e.From}, "<anna@served.example>"); v.Outcome != gateway.Accept {
					t.Errorf("the same client, known: %s", v.Explain())
				}
				time.Sleep(f.RetryAfter)
				_, e = w.mail(s, "<a@b.example>")
				if v := w.rcpt(s, e, "<anna@served.example>"); v.Outcome != gateway.Accept {
					t.Errorf("after the wait it was told: %s", v.Explain())
				}
			})
		})
	}
}

// TestHarvestOfBounces shows that bounces to addresses that somebody forged do not hold up the other mail of their host.
func TestHarvestOfBounces(t *testing.T) {
	w := newHarvestWorld(t, limit.Defaults())
	s, e := w.begin("192.0.2.1", "<>", limit.Known)
	for i := range 300 {
		if v := w.rcpt(s, e, fmt.Sprintf("<ghost%d@served.example>", i)); v.Rcpts[i].Reason != gateway.RcptUnknown {
			t.Fatalf("bounce %d: %s", i, v.Explain())
		}
	}
	if v := w.rcpt(s, e, "<ghost@served.example>"); v.Rcpts[300].Reason != gateway.RateUnknown {
		t.Errorf("bounces without end: %s", v.Explain())
	}
	if got := evidence(found(t, e.Findings, "rate.recipients"), "limit"); !strings.HasPrefix(got, "recipients/unknown-recipient/known of 192.0.2.1 <>: at most 300 per hour") {
		t.Errorf("evidence %q", got)
	}
	_, e = w.mail(s, "<a@b.example>")
	if v := w.rcpt(s, e, "<anna@served.example>"); v.Outcome != gateway.Accept {
		t.Errorf("other mail of that host: %s", v.Explain())
	}
}

// TestErrorsAreCharged shows that a client that errs in session after session is sent away at its next connection.
func TestErrorsAreCharged(t *testing.T) {
	w := newHarvestWorld(t, limit.Defaults())
	synctest.Test(t, func(t *testing.T) {
		w.t, w.d.Shaper = t, newShaper()
		for range 4 {
			s := w.session("192.0.2.1", limit.Unknown)
			if v, _ := w.connect(s); v.Outcome != gateway.Accept {
				t.Fatal(v.Explain())
			}
			s.Errors = 15
			w.leave(s, limit.Unknown)
		}
		v, f := w.connect(w.session("192.0.2.1", limit.Unknown))
		want := "421 4.7.0 Too many errors in a short time from your address 192.0.2.1; at most 60 per hour; try again in 60 seconds. "
		if v.Outcome != gateway.Drop || !strings.HasPrefix(v.Reply.String(), want) {
			t.Errorf("%s, %q", v.Outcome, v.Reply)
		}
		time.Sleep(f.RetryAfter)
		if v, _ := w.connect(w.session("192.0.2.1", limit.Unknown)); v.Outcome != gateway.Accept {
			t.Errorf("after the wait it was told: %s", v.Explain())
		}
	})
}

// TestLessonsSpare shows of whom nothing is learned.
func TestLessonsSpare(t *testing.T) {
	w := newHarvestWorld(t, limit.Defaults())
	unknown := gateway.Failed(gateway.RcptUnknown, "x")
	unknown.Check = "rcpt"
	ran := gateway.Passed()
	ran.Check = "rate.recipients"
	for name, c := range map[string]struct {
		e    gateway.Event
		want int
	}{
		"a recipient":                 {gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Findings: []gateway.Finding{ran, unknown}}}, 1},
		"charged by the next step":    {gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Findings: []gateway.Finding{ran, unknown, ran}}}, 0},
		"two behind the last step":    {gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Findings: []gateway.Finding{unknown, ran, unknown, unknown}}}, 2},
		"trusted":                     {gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Trusted: true, Findings: []gateway.Finding{unknown}}}, 0},
		"allowed":                     {gateway.Event{Kind: gateway.TransactionEvent, Verdict: gateway.Verdict{Waived: "192.0.2.0/24"}, Record: &gateway.Record{Findings: []gateway.Finding{unknown}}}, 0},
		"an end without errors":       {gateway.Event{Kind: gateway.ConnectionEvent, Record: &gateway.Record{}}, 0},
		"an end with errors":          {gateway.Event{Kind: gateway.ConnectionEvent, Record: &gateway.Record{}, Session: gateway.Summary{Errors: 3}}, 3},
		"an end with errors, trusted": {gateway.Event{Kind: gateway.ConnectionEvent, Record: &gateway.Record{Trusted: true}, Session: gateway.Summary{Errors: 3}}, 0},
		"errors without end":          {gateway.Event{Kind: gateway.ConnectionEvent, Record: &gateway.Record{}, Session: gateway.Summary{Errors: 1 << 30}}, mostHarvest},
	} {
		c.e.Record.Client = from("192.0.2.1", "x").Client.Addr()
		if got := (RateLessons{w.d.Rates, w.d.Policy}).Of(&c.e, func(netip.Addr) limit.Reputation { return limit.Unknown }); len(got) != c.want {
			t.Errorf("%s: %d charges, want %d", name, len(got), c.want)
		}
		c.e.Record.Client = from("192.0.2.1", "x").Client.Addr().Prev()
		if got := (RateLessons{nil, w.d.Policy}).Of(&c.e, func(netip.Addr) limit.Reputation { return limit.Unknown }); len(got) != 0 {
			t.Errorf("%s: %d charges without a limit", name, len(got))
		}
	}
}

// TestNullSender shows that one mailbox gets so many bounces an hour, and more where more are usual, while other mail to it
// and bounces to others go on.
func TestNullSender(t *testing.T) {
	for name, c := range map[string]struct {
		usual, pass int // an hour, for the last 60 days
	}{"nothing is usual": {0, 200}, "few are usual": {5, 200}, "many are usual": {100, 880}} {
		t.Run(name, func(t *testing.T) {
			w := newHarvestWorld(t, limit.Limits{*limit.Defaults().Of(limit.NullSender, limit.Messages)})
			synctest.Test(t, func(t *testing.T) {
				w.t, w.d.Shaper, w.d.Bounces = t, newShaper(), limit.NewLearned(0)
				for range 60 * 24 {
					time.Sleep(time.Hour)
					for range c.usual {
						w.d.Bounces.Note("anna@served.example", time.Now())
					}
				}
				var s *gateway.Session
				var e *gateway.Envelope
				passed := 0
				var v gateway.Verdict
				for passed < 2000 { // each from another network
					s, e = w.begin(fmt.Sprintf("192.0.%d.1", 8*(passed%32)), "<>", limit.Known)
					if v = w.rcpt(s, e, "<Anna@served.example>"); v.Outcome.Refuses() {
						break
					}
					passed++
				}
				if passed < c.pass || passed > c.pass+c.pass/8 || v.Reason != gateway.RateNullSender || !strings.HasPrefix(v.Reply.String(), "451 4.7.1 Too many bounces in a short time for anna@served.example; at most ") {
					t.Errorf("%d bounces passed, then %q", passed, v.Reply)
				}
				if v := w.rcpt(s, e, "<bob@served.example>"); v.Rcpts[1].Outcome != gateway.Accept {
					t.Errorf("a bounce to another: %s", v.Explain())
				}
				_, e = w.mail(s, "<a@b.example>")
				if v := w.rcpt(s, e, "<anna@served.example>"); v.Outcome != gateway.Accept {
					t.Errorf("other mail: %s", v.Explain())
				}
			})
		})
	}
}

// TestBouncesOfOneNetwork shows that one network that names a mailbox again and again, from whatever of its hosts, uses up
// a quarter of its bounces, and leaves the rest to others.
func TestBouncesOfOneNetwork(t *testing.T) {
	w := newHarvestWorld(t, limit.Limits{*limit.Defaults().Of(limit.NullSender, limit.Messages)})
	synctest.Test(t, func(t *testing.T) {
		w.t, w.d.Shaper = t, newShaper()
		passed := 0
		var v gateway.Verdict
		for i := range 1000 {
			s, e := w.begin(fmt.Sprintf("192.0.%d.%d", i%8, 1+i%250), "<>", limit.Unknown)
			if v = w.rcpt(s, e, "<anna@served.example>"); v.Outcome == gateway.Accept {
				passed++
			}
		}
		if want := "451 4.7.1 Too many bounces in a short time for anna@served.example from 192.0.0.0/21; at most 50 per hour"; passed != 50 || !strings.HasPrefix(v.Reply.String(), want) {
			t.Errorf("%d bounces passed, then %q", passed, v.Reply)
		}
		s, e := w.begin("198.51.100.7", "<>", limit.Unknown)
		if v := w.rcpt(s, e, "<anna@served.example>"); v.Outcome != gateway.Accept {
			t.Errorf("a bounce of another: %s", v.Explain())
		}
	})
}

// TestLearnBounces shows of which mail is learned: bounces that were let in, by each recipient that got them.
func TestLearnBounces(t *testing.T) {
	day := time.Now()
	event := func(from string, stage gateway.Stage, o gateway.Outcome, code int) *gateway.Event {
		return &gateway.Event{Kind: gateway.TransactionEvent, Verdict: gateway.Verdict{Decision: gateway.Decision{Outcome: o}},
			Record: &gateway.Record{Stage: stage, Time: day, From: mailFrom(t, from),
				Rcpts: []gateway.RecordRcpt{{To: recipientOf(t, servedPolicy(), "<Anna@served.example>").Address, Code: code}}}}
	}
	for name, c := range map[string]struct {
		e    *gateway.Event
		want int
	}{
		"let in":              {event("<>", gateway.Data, gateway.Accept, 250), 1},
		"with a tag":          {event("<>", gateway.Data, gateway.Tag, 250), 1},
		"kept":                {event("<>", gateway.Data, gateway.Quarantine, 250), 0},
		"refused":             {event("<>", gateway.Data, gateway.Reject, 250), 0},
		"recipient refused":   {event("<>", gateway.Data, gateway.Accept, 550), 0},
		"other mail":          {event("<a@b.example>", gateway.Data, gateway.Accept, 250), 0},
		"without a message":   {event("<>", gateway.Rcpt, gateway.Accept, 250), 0},
		"the next hop defers": {&gateway.Event{Kind: gateway.TransactionEvent, Record: event("<>", gateway.Data, gateway.Accept, 250).Record, Relayed: &gateway.Relayed{Result: gateway.DeferredByHop}}, 0},
	} {
		l := limit.NewLearned(0)
		if LearnBounces(l, c.e); l.Len() != c.want {
			t.Errorf("%s: %d learned, want %d", name, l.Len(), c.want)
		}
	}
}

// TestRateOctets shows that octets are counted, that a message larger than its limit passes when nothing came before it,
// and what is said behind it.
func TestRateOctets(t *testing.T) {
	row := limit.Limit{Dimension: limit.Client, Unit: limit.KiB}
	row.Rates[limit.Unknown] = limit.Per(1024, time.Hour)
	w := newRateWorld(t, limit.Limits{row})
	for i, c := range []struct {
		octets int64
		want   string
	}{{2 << 20, ""}, {1, "451 4.7.1 Too much mail in a short time from your address 192.0.2.1; at most 1024 KiB per hour; try again in 4 seconds. "}} {
		e := dataOf(t, with(""))
		e.Measured.Octets = c.octets
		s := w.session("192.0.2.1", limit.Unknown)
		v := w.pl.Run(t.Context(), gateway.Data, input(s, e))
		if got := v.Reply.String(); c.want == "" && v.Outcome != gateway.Accept || c.want != "" && !strings.HasPrefix(got, c.want) {
			t.Errorf("message %d: %s, %q", i, v.Outcome, got)
		}
	}
}

// TestSpray shows that clients, senders and recipients by the ten thousand take no more room than was given, and that a
// client that is over its limits meanwhile stays over them.
func TestSpray(t *testing.T) {
	const keys = 4096
	w := newHarvestWorld(t, limit.Defaults())
	memory := limit.NewMemory(keys)
	w.d.Shaper = shaping.New(memory, nil)
	braked, e := w.begin("192.0.2.1", "<a@b.example>", limit.Unknown)
	for i := range 31 {
		w.rcpt(braked, e, fmt.Sprintf("<ghost%d@served.example>", i))
	}
	for i := range 60_000 {
		a := netip.AddrFrom4([4]byte{10 + byte(i>>16), byte(i >> 8), byte(i), 1})
		if i%2 == 1 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)})
		}
		s := w.session(a.String(), limit.Unknown)
		if v, _ := w.connect(s); v.Outcome != gateway.Accept && i < 100 {
			t.Fatalf("%s: %s", a, v.Explain())
		}
		if i%10 == 0 { // what it says of itself is new each time
			_, e := w.mail(s, fmt.Sprintf("<a@%d.example>", i))
			w.rcpt(s, e, fmt.Sprintf("<%s%d@a%d.wide.example>", strings.Repeat("x", 50), i, i))
			w.end(s, e, limit.Unknown)
		}
		if n := memory.Len(); i%10_000 == 0 && n > keys {
			t.Fatalf("%d keys of %d", n, keys)
		}
	}
	if n := memory.Len(); n > keys || n < keys/2 {
		t.Errorf("%d keys of %d are held", n, keys)
	}
	if n := len(w.d.Limited.All()); n > len(limit.Defaults())*3 {
		t.Errorf("%d limits are counted", n)
	}
	_, e = w.mail(braked, "<a@b.example>")
	if v := w.rcpt(braked, e, "<anna@served.example>"); v.Reason != gateway.RateUnknown {
		t.Errorf("the one that was over: %s", v.Explain())
	}
}
