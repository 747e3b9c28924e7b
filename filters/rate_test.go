package filters

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/limit"
	"gatepost/internal/shaping"
)

// rateWorld is the whole pipeline with limits, asked stage by stage. Only rates decide.
type rateWorld struct {
	t  *testing.T
	d  *Deps
	pl *gateway.Pipeline
}

func newRateWorld(t *testing.T, rates limit.Limits) *rateWorld {
	names := dnslab.New(t, nil)
	w := &rateWorld{t: t, d: &Deps{Resolver: resolver(t, names), Rates: rates, Limited: &RateCounts{}}}
	off := ""
	for _, name := range []string{"helo", "rdns", "spf.helo", "sender", "spf", "rcpt", "clamav", "spamassassin", "dkim", "arc", "dmarc"} {
		off += "[checks." + name + "]\naction = \"off\"\n"
	}
	w.pl = build(t, off, w.d)
	return w
}

// session begins a session of a client with a standing.
func (w *rateWorld) session(client string, r limit.Reputation) *gateway.Session {
	s := from(client, "good.example")
	s.Snapshot = &gateway.Snapshot{Policy: w.d.Policy, Pipeline: w.pl}
	s.Conduct.Known = true // whoever waits for the banner is
	s.Conduct.Proven, s.Conduct.Bad = r == limit.Known, r == limit.Bad
	return s
}

// connect runs the Connect stage.
func (w *rateWorld) connect(s *gateway.Session) (gateway.Verdict, gateway.Finding) {
	v := w.pl.Run(w.t.Context(), gateway.Connect, input(s, nil))
	return v, found(w.t, s.Findings, "rate.connections")
}

// mail runs the stages of MAIL.
func (w *rateWorld) mail(s *gateway.Session, path string) (gateway.Verdict, *gateway.Envelope) {
	e := &gateway.Envelope{ID: 1 << 31, From: mailFrom(w.t, path)}
	w.pl.Run(w.t.Context(), gateway.Helo, input(s, e))
	return w.pl.Run(w.t.Context(), gateway.Mail, input(s, e)), e
}

// found is the last finding of a check.
func found(t *testing.T, findings []gateway.Finding, check string) gateway.Finding {
	t.Helper()
	for i := len(findings) - 1; i >= 0; i-- {
		if findings[i].Check == check {
			return findings[i]
		}
	}
	t.Fatalf("no finding of %s", check)
	return gateway.Finding{}
}

// TestRateConnections shows what each client may connect by default, what it hears behind that, and that the rest of the
// minute brings what it says.
func TestRateConnections(t *testing.T) {
	for _, c := range []struct {
		client string
		r      limit.Reputation
		pass   int
		reply  string
		limit  string
	}{
		{"192.0.2.1", limit.Unknown, 30, "421 4.7.0 Too many connections in a short time from your address 192.0.2.1; at most 30 per minute; try again in 2 seconds. Reference ",
			"connections/client/unknown of 192.0.2.1: at most 30 per minute, 30 used, 2 seconds to wait"},
		{"192.0.2.1", limit.Known, 300, "421 4.7.0 Too many connections in a short time from your address 192.0.2.1; at most 300 per minute; try again in 1 second. Reference ",
			"connections/client/known of 192.0.2.1: at most 300 per minute, 300 used, 1 second to wait"},
		{"2001:db8::1", limit.Bad, 6, "421 4.7.0 Too many connections in a short time from your network 2001:db8::/64; at most 6 per minute; try again in 10 seconds. Reference ",
			"connections/client/bad of 2001:db8::/64: at most 6 per minute, 6 used, 10 seconds to wait"},
	} {
		t.Run(c.client+" "+c.r.String(), func(t *testing.T) {
			w := newRateWorld(t, limit.Defaults())
			synctest.Test(t, func(t *testing.T) {
				w.t = t
				w.d.Shaper = newShaper()
				for i := range c.pass {
					if v, f := w.connect(w.session(c.client, c.r)); v.Outcome != gateway.Accept || f.Result != gateway.Pass || len(f.Evidence) > 0 {
						t.Fatalf("connection %d: %s %+v", i, v.Explain(), f)
					}
				}
				v, f := w.connect(w.session(c.client, c.r))
				if v.Outcome != gateway.Drop || !strings.HasPrefix(v.Reply.String(), c.reply) {
					t.Errorf("%s, %q", v.Outcome, v.Reply)
				}
				if got := evidence(f, "limit"); got != c.limit {
					t.Errorf("evidence %q", got)
				}
				if f.RetryAfter <= 0 || f.RetryAfter > time.Minute {
					t.Errorf("retry after %v", f.RetryAfter)
				}
				time.Sleep(f.RetryAfter)
				if v, _ := w.connect(w.session(c.client, c.r)); v.Outcome != gateway.Accept {
					t.Errorf("after the wait it was told: %s", v.Explain())
				}
			})
		})
	}
}

// newShaper is one whose clock is that of the bubble.
func newShaper() *shaping.Stores { return shaping.New(limit.NewMemory(0), nil) }

// TestRateNetworks shows that a network is limited as a whole, that its limit is told, and that a known client in it is not
// held up by its neighbours.
func TestRateNetworks(t *testing.T) {
	w := newRateWorld(t, limit.Defaults())
	for i := range 90 {
		if v, _ := w.connect(w.session(fmt.Sprintf("192.0.2.%d", i%45), limit.Unknown)); v.Outcome != gateway.Accept {
			t.Fatalf("connection %d: %s", i, v.Explain())
		}
	}
	v, f := w.connect(w.session("192.0.2.63", limit.Unknown))
	if v.Outcome != gateway.Drop || !strings.Contains(v.Reply.Text, "from your network 192.0.2.0/26; at most 90 per minute") {
		t.Errorf("%s %q", v.Explain(), v.Reply)
	}
	if got := evidence(f, "limit"); !strings.HasPrefix(got, "connections/network/unknown of 192.0.2.0/26: at most 90 per minute, 90 used") {
		t.Errorf("evidence %q", got)
	}
	if v, _ := w.connect(w.session("192.0.2.63", limit.Known)); v.Outcome != gateway.Accept {
		t.Errorf("a known client beside them: %s", v.Explain())
	}
	if v, _ := w.connect(w.session("192.0.2.64", limit.Unknown)); v.Outcome != gateway.Accept {
		t.Errorf("a client beside the network: %s", v.Explain())
	}
	if got := w.d.Limited.All(); len(got) != 1 || got[0] != (RateCount{Limit: "connections/network/unknown", Denied: 1}) {
		t.Errorf("counted %+v", got)
	}
}

// TestRateExempt shows whom limits never refuse: trusted clients, those on the allow list, and, for messages, mail to those
// who must be reachable.
func TestRateExempt(t *testing.T) {
	w := newRateWorld(t, limit.Limits{one(limit.Client, limit.Connections), one(limit.Client, limit.Messages)})
	for range 3 {
		s := w.session("192.0.2.1", limit.Unknown)
		s.Trusted = true
		v, f := w.connect(s)
		if v.Outcome != gateway.Accept || f.Result != gateway.NotRun {
			t.Errorf("trusted: %s, %s", v.Explain(), f.Result)
		}
		if v, _ := w.mail(s, "<a@b.example>"); v.Outcome != gateway.Accept {
			t.Errorf("trusted: %s", v.Explain())
		}
	}
	s := w.session("192.0.2.1", limit.Unknown)
	w.mail(s, "<a@b.example>")
	v, e := w.mail(s, "<a@b.example>")
	if v.Outcome != gateway.Defer || v.Reason != gateway.RateMessages {
		t.Fatalf("the second message: %s", v.Explain())
	}
	for to, want := range map[string]gateway.Outcome{"<postmaster@served.example>": gateway.Accept, "<anna@served.example>": gateway.Defer} {
		e.Rcpts, e.Findings = []gateway.Recipient{recipientOf(t, w.d.Policy, to)}, e.Findings[:len(e.Findings):len(e.Findings)]
		in := input(s, e)
		in.Rcpt = 0
		if v := w.pl.Run(t.Context(), gateway.Rcpt, in); v.Rcpts[0].Outcome != want {
			t.Errorf("%s: %s, want %s", to, v.Rcpts[0].Outcome, want)
		}
	}
	d := &Deps{Rates: limit.Limits{one(limit.Client, limit.Connections)}}
	pl := build(t, entries("access.client", `network = "192.0.2.0/24"`+"\nlist = \"allow\""), d)
	for range 3 {
		s := from("192.0.2.1", "good.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		if v := pl.Run(t.Context(), gateway.Connect, input(s, nil)); v.Outcome != gateway.Accept {
			t.Errorf("allowed: %s", v.Explain())
		}
	}
}

// one is a limit of one an hour.
func one(d limit.Dimension, u limit.Unit) limit.Limit {
	hour := limit.Per(1, time.Hour)
	return limit.Limit{Dimension: d, Unit: u, Rates: [3]limit.Rate{hour, hour, hour}}
}

// TestRateObserved shows that what is only observed is told of, and decides nothing.
func TestRateObserved(t *testing.T) {
	row := one(limit.SenderDomain, limit.Messages)
	row.Observed = true
	w := newRateWorld(t, limit.Limits{row})
	s := w.session("192.0.2.1", limit.Unknown)
	w.mail(s, "<a@b.example>")
	for i := range 3 {
		v, e := w.mail(s, "<a@b.example>")
		f := found(t, e.Findings, "rate.messages")
		if v.Outcome != gateway.Accept || v.Would != nil || f.Result != gateway.Pass {
			t.Fatalf("%d: %s", i, v.Explain())
		}
		if got := evidence(f, "over, only observed"); got != "messages/sender-domain/unknown of b.example: at most 1 per hour, 1 used" {
			t.Errorf("evidence %q", got)
		}
	}
	if got := w.d.Limited.All(); len(got) != 1 || got[0] != (RateCount{Limit: "messages/sender-domain/unknown", Observed: 3}) {
		t.Errorf("counted %+v", got)
	}
	if v, e := w.mail(s, "<>"); v.Outcome != gateway.Accept || found(t, e.Findings, "rate.messages").Result != gateway.NotRun {
		t.Errorf("without a domain: %s", v.Explain())
	}
}

// TestRateOrganisation shows under whose name a client is counted: that of its verified reverse name, else of a HELO name that
// leads to it, and nobody's that it only says.
func TestRateOrganisation(t *testing.T) {
	server := dnslab.New(t, dnslab.Text("1.2.0.192.in-addr.arpa. PTR mx1.pool.example.\nmx1.pool.example. A 192.0.2.1\n"+
		"2.2.0.192.in-addr.arpa. PTR mx2.pool.example.\nmx2.pool.example. A 192.0.2.2\n"+
		"helo.other.example. A 192.0.2.3\nliar.example. A 198.51.100.9\n4.2.0.192.in-addr.arpa. PTR liar.example.\n"))
	d := &Deps{Resolver: patient(t, server), Rates: limit.Limits{one(limit.Organisation, limit.Messages)}}
	pl := build(t, "[checks.sender]\naction = \"off\"\n[checks.spf]\naction = \"off\"\n", d)
	for _, c := range []struct{ client, helo, over string }{
		{"192.0.2.1", "mx1.pool.example", ""},
		{"192.0.2.2", "elsewhere.example", "pool.example"},
		{"192.0.2.3", "helo.other.example", ""},
		{"192.0.2.3", "helo.other.example", "other.example"},
		{"192.0.2.3", "mx1.pool.example", "none"},
		{"192.0.2.4", "liar.example", "none"},
		{"192.0.2.5", "[192.0.2.5]", "none"},
		{"10.0.0.1", "mx1.pool.example", "none"},
	} {
		s := from(c.client, c.helo)
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		e := &gateway.Envelope{From: mailFrom(t, "<a@b.example>")}
		pl.Run(t.Context(), gateway.Helo, input(s, e))
		pl.Run(t.Context(), gateway.Mail, input(s, e))
		f := found(t, e.Findings, "rate.messages")
		switch {
		case c.over == "none" && f.Result != gateway.NotRun, c.over == "" && f.Result != gateway.Pass,
			c.over != "" && c.over != "none" && (f.Result != gateway.Fail || f.Args[0] != "from hosts of "+c.over):
			t.Errorf("%s as %s: %s %q, want %q over", c.client, c.helo, f.Result, f.Args, c.over)
		}
	}
}

// awayShaper cannot tell.
type awayShaper struct{}

func (awayShaper) Waits() bool { return true }

func (awayShaper) Do(_ context.Context, a *shaping.Ask) {
	for i := range a.Takes {
		a.Takes[i].Err = errors.New("no answer")
	}
	for i := range a.Tries {
		a.Tries[i].Err = errors.New("no answer")
	}
}

// TestRateAway shows that a store that fails refuses nobody, and that the mail says it was not counted.
func TestRateAway(t *testing.T) {
	w := newRateWorld(t, limit.Limits{one(limit.Client, limit.Connections), one(limit.Client, limit.Messages)})
	w.d.Shaper = awayShaper{}
	s := w.session("192.0.2.1", limit.Unknown)
	v, f := w.connect(s)
	if v.Outcome != gateway.Accept || f.Result != gateway.Unknown || f.Reason != gateway.RateAway || strings.Join(v.Marks, ",") != "rate.connections" {
		t.Errorf("%s, %+v, marks %v", v.Explain(), f, v.Marks)
	}
	if v, _ := w.mail(s, "<a@b.example>"); v.Outcome != gateway.Accept || strings.Join(v.Marks, ",") != "rate.connections,rate.messages" {
		t.Errorf("%s, marks %v", v.Explain(), v.Marks)
	}
}

// BenchmarkRates is all that limits cost a stranger's message with one recipient: connection, message, recipient and octets.
// None of its clients is over its limit.
func BenchmarkRates(b *testing.B) {
	d := &Deps{Rates: limit.Defaults(), Limited: &RateCounts{}}
	for i := range d.Rates { // as many keys, and room in each
		for r := range d.Rates[i].Rates {
			d.Rates[i].Rates[r] = limit.Per(1_000_000, time.Second)
		}
	}
	build(b, "[checks.greylist]\naction = \"off\"\n", d)
	s := from("192.0.2.1", "good.example")
	e := &gateway.Envelope{From: mailFrom(b, "<a@b.example>"), Rcpts: []gateway.Recipient{recipientOf(b, d.Policy, "<anna@served.example>")}}
	checks := []func(context.Context, *gateway.Input) gateway.Finding{d.runRateConnections, d.runRateMessages, d.runRateRecipients, d.runRateOctets}
	b.ReportAllocs()
	for b.Loop() {
		e.Facts = gateway.Facts{} // another message
		in := input(s, e)
		in.Rcpt = 0
		for _, check := range checks {
			if f := check(b.Context(), in); f.Result != gateway.Pass || len(f.Evidence) > 0 {
				b.Fatal(f)
			}
		}
	}
}

// BenchmarkRateRefusal is the Connect stage of a client that is over its limit, judged and worded.
func BenchmarkRateRefusal(b *testing.B) {
	d := &Deps{Rates: limit.Limits{one(limit.Client, limit.Connections), one(limit.Network, limit.Connections), one(limit.WideNetwork, limit.Connections)}, Limited: &RateCounts{}}
	pl := build(b, "", d)
	b.ReportAllocs()
	for first := true; b.Loop(); first = false {
		s := from("192.0.2.1", "good.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		v := pl.Run(b.Context(), gateway.Connect, input(s, nil))
		if !first && v.Outcome != gateway.Drop {
			b.Fatal(v.Explain())
		}
	}
}

// TestSeconds: a wait is rounded up, and one is no plural.
func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "1 second", 0: "1 second", time.Microsecond: "1 second", time.Second: "1 second",
		time.Second + 1: "2 seconds", 2 * time.Minute: "120 seconds"} {
		if got := Seconds(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
