package filters

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/internal/dmarc"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/limit"
	known "gatepost/internal/memory"
	"gatepost/internal/reputation"
	"gatepost/internal/shaping"
)

// village is the world of these tests.
func village(t testing.TB) *dnslab.Server {
	return dnslab.New(t, dnslab.Text(`
good.example.            MX 10 mail.good.example.
old.good.example.        A 198.51.100.66
old.good.example.        TXT "v=spf1 ip4:198.51.100.66 -all"
good.example.            TXT "v=spf1 ip4:192.0.2.0/24 -all"
mail.good.example.       A 192.0.2.1
1.2.0.192.in-addr.arpa.  PTR mail.good.example.
3.2.0.192.in-addr.arpa.  PTR pool-192-0-2-3.isp.example.
pool-192-0-2-3.isp.example. A 192.0.2.3
4.2.0.192.in-addr.arpa.  PTR vps77.host.example.
vps77.host.example.      A 192.0.2.4
5.2.0.192.in-addr.arpa.  PTR mail.good.example.
many.example.            A 192.0.2.1
many.example.            TXT "v=spf1 ip4:192.0.0.0/15 -all"
all.example.             A 192.0.2.1
all.example.             TXT "v=spf1 +all"
two.example.             A 192.0.2.1
two.example.             TXT "v=spf1 ip4:192.0.2.0/24 -all"
evil.example.            A 198.51.100.66
evil.example.            TXT "v=spf1 ip4:198.51.100.66 -all"
`))
}

// street is the past of some people, and the checks that look at it.
type street struct {
	t     testing.TB
	d     *Deps
	pl    *gateway.Pipeline
	store *known.Reputation
}

func newStreet(t testing.TB, policy string, d *Deps) *street {
	s := &street{t: t, store: known.NewReputation(known.ReputationOptions{}), d: d}
	if d.Resolver == nil {
		d.Resolver = patient(t, village(t))
	}
	d.Reputation = shaping.NewReputation(s.store)
	d.Rates = limit.Defaults()
	s.pl = build(t, policy, d)
	return s
}

// was gives a subject a past that makes it known or bad.
func (s *street) was(standing reputation.Standing, subject string) {
	s.t.Helper()
	of, err := reputation.Parse(subject)
	if err != nil || len(of) != 1 {
		s.t.Fatal(subject, err)
	}
	now := time.Now()
	for day := range 6 {
		c := reputation.Counts{reputation.Accepted: 3 * reputation.One}
		if standing == reputation.Bad {
			c = reputation.Counts{reputation.Spam: 3 * reputation.One}
		}
		if _, err := s.store.Learn(s.t.Context(), []reputation.Lesson{{Subject: of[0], Counts: c}}, now.Add(time.Duration(day-6)*24*time.Hour+time.Hour)); err != nil {
			s.t.Fatal(err)
		}
	}
	if h := s.d.Reputation.Own(of[0]); h.At(now).Standing != standing {
		s.t.Fatalf("%s is %s", subject, h.Tell(now))
	}
}

// TestReputation is what the check finds, what it costs, and how limits see the client.
func TestReputation(t *testing.T) {
	names := village(t)
	const bad, known = reputation.Bad, reputation.Known
	mail := visit{client: "192.0.2.1", helo: "mail.good.example", from: "<a@good.example>"}
	with := func(client, sender string) visit { return visit{client: client, helo: "x.example", from: sender} }
	for _, c := range []struct {
		name    string
		visit   visit
		past    map[string]reputation.Standing
		policy  string
		finds   string // the measure
		args    string
		limits  limit.Reputation
		shows   []string
		without string // is not shown
	}{
		{name: "a stranger", visit: mail, shows: []string{"client: 192.0.2.1\n", "network: 192.0.2.0/24\n", "organisation: good.example\n", "domain: good.example\n"}},
		{name: "a bad client", visit: mail, past: map[string]reputation.Standing{"client:192.0.2.1": bad}, finds: "bad", args: "192.0.2.1", limits: limit.Bad,
			shows: []string{"client: 192.0.2.1: bad: accepted 0, spam 1"}},
		{name: "a known client", visit: mail, past: map[string]reputation.Standing{"client:192.0.2.1": known}, finds: "good", limits: limit.Known,
			shows: []string{"client: 192.0.2.1: known: accepted 1", "on 5.", "good, 0 bad"}},
		{name: "a stranger in a bad network", visit: mail, past: map[string]reputation.Standing{"network:192.0.2.0/24": bad}, finds: "near"},
		{name: "a stranger in a known network", visit: mail, past: map[string]reputation.Standing{"network:192.0.2.0/24": known}},
		{name: "a known client in a bad network", visit: mail, past: map[string]reputation.Standing{"network:192.0.2.0/24": bad, "client:192.0.2.1": known}, finds: "good", limits: limit.Known},
		{name: "a bad organization", visit: mail, past: map[string]reputation.Standing{"organisation:good.example": bad}, finds: "near"},
		{name: "a known organization", visit: mail, past: map[string]reputation.Standing{"organisation:good.example": known}, finds: "good"},
		{name: "a known domain", visit: mail, past: map[string]reputation.Standing{"domain:good.example": known}, finds: "good"},
		{name: "a bad domain", visit: mail, past: map[string]reputation.Standing{"domain:good.example": bad}, finds: "bad", args: "good.example"},
		{name: "a bad domain of a known client", visit: mail, past: map[string]reputation.Standing{"domain:good.example": bad, "client:192.0.2.1": known}, limits: limit.Known},
		{name: "a bad domain at a bad host", visit: mail, past: map[string]reputation.Standing{"domain:good.example": bad, "client:192.0.2.1": bad}, finds: "bad", args: "good.example", limits: limit.Bad},
		{name: "a bad domain at a host of a known organization", visit: mail, past: map[string]reputation.Standing{"domain:good.example": bad, "organisation:good.example": known}, finds: "bad", args: "good.example"},
		{name: "a known domain at a bad host", visit: mail, past: map[string]reputation.Standing{"domain:good.example": known, "client:192.0.2.1": bad}, limits: limit.Bad},
		{name: "a known organization's bad host", visit: mail, past: map[string]reputation.Standing{"organisation:good.example": known, "client:192.0.2.1": bad}, finds: "bad", args: "192.0.2.1", limits: limit.Bad},
		{name: "a known domain, forged", visit: with("198.51.100.66", "<a@good.example>"), past: map[string]reputation.Standing{"domain:good.example": known}, without: "good.example"},
		{name: "a bad domain, forged", visit: with("198.51.100.66", "<a@good.example>"), past: map[string]reputation.Standing{"domain:good.example": bad}, without: "good.example"},
		{name: "a bad domain that many may send for", visit: with("192.0.2.1", "<a@many.example>"), past: map[string]reputation.Standing{"domain:many.example": bad}, shows: []string{"wide record: "}},
		{name: "a known domain that everybody may send for", visit: with("192.0.2.1", "<a@all.example>"), past: map[string]reputation.Standing{"domain:all.example": known}, without: "all.example"},
		{name: "a bounce", visit: with("192.0.2.1", "<>"), past: map[string]reputation.Standing{"domain:good.example": bad}, without: "domain"},
		{name: "a provider's name for a line", visit: with("192.0.2.3", "<a@two.example>"), past: map[string]reputation.Standing{"organisation:isp.example": bad}, without: "isp.example"},
		{name: "a rented host", visit: with("192.0.2.4", "<a@two.example>"), past: map[string]reputation.Standing{"organisation:host.example": bad}, without: "host.example"},
		{name: "a reverse name that does not lead back", visit: with("192.0.2.5", "<a@two.example>"), past: map[string]reputation.Standing{"organisation:good.example": known}, without: "good.example"},
		{name: "off", visit: mail, past: map[string]reputation.Standing{"client:192.0.2.1": bad}, policy: "[checks.reputation]\naction = \"off\"\n", without: "192.0.2.1"},
		{name: "observed", visit: mail, past: map[string]reputation.Standing{"client:192.0.2.1": bad}, policy: "[checks.reputation]\naction = \"observe\"\n", finds: "bad", args: "192.0.2.1"},
		{name: "inside", visit: with("10.1.2.3", "<a@two.example>"), past: map[string]reputation.Standing{"client:10.1.2.3": bad}, without: "10.1.2.3: bad"},
		{name: "trusted", visit: visit{client: "192.0.2.1", helo: "x", from: "<a@two.example>", session: func(s *gateway.Session) { s.Trusted = true }},
			past: map[string]reputation.Standing{"client:192.0.2.1": bad}, without: "192.0.2.1"},
	} {
		s := newStreet(t, rcptOff+c.policy, &Deps{Resolver: patient(t, names)})
		for subject, standing := range c.past {
			s.was(standing, subject)
		}
		f, _, e := c.visit.arrive(t, s.d, s.pl, "reputation")
		shown := ""
		for _, v := range f.Evidence {
			shown += v.Name + ": " + v.Text + "\n"
		}
		if got := strings.Join(measured(f), ","); got != c.finds || strings.Join(f.Args, ",") != c.args || (f.Result == gateway.Fail) != (c.finds == "bad") {
			t.Errorf("%s: %s %v %v, %s", c.name, f.Result, measured(f), f.Args, shown)
		}
		for _, want := range c.shows {
			if !strings.Contains(shown, want) {
				t.Errorf("%s: %q is not shown in\n%s", c.name, want, shown)
			}
		}
		if c.without != "" && strings.Contains(shown, c.without) {
			t.Errorf("%s: shows %q:\n%s", c.name, c.without, shown)
		}
		if got := s.d.standing(e.Session); got != c.limits {
			t.Errorf("%s: for limits %s, want %s", c.name, got, c.limits)
		}
	}
}

// TestReputationDecides is what a past leads to: by default nobody is refused for it; and a good one lets nothing be left out.
func TestReputationDecides(t *testing.T) {
	mail := visit{client: "192.0.2.1", helo: "mail.good.example", from: "<a@good.example>", to: []string{"anna@served.example"}}
	exists := answers{"anna@served.example": {Kind: recipients.Known}, "nobody@served.example": {Kind: recipients.Unknown}}
	for _, c := range []struct {
		name, policy string
		past         reputation.Standing
		to           string
		code         int
		says         string
		suspicion    float64
	}{
		{"bad", "", reputation.Bad, "anna@served.example", 250, "", 2},
		{"known", "", reputation.Known, "anna@served.example", 250, "", -0.5},
		{"bad, and refused by the operator", "[checks.reputation]\naction = \"reject\"\n", reputation.Bad, "anna@served.example", 550, "most of what 192.0.2.1 sent", 2},
		{"prices of one's own", "[checks.reputation.prices]\nbad = 0\n", reputation.Bad, "anna@served.example", 250, "", 0},
		{"known, and relaying", "", reputation.Known, "a@elsewhere.example", 550, "Relaying denied", -0.5},
		{"known, and nobody there", "", reputation.Known, "nobody@served.example", 550, "No such recipient", -0.5},
		{"known, and blocked", "[[checks.access.client.entry]]\nnetwork = \"192.0.2.1/32\"\nlist = \"block\"\n", reputation.Known, "anna@served.example", 554, "block list", 0},
	} {
		s := newStreet(t, c.policy, &Deps{Recipients: exists})
		s.was(c.past, "client:192.0.2.1")
		mail.to = []string{c.to}
		_, reply, e := mail.arrive(t, s.d, s.pl, "reputation")
		if reply.Code != c.code || !strings.Contains(reply.Text, c.says) {
			t.Errorf("%s: %s", c.name, reply)
		}
		if got := s.d.Policy.Suspicion(e.Session, e); got != c.suspicion {
			t.Errorf("%s: suspicion %v, want %v", c.name, got, c.suspicion)
		}
	}
}

// letter is what a message brought, and what became of it.
type letter struct {
	spamd    float64
	virus    bool
	dmarc    string // its result, aligned by SPF
	byDKIM   bool   // aligned by DKIM alone
	path     gateway.Path
	unscaned bool // a scanner did not answer
	again    bool // the next hop is away
}

// send brings a message to the check, and learns of it at a time as the learner does.
func (s *street) send(v visit, l letter, at time.Time, trusted ...gateway.Path) *gateway.Event {
	s.t.Helper()
	if v.to == nil {
		v.to = []string{"anna@served.example"}
	}
	_, _, e := v.arrive(s.t, s.d, s.pl, "reputation")
	event := s.event(e, l)
	lessons := ReputationLessons(event, s.d.Policy, func(p gateway.Path) bool { return slices.Contains(trusted, p) })
	if _, err := s.store.Learn(s.t.Context(), lessons, at); err != nil {
		s.t.Fatal(err)
	}
	return event
}

// event is the event of a transaction whose message, if one came, was a letter.
func (s *street) event(e *gateway.Envelope, l letter) *gateway.Event {
	stage := gateway.Rcpt
	if slices.ContainsFunc(e.Rcpts, func(r gateway.Recipient) bool { return r.Accepted() }) {
		stage = gateway.Data
		spam := gateway.Finding{Check: "spamassassin", Stage: stage, Rcpt: -1, Result: gateway.Pass, Measures: []gateway.Measure{{Name: "spamd", Value: l.spamd}}}
		if l.unscaned {
			spam = gateway.CouldNotTell(gateway.ScannerFailed)
			spam.Check, spam.Stage, spam.Rcpt = "spamassassin", stage, -1
		}
		e.Findings = append(e.Findings, spam)
		if l.virus {
			f := gateway.Failed(gateway.MalwareFound, "Eicar")
			f.Check, f.Stage, f.Rcpt = "clamav", stage, -1
			e.Findings = append(e.Findings, f)
		}
		if l.dmarc != "" {
			f := gateway.Passed().Says(gateway.AuthResult{Method: "dmarc", Result: l.dmarc, DMARC: &gateway.DMARCResult{Author: e.From.Domain,
				Organization: dmarc.Registered(e.From.Domain), SPF: !l.byDKIM && l.dmarc == "pass", DKIM: l.byDKIM, Path: l.path}})
			f.Check, f.Stage, f.Rcpt = "dmarc", stage, -1
			e.Findings = append(e.Findings, f)
		}
	}
	r := gateway.NewRecord(stage, e.Session, e)
	event := &gateway.Event{Kind: gateway.TransactionEvent, Record: r, Verdict: s.d.Policy.Judge(r)}
	for i := range r.Findings {
		event.Evidence = append(event.Evidence, r.Findings[i].Evidence)
	}
	if stage == gateway.Data && !event.Verdict.Outcome.Refuses() {
		event.Relayed = &gateway.Relayed{Result: gateway.Delivered}
		if l.again {
			event.Relayed.Result = gateway.NotDelivered
		}
	}
	return event
}

// told is what lessons say, in words.
func told(lessons []reputation.Lesson) string {
	var out []string
	for _, l := range lessons {
		for o, n := range l.Counts {
			if n > 0 {
				out = append(out, l.Subject.Kind.String()+" "+reputation.Outcome(o).String()+" "+points10(float64(n)/reputation.One))
			}
		}
	}
	return strings.Join(out, ", ")
}

// TestReputationLessons is what a message teaches of whom.
func TestReputationLessons(t *testing.T) {
	names := village(t)
	mail := visit{client: "192.0.2.1", helo: "mail.good.example", from: "<a@good.example>"}
	forged := visit{client: "198.51.100.66", helo: "x.example", from: "<a@good.example>"}
	way := gateway.Path{Host: "good.example", Told: "list:dev"}
	guesses := mail
	for range 20 {
		guesses.to = append(guesses.to, "nobody@served.example")
	}
	mixed := mail
	mixed.to = []string{"nobody@served.example", "anna@served.example"}
	exists := answers{"anna@served.example": {Kind: recipients.Known}, "nobody@served.example": {Kind: recipients.Unknown}, "away@served.example": {Kind: recipients.Away}}
	away := mail
	away.to = []string{"away@served.example"}
	waited := visit{client: "192.0.2.9", helo: "bot.example", from: "<a@none.example>"}
	for _, c := range []struct {
		name, policy string
		visit        visit
		letter       letter
		trusted      []gateway.Path
		want         string
	}{
		{name: "a good one", visit: mail, letter: letter{dmarc: "pass"}, want: "client accepted 1, network accepted 1, organisation accepted 1, domain accepted 1"},
		{name: "without DMARC the domain is not proven", visit: mail, letter: letter{dmarc: "none"}, want: "client accepted 1, network accepted 1, organisation accepted 1"},
		{name: "by a signature alone, which anybody can send again", visit: mail, letter: letter{dmarc: "pass", byDKIM: true}, want: "client accepted 1, network accepted 1, organisation accepted 1"},
		{name: "spam", visit: mail, letter: letter{dmarc: "pass", spamd: 9}, want: "client spam 1, network spam 1, organisation spam 1, domain spam 1"},
		{name: "forged spam", visit: forged, policy: "[checks.greylist]\naction = \"off\"\n", letter: letter{dmarc: "fail", spamd: 9}, want: "client spam 1, network spam 1"},
		{name: "malware", visit: mail, letter: letter{dmarc: "pass", virus: true}, want: "client virus 1, network virus 1, organisation virus 1, domain virus 1"},
		{name: "what is neither", visit: mail, letter: letter{dmarc: "pass", spamd: 3}},
		{name: "a good one that nobody scanned", visit: mail, letter: letter{dmarc: "pass", unscaned: true}},
		{name: "a good one that is not delivered yet", visit: mail, letter: letter{dmarc: "pass", again: true}},
		{name: "guesses", visit: guesses, want: "client no such recipient 10, network no such recipient 10, organisation no such recipient 10"},
		{name: "an old address among others", visit: mixed, letter: letter{dmarc: "pass"},
			want: "client accepted 1, client no such recipient 1, network accepted 1, network no such recipient 1, organisation accepted 1, organisation no such recipient 1, domain accepted 1"},
		{name: "a next hop that is away", visit: away},
		{name: "relaying", visit: visit{client: "192.0.2.1", helo: "x.example", from: "<a@good.example>", to: []string{"a@elsewhere.example"}}},
		{name: "greylisted", visit: waited, policy: "[checks.greylist]\nmode = \"everyone\"\n"},
		{name: "blocked", visit: mail, policy: "[[checks.access.client.entry]]\nnetwork = \"192.0.2.1/32\"\nlist = \"block\"\n"},
		{name: "spam of one who is allowed", visit: mail, policy: "[[checks.access.client.entry]]\nnetwork = \"192.0.2.1/32\"\nlist = \"allow\"\n", letter: letter{dmarc: "pass", spamd: 9}},
		{name: "malware of one who is allowed", visit: mail, policy: "[[checks.access.client.entry]]\nnetwork = \"192.0.2.1/32\"\nlist = \"allow\"\n", letter: letter{dmarc: "pass", virus: true},
			want: "client virus 1, network virus 1, organisation virus 1, domain virus 1"},
		{name: "spam of a list that is trusted", visit: mail, letter: letter{dmarc: "fail", spamd: 9, path: way}, trusted: []gateway.Path{way}, want: "client spam 0.2, network spam 0.2, organisation spam 0.2"},
		{name: "spam of a list that is not", visit: mail, letter: letter{dmarc: "fail", spamd: 9, path: way}, want: "client spam 1, network spam 1, organisation spam 1"},
		{name: "observed spam", visit: mail, policy: "[checks.spamassassin]\naction = \"observe\"\n", letter: letter{spamd: 9, dmarc: "none"}, want: "client accepted 1, network accepted 1, organisation accepted 1"},
		{name: "off", visit: mail, policy: "[checks.reputation]\naction = \"off\"\n", letter: letter{dmarc: "pass"}},
		{name: "trusted", visit: visit{client: "192.0.2.1", helo: "x.example", from: "<a@good.example>", session: func(s *gateway.Session) { s.Trusted = true }}, letter: letter{dmarc: "pass"}},
		{name: "inside", visit: visit{client: "10.1.2.3", helo: "x.example", from: "<a@good.example>"}, letter: letter{dmarc: "pass"}},
	} {
		s := newStreet(t, c.policy, &Deps{Resolver: patient(t, names), Recipients: exists})
		if c.visit.to == nil {
			c.visit.to = []string{"anna@served.example"}
		}
		e := s.send(c.visit, c.letter, time.Now(), c.trusted...)
		got := told(ReputationLessons(e, s.d.Policy, func(p gateway.Path) bool { return slices.Contains(c.trusted, p) }))
		if got != c.want {
			t.Errorf("%s: %s, want %s (%s %s)", c.name, got, c.want, e.Verdict.Outcome, e.Verdict.Reason)
		}
	}
	s := newStreet(t, "", &Deps{Resolver: patient(t, names)})
	_, _, e := mail.arrive(t, s.d, s.pl, "reputation")
	waiting := gateway.Passed(gateway.Measure{Name: "waited", Value: 130})
	for _, check := range []string{"greylist", "greylist.null"} {
		waiting.Check, waiting.Stage, waiting.Rcpt = check, gateway.Rcpt, 0
		e.Findings = append(e.Findings, waiting)
	}
	if got := told(ReputationLessons(s.event(e, letter{}), s.d.Policy, nil)); got != "client waited 1, network waited 1, organisation waited 1" {
		t.Errorf("who came again: %s", got)
	}
	if got := ReputationLessons(&gateway.Event{Kind: gateway.ConnectionEvent, Record: &gateway.Record{}}, servedPolicy(), nil); got != nil {
		t.Errorf("a connection teaches %v", got)
	}
}

func netipOf(client string) netip.Addr { return netip.MustParseAddr(client) }

// BenchmarkReputation is what the past of a stranger, and of one who is known, costs a message: looked up, told, and learned of.
func BenchmarkReputation(b *testing.B) {
	for _, name := range []string{"stranger", "known", "trusted"} {
		b.Run(name, func(b *testing.B) {
			s := newStreet(b, rcptOff, &Deps{})
			if name == "known" {
				s.was(reputation.Known, "client:192.0.2.1")
			}
			mail := visit{client: "192.0.2.1", helo: "mail.good.example", from: "<a@good.example>", to: []string{"anna@served.example"}}
			if name == "trusted" {
				mail.session = func(c *gateway.Session) { c.Trusted = true }
			}
			_, _, e := mail.arrive(b, s.d, s.pl, "reputation")
			event := s.event(e, letter{dmarc: "pass"})
			in := input(e.Session, e)
			trusts := func(gateway.Path) bool { return false }
			b.ReportAllocs()
			for b.Loop() {
				e.Session.Facts, in.Envelope = gateway.Facts{}, &gateway.Envelope{Session: e.Session, From: e.From, Started: e.Started}
				s.d.runReputation(b.Context(), in)
				s.d.Reputation.(*shaping.Reputation).Learn(ReputationLessons(event, s.d.Policy, trusts))
			}
		})
	}
}
