package filters

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/greylist"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/limit"
	"gatepost/internal/shaping"
)

// strangers is the world of these tests.
func strangers(t testing.TB) *dnslab.Server {
	s := dnslab.New(t, dnslab.Text(`
good.example.           A 192.0.2.1
good.example.           MX 10 good.example.
good.example.           TXT "v=spf1 ip4:192.0.2.0/24 -all"
1.2.0.192.in-addr.arpa. PTR good.example.
3.2.0.192.in-addr.arpa. PTR pool-192-0-2-3.isp.example.
pool-192-0-2-3.isp.example. A 192.0.2.3
4.2.0.192.in-addr.arpa. PTR vps77.host.example.
vps77.host.example.     A 192.0.2.4
bare.example.           A 192.0.2.9
soft.example.           A 192.0.2.9
soft.example.           TXT "v=spf1 ip4:203.0.113.1 ~all"
wide.test.              A 192.0.2.9
wide.test.              TXT "v=spf1 ip4:192.0.0.0/15 -all"
all.test.               A 192.0.2.9
all.test.               TXT "v=spf1 +all"
lost.example.           A 192.0.2.9
fail.test.              A 192.0.2.9
fail.test.              TXT "v=spf1 ip4:203.0.113.1 -all"
eight.example.          A 192.0.2.8
`))
	s.SetFault("5.2.0.192.in-addr.arpa", dnslab.Fault{Kind: dnslab.ServFail})
	s.SetFault("lost.example", dnslab.Fault{Kind: dnslab.ServFail, Type: "TXT"})
	return s
}

// visit is one transaction of a client, up to RCPT.
type visit struct {
	client, helo, from string
	to                 []string
	session            func(*gateway.Session)
}

// arrive runs the stages up to RCPT as the edge does, and returns what the last recipient was told, and the finding of a
// check about it.
func (v visit) arrive(t testing.TB, d *Deps, pl *gateway.Pipeline, check string) (gateway.Finding, gateway.Reply, *gateway.Envelope) {
	t.Helper()
	s := from(v.client, v.helo)
	s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	if v.session != nil {
		v.session(s)
	}
	pl.Run(t.Context(), gateway.Connect, &gateway.Input{Session: s, Rcpt: -1})
	e := &gateway.Envelope{From: mailFrom(t, v.from)}
	in := input(s, e)
	pl.Run(t.Context(), gateway.Helo, in)
	pl.Run(t.Context(), gateway.Mail, in)
	var reply gateway.Reply
	for i, to := range v.to {
		e.Rcpts = append(e.Rcpts, recipientOf(t, d.Policy, "<"+to+">"))
		in.Rcpt = i
		verdict := pl.Run(t.Context(), gateway.Rcpt, in)
		if _, reply = verdict.Rcpt(i, e.ID); reply.IsZero() {
			reply = gateway.SayRcptOK.Reply()
		}
		e.Rcpts[i].Reply = reply
	}
	for i := len(e.Findings) - 1; i >= 0; i-- {
		if e.Findings[i].Check == check {
			return e.Findings[i], reply, e
		}
	}
	t.Fatalf("no finding of %s", check)
	return gateway.Finding{}, reply, e
}

// known is what was learned of domains.
type knownDomains map[string]gateway.KnownDomain

func (k knownDomains) Domain(a string) gateway.KnownDomain   { return k[a] }
func (k knownDomains) Path(p gateway.Path) gateway.KnownPath { return gateway.KnownPath{Path: p} }
func passed(domains ...string) (k knownDomains) {
	k = knownDomains{}
	for _, d := range domains {
		k[d] = gateway.KnownDomain{Passed: time.Now().Add(-time.Hour), Passes: 1}
	}
	return k
}

const rcptOff = "[checks.rcpt]\naction = \"off\"\n"

// TestWhoWaits is who is greylisted by default, and who never is.
func TestWhoWaits(t *testing.T) {
	s := strangers(t)
	known := func(c *gateway.Session) { c.Conduct.Known, c.Conduct.Proven = true, true }
	for _, c := range []struct {
		name  string
		visit visit
		known knownDomains
		waits bool
		shows string // in the evidence
	}{
		{"a bot", visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>"}, nil, true, "identity: net:192.0.2.0/24"},
		{"its parts", visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>"}, nil, true, "first seen 1, no SPF 1"},
		{"first seen and no SPF do not suffice", visit{client: "192.0.2.1", helo: "good.example", from: "<a@bare.example>"}, nil, false, "suspicion: 2 of 4"},
		{"no reverse name, but SPF", visit{client: "192.0.2.8", helo: "eight.example", from: "<a@good.example>"}, nil, false, "suspicion: 3 of 4"},
		{"a pool's name", visit{client: "192.0.2.3", helo: "pool-192-0-2-3.isp.example", from: "<a@bare.example>"}, nil, true, "generic name 2"},
		{"a pool's name and SPF", visit{client: "192.0.2.3", helo: "nowhere.example", from: "<a@good.example>"}, nil, true, "identity: spf:good.example"},
		{"reverse name and SPF", visit{client: "192.0.2.1", helo: "nowhere.example", from: "<a@good.example>"}, nil, false, ""},
		{"seen before", visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>", session: known}, nil, true, "no SPF 1"},
		// It has passed the test before the banner by its second try, and must not have less suspicion for it.
		{"silent before the banner", visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>", session: func(s *gateway.Session) { s.Conduct.Known = true }}, nil, true, "first seen 1"},
		{"softfail", visit{client: "192.0.2.9", helo: "bot.example", from: "<a@soft.example>"}, nil, true, "suspicion"},
		{"a domain that passed, with SPF now", visit{client: "192.0.2.8", helo: "bot", from: "<a@good.example>"}, passed("good.example"), false, "passed DMARC lately"},
		{"a domain that passed, without SPF now", visit{client: "198.51.100.8", helo: "bot", from: "<a@good.example>"}, passed("good.example"), true, "first seen 1"},
		{"a domain that passed, and lets all pass", visit{client: "192.0.2.9", helo: "bot", from: "<a@all.test>"}, passed("all.test"), true, "wide record: mail as from all.test"},
		{"a domain that passed, and lets many pass", visit{client: "192.0.2.9", helo: "bot", from: "<a@wide.test>"}, passed("wide.test"), true, "identity: net:192.0.2.0/24"},
		{"one that lets all pass, of no suspect", visit{client: "192.0.2.1", helo: "good.example", from: "<a@all.test>"}, passed("all.test"), false, "passed DMARC lately"},
		{"wide SPF", visit{client: "192.0.2.9", helo: "bot", from: "<a@wide.test>"}, nil, true, "identity: net:192.0.2.0/24"},
		{"a rented host", visit{client: "192.0.2.4", helo: "bot", from: "<a@fail.test>"}, nil, true, "identity: net:192.0.2.0/24"},
		{"DNS that cannot tell is no suspicion", visit{client: "192.0.2.5", helo: "good.example", from: "<a@lost.example>"}, nil, false, ""},
		{"inside", visit{client: "10.1.2.3", helo: "printer", from: "<a@bare.example>"}, nil, false, ""},
		{"trusted", visit{client: "192.0.2.9", helo: "bot", from: "<a@bare.example>", session: func(s *gateway.Session) { s.Trusted = true }}, nil, false, ""},
		{"postmaster", visit{client: "192.0.2.9", helo: "bot", from: "<a@bare.example>", to: []string{"Postmaster@served.example"}}, nil, false, ""},
		{"abuse", visit{client: "192.0.2.9", helo: "bot", from: "<a@bare.example>", to: []string{"abuse@served.example"}}, nil, false, ""},
		{"a bounce", visit{client: "192.0.2.9", helo: "bot", from: "<>"}, nil, false, ""},
		{"a list of good senders", visit{client: "192.0.2.9", helo: "bot", from: "<a@bare.example>", session: func(s *gateway.Session) {
			s.Findings = append(s.Findings, gateway.Finding{Check: "rbl.client", Result: gateway.Pass, Measures: []gateway.Measure{{Name: "listed", Value: -2}}})
		}}, nil, false, "list of good senders"},
	} {
		d := &Deps{Resolver: patient(t, s), Known: c.known}
		pl := build(t, rcptOff, d)
		if c.visit.to == nil {
			c.visit.to = []string{"anna@served.example"}
		}
		f, reply, _ := c.visit.arrive(t, d, pl, "greylist")
		if (f.Result == gateway.Fail) != c.waits || (reply.Code == 451) != c.waits {
			t.Errorf("%s: %s %s, %s: %v", c.name, f.Result, f.Reason, reply, f.Evidence)
		}
		shown := ""
		for _, e := range f.Evidence {
			shown += e.Name + ": " + e.Text + "\n"
		}
		if !strings.Contains(shown, c.shows) {
			t.Errorf("%s: shows %q, want %q", c.name, shown, c.shows)
		}
	}
}

// TestSpokenFor: of whom reputation speaks well is not seen for the first time.
func TestSpokenFor(t *testing.T) {
	d := &Deps{Resolver: patient(t, strangers(t))}
	build(t, rcptOff, d)
	for _, c := range []struct {
		value float64
		seen  bool
		shows string
	}{{-1, true, "0.5 of 4: found -0.5, no SPF 1"}, {1, false, "2.5 of 4: found 0.5, first seen 1, no SPF 1"}} {
		e := &gateway.Envelope{From: mailFrom(t, "<a@bare.example>"), Findings: []gateway.Finding{{Check: "reputation", Result: gateway.Pass,
			Measures: []gateway.Measure{{Name: "good", Value: c.value}}}}}
		g := d.guest(t.Context(), input(from("192.0.2.1", "good.example"), e))
		if g.seen != c.seen || !strings.Contains(g.suspicion, c.shows) || g.suspect {
			t.Errorf("%+v", g)
		}
	}
}

// TestModes is who waits by the mode of the recipient, its domain, and all.
func TestModes(t *testing.T) {
	s := strangers(t)
	bot := visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>"}
	good := visit{client: "192.0.2.1", helo: "good.example", from: "<a@good.example>"}
	const entries = `[[checks.greylist.for]]
domain = ".wide.example"
mode = "everyone"
[[checks.greylist.for]]
domain = "wide.example"
mode = "off"
owner = "anna"
[[checks.greylist.for]]
recipient = "Sales@wide.example"
mode = "suspicious"
[[checks.greylist.for]]
recipient = "old@wide.example"
mode = "everyone"
expires = "2020-01-01"
`
	for _, c := range []struct {
		name, policy string
		visit        visit
		to           string
		waits        bool
	}{
		{"off", "[checks.greylist]\nmode = \"off\"\n", bot, "anna@served.example", false},
		{"check off", "[checks.greylist]\naction = \"off\"\n", bot, "anna@served.example", false},
		{"observed", "[checks.greylist]\naction = \"observe\"\n", bot, "anna@served.example", false},
		{"everyone", "[checks.greylist]\nmode = \"everyone\"\n", good, "anna@served.example", true},
		{"allowed", "[checks.greylist]\nmode = \"everyone\"\n[[checks.access.client.entry]]\nnetwork = \"192.0.2.0/24\"\nlist = \"allow\"\n", good, "anna@served.example", false},
		{"a domain that is off", entries, bot, "anna@wide.example", false},
		{"the one for all", entries, bot, "anna@served.example", true},
		{"below a domain", entries, good, "anna@a.wide.example", true},
		{"a recipient", entries, bot, "sales@WIDE.example", true},
		{"a recipient, not suspect", entries, good, "sales@wide.example", false},
		{"an entry that is over", entries, bot, "old@wide.example", false},
		{"more suspicion", "[checks.greylist]\nsuspicion = 12\n", bot, "anna@served.example", false},
		{"never alone", "[checks.greylist]\nsuspicion = 1\nfirst_seen = 5\nspf_none = 5\n", visit{client: "192.0.2.1", helo: "good.example", from: "<a@bare.example>"}, "anna@served.example", false},
	} {
		d := &Deps{Resolver: patient(t, s)}
		pl := build(t, rcptOff+c.policy, d)
		c.visit.to = []string{c.to}
		if f, reply, _ := c.visit.arrive(t, d, pl, "greylist"); (reply.Code == 451) != c.waits {
			t.Errorf("%s: %s, %s %v", c.name, reply, f.Result, f.Evidence)
		}
	}
}

// counting is a shaper that counts what it is asked and waits, or not.
type counting struct {
	*shaping.Stores
	waits        bool
	calls, tries int
}

func (c *counting) Do(ctx context.Context, a *shaping.Ask) {
	c.calls, c.tries = c.calls+1, c.tries+len(a.Tries)
	c.Stores.Do(ctx, a)
}
func (c *counting) Waits() bool { return c.waits }

// TestGreylistStory is a stranger that is told to wait, comes too early, comes in time, and is known from then on.
func TestGreylistStory(t *testing.T) {
	store := greylist.NewMemory(0)
	shaper := &counting{Stores: shaping.New(limit.NewMemory(0), store)}
	d := &Deps{Resolver: patient(t, strangers(t)), Shaper: shaper}
	pl := build(t, rcptOff, d)
	bot := visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>", to: []string{"anna@served.example"}}
	f, reply, _ := bot.arrive(t, d, pl, "greylist")
	if reply.Code != 451 || reply.Enhanced != "4.7.1" || !strings.Contains(reply.Text, "in 120 seconds") || f.RetryAfter != 2*time.Minute {
		t.Fatalf("first: %s, %v", reply, f)
	}
	key, err := greylist.ParseKey(evidence(f, EvidenceGreylistKey))
	if err != nil || evidence(f, "greylist") != "first" {
		t.Fatalf("%v: %v", err, f.Evidence)
	}
	if f, reply, _ = bot.arrive(t, d, pl, "greylist"); reply.Code != 451 || evidence(f, "greylist") != "early" {
		t.Fatalf("early: %s, %v", reply, f.Evidence)
	}
	// A person can release it.
	if ok, err := store.Release(t.Context(), key, d.greylist.settings, time.Now()); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if f, reply, _ = bot.arrive(t, d, pl, "greylist"); reply.Code != 250 || f.Result != gateway.Pass || len(f.Measures) > 0 {
		t.Fatalf("released: %s, %v", reply, f)
	}
	// It comes back after an hour.
	bot.to = []string{"bob@served.example"}
	key = d.Keyer.Key("net:192.0.2.0/24", "a@bare.example", "bob@served.example")
	if a, err := store.Try(t.Context(), key, d.greylist.settings, time.Now().Add(-time.Hour)); err != nil || a.Outcome != greylist.First {
		t.Fatal(a, err)
	}
	if f, reply, _ = bot.arrive(t, d, pl, "greylist"); reply.Code != 250 || len(f.Measures) != 1 || f.Measures[0].Name != "waited" || f.Measures[0].Value < 3600 {
		t.Fatalf("waited: %s, %v", reply, f)
	}
	if f, _, _ = bot.arrive(t, d, pl, "greylist"); evidence(f, "greylist") != "known" || len(f.Measures) > 0 {
		t.Fatalf("known: %v", f)
	}
	// Each recipient is asked for, each in one step, and the check costs no goroutine.
	shaper.calls, shaper.tries = 0, 0
	bot.to = []string{"a@served.example", "b@served.example", "postmaster@served.example", "c@served.example"}
	if bot.arrive(t, d, pl, "greylist"); shaper.calls != 3 || shaper.tries != 3 {
		t.Errorf("%d calls, %d tries", shaper.calls, shaper.tries)
	}
}

// TestGreylistWaitsForNobody: of a sender that need not wait nobody is asked, whoever keeps the greylist, and the check costs
// no goroutine; of one that has to, it waits for the store.
func TestGreylistWaitsForNobody(t *testing.T) {
	for _, waits := range []bool{false, true} {
		shaper := &counting{Stores: shaping.New(limit.NewMemory(0), greylist.NewMemory(0)), waits: waits}
		d := &Deps{Resolver: patient(t, strangers(t)), Shaper: shaper}
		pl := build(t, rcptOff, d)
		for _, c := range []struct {
			visit visit
			ready bool
			calls int
		}{
			{visit{client: "192.0.2.1", helo: "good.example", from: "<a@good.example>"}, true, 0},
			{visit{client: "10.1.2.3", helo: "printer", from: "<a@good.example>"}, true, 0},
			{visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>"}, !waits, 1},
		} {
			shaper.calls = 0
			c.visit.to = []string{"anna@served.example"}
			_, _, e := c.visit.arrive(t, d, pl, "greylist")
			in := input(e.Session, e)
			in.Rcpt = 0
			if ready := d.greylistReady(in); ready != c.ready || shaper.calls != c.calls {
				t.Errorf("%+v, waits %t: ready %t, %d calls", c.visit, waits, ready, shaper.calls)
			}
		}
	}
}

// TestBreadthWaits: how much a record covers may have to be looked up, of a suspect only; that is no check that waits for
// nobody, and it is when it is known.
func TestBreadthWaits(t *testing.T) {
	for _, c := range []struct {
		what   string
		visit  visit
		waits  bool // the store
		before bool // ready before it is looked up
		after  bool
	}{
		{"no suspect", visit{client: "192.0.2.1", helo: "good.example", from: "<a@good.example>"}, true, true, true},
		{"narrow", visit{client: "192.0.2.8", helo: "bot", from: "<a@good.example>"}, true, false, true},
		{"wide", visit{client: "192.0.2.9", helo: "bot", from: "<a@all.test>"}, true, false, false},
		{"wide, a store in memory", visit{client: "192.0.2.9", helo: "bot", from: "<a@all.test>"}, false, false, true},
	} {
		d := &Deps{Resolver: patient(t, strangers(t)), Known: passed("good.example", "all.test"),
			Shaper: &counting{Stores: shaping.New(limit.NewMemory(0), greylist.NewMemory(0)), waits: c.waits}}
		pl := build(t, rcptOff, d)
		s := from(c.visit.client, c.visit.helo)
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
		e := &gateway.Envelope{From: mailFrom(t, c.visit.from), Rcpts: []gateway.Recipient{recipientOf(t, d.Policy, "<anna@served.example>")}}
		in := input(s, e)
		in.Rcpt = -1
		for _, stage := range []gateway.Stage{gateway.Connect, gateway.Helo, gateway.Mail} {
			pl.Run(t.Context(), stage, in)
		}
		in.Rcpt = 0
		if got := d.greylistReady(in); got != c.before {
			t.Errorf("%s: before: %t", c.what, got)
		}
		if c.before && gateway.Known(&e.Facts, factBreadth) {
			t.Errorf("%s: looked up for nobody", c.what)
		}
		d.runGreylist(t.Context(), in)
		if got := d.greylistReady(in); got != c.after {
			t.Errorf("%s: after: %t", c.what, got)
		}
	}
}

// brokenShaper is a shaper that cannot be asked.
type brokenShaper struct{ panics bool }

func (b brokenShaper) Do(_ context.Context, a *shaping.Ask) {
	if b.panics {
		panic("broken")
	}
	for i := range a.Tries {
		a.Tries[i] = shaping.Try{Err: context.DeadlineExceeded}
	}
}
func (brokenShaper) Waits() bool { return true }

// TestGreylistAway: what cannot be asked holds nobody, unless policy says so.
func TestGreylistAway(t *testing.T) {
	for _, c := range []struct {
		policy string
		panics bool
		code   int
	}{{"", false, 250}, {"", true, 250}, {"[checks.greylist]\nunknown = \"defer\"\n", false, 451}, {"[checks.greylist]\nunknown = \"defer\"\n", true, 451}} {
		d := &Deps{Resolver: patient(t, strangers(t)), Shaper: brokenShaper{c.panics}}
		pl := build(t, rcptOff+c.policy, d)
		bot := visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>", to: []string{"anna@served.example"}}
		f, reply, _ := bot.arrive(t, d, pl, "greylist")
		if reply.Code != c.code || f.Result != gateway.Unknown {
			t.Errorf("%+v: %s, %s", c, reply, f.Result)
		}
	}
}

// TestNullGreylist: RCPT of a bounce never waits, so that others can verify our addresses; the bounce of a suspect stranger
// does, when it is there.
func TestNullGreylist(t *testing.T) {
	s := strangers(t)
	const mild = "[[checks.greylist.for]]\ndomain = \"wide.example\"\nmode = \"off\"\n"
	for _, c := range []struct {
		name, policy string
		visit        visit
		waits        bool
	}{
		{"a bot", "", visit{client: "192.0.2.9", helo: "bot.example", to: []string{"b@served.example", "a@served.example"}}, true},
		{"a good host", "", visit{client: "192.0.2.1", helo: "good.example", to: []string{"a@served.example"}}, false},
		{"postmaster among them", "", visit{client: "192.0.2.9", helo: "bot.example", to: []string{"a@served.example", "postmaster@served.example"}}, false},
		{"one that never lets wait", mild, visit{client: "192.0.2.9", helo: "bot.example", to: []string{"a@served.example", "a@wide.example"}}, false},
		{"greylisting is off", "[checks.greylist]\naction = \"off\"\n", visit{client: "192.0.2.9", helo: "bot.example", to: []string{"a@served.example"}}, false},
		{"this check is off", "[checks.greylist.null]\naction = \"off\"\n", visit{client: "192.0.2.9", helo: "bot.example", to: []string{"a@served.example"}}, false},
		{"not of <>", "[checks.greylist]\naction = \"observe\"\n", visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>", to: []string{"a@served.example"}}, false},
		{"inside", "", visit{client: "10.1.2.3", helo: "printer", to: []string{"a@served.example"}}, false},
	} {
		d := &Deps{Resolver: patient(t, s)}
		pl := build(t, rcptOff+"[checks.clamav]\naction = \"off\"\n[checks.spamassassin]\naction = \"off\"\n"+c.policy, d)
		if c.visit.from == "" {
			c.visit.from = "<>"
		}
		for round, want := range []string{"first", "early"} {
			_, reply, e := c.visit.arrive(t, d, pl, "rcpt")
			if reply.Code != 250 {
				t.Errorf("%s: RCPT is told %s", c.name, reply)
			}
			// The other recipient first, the next time: it is the same bounce.
			slices.Reverse(c.visit.to)
			text := dataOf(t, "From: a@bare.example\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\n\r\nx\r\n")
			e.Body, e.Header = text.Body, text.Header
			v := pl.Run(t.Context(), gateway.Data, input(e.Session, e))
			if (v.Outcome == gateway.Defer) != c.waits || c.waits && v.Reason != gateway.GreylistWait {
				t.Errorf("%s, round %d: %s", c.name, round, v.Explain())
			}
			for _, f := range e.Findings {
				if c.waits && f.Check == "greylist.null" && evidence(f, "greylist") != want {
					t.Errorf("%s, round %d: %v", c.name, round, f.Evidence)
				}
			}
		}
	}
}

// BenchmarkGreylist is the row of limits and greylist for one recipient of a stranger: one that is not suspect, one that
// waits, and one that is known. What DNS says is there already.
func BenchmarkGreylist(b *testing.B) {
	s := strangers(b)
	for _, c := range []struct {
		name  string
		visit visit
	}{
		{"calm", visit{client: "192.0.2.1", helo: "good.example", from: "<a@good.example>"}},
		{"suspect", visit{client: "192.0.2.9", helo: "bot.example", from: "<a@bare.example>"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := &Deps{Resolver: patient(b, s), Rates: limit.Defaults()}
			pl := build(b, rcptOff, d)
			c.visit.to = []string{"anna@served.example"}
			_, _, e := c.visit.arrive(b, d, pl, "greylist")
			known, evaluated := len(e.Findings)-3, d.spfMail(b.Context(), e)
			in := input(e.Session, e)
			in.Rcpt = 0
			b.ReportAllocs()
			for b.Loop() {
				// A new transaction with the same facts: those of the greylist and of the step are made anew.
				next := &gateway.Envelope{ID: e.ID, Session: e.Session, Started: e.Started, From: e.From, Rcpts: e.Rcpts, Findings: e.Findings[:known:known]}
				gateway.Fact(&next.Facts, factSPF, func() spfAnswer { return evaluated })
				in.Envelope = next
				d.runRateRecipients(b.Context(), in)
				d.runGreylist(b.Context(), in)
			}
		})
	}
}
