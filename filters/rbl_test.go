package filters

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/limit"
	"gatepost/rbl"
)

// ownList is a list of the tests: of addresses, or of domains.
func ownList(t testing.TB, name string, inputs rbl.Input, codes string) rbl.Entry {
	t.Helper()
	l := rbl.List{Name: name, Zone: name + ".example", Inputs: inputs, Listed: []string{"127.0.0.2"}, Free: []string{"127.0.0.1"},
		Website: "https://" + name + ".example/", Commercial: true}
	if inputs&rbl.Domains != 0 {
		l.Listed, l.Free = []string{"test"}, []string{"invalid"}
	}
	for _, code := range strings.Fields(codes) {
		var answer string
		var weight int
		if _, err := fmt.Sscanf(strings.ReplaceAll(code, "=", " "), "%s %d", &answer, &weight); err != nil {
			t.Fatal(err)
		}
		p, err := rbl.ParsePattern(answer)
		if err != nil {
			t.Fatal(err)
		}
		l.Rules = append(l.Rules, rbl.Rule{Answer: p, Label: "code " + answer[len(answer)-1:], Weight: weight})
	}
	return rbl.Entry{List: l, Use: rbl.NonCommercial}
}

// listWorld has lists of three kinds and a fourth of good senders, proved.
type listWorld struct {
	lab  *dnslab.Server
	d    *Deps
	pl   *gateway.Pipeline
	snap *gateway.Snapshot
}

func newListWorld(t testing.TB, policy, zone string) *listWorld {
	t.Helper()
	w := &listWorld{lab: dnslab.New(t, dnslab.Text(zone+`
2.0.0.127.worst.example. A 127.0.0.2
2.0.0.127.some.example. A 127.0.0.2
2.0.0.127.good.example. A 127.0.0.2
test.names.example. A 127.0.0.2
test.more.example. A 127.0.0.2
`))}
	lists, err := rbl.NewSupervisor([]rbl.Entry{ownList(t, "worst", rbl.Client, "127.0.0.2=10 127.0.0.3=4"), ownList(t, "some", rbl.ClientIPv4, "127.0.0.2=6"),
		ownList(t, "good", rbl.Client, "127.0.0.2=-5"), ownList(t, "names", rbl.Domains, "127.0.0.2=7"), ownList(t, "more", rbl.From, "127.0.0.2=5")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.d = &Deps{Resolver: patient(t, w.lab), Lists: lists}
	w.pl = build(t, policy, w.d)
	w.snap = &gateway.Snapshot{Policy: w.d.Policy, Pipeline: w.pl, Hostname: w.d.Hostname}
	lists.Probe(t.Context(), ListDNS(w.d.Resolver), time.Now())
	for _, s := range lists.Status(time.Now()) {
		if s.State != rbl.Armed {
			t.Fatalf("%s is %v: %v %s", s.Name, s.State, s.Cause, s.Detail)
		}
	}
	return w
}

// session begins a session and joins what was begun with it.
func (w *listWorld) session(t testing.TB, client string) (*gateway.Session, gateway.Verdict) {
	t.Helper()
	s := from(client, "mail.sender.example")
	s.Snapshot = w.snap
	w.pl.Run(t.Context(), gateway.Connect, input(s, nil))
	w.pl.Begin(t.Context(), s)
	return s, w.pl.Join(t.Context(), s)
}

// of is the finding of a check.
func of(t testing.TB, findings []gateway.Finding, check string) gateway.Finding {
	t.Helper()
	i := slices.IndexFunc(findings, func(f gateway.Finding) bool { return f.Check == check })
	if i < 0 {
		t.Fatalf("no finding of %s", check)
	}
	return findings[i]
}

// rblZone lists clients 198.51.100.N by name: what lists them.
const rblZone = `
1.100.51.198.worst.example. A 127.0.0.2
2.100.51.198.worst.example. A 127.0.0.3
3.100.51.198.worst.example. A 127.0.0.3
3.100.51.198.some.example. A 127.0.0.2
4.100.51.198.worst.example. A 127.0.0.3
4.100.51.198.some.example. A 127.0.0.2
4.100.51.198.good.example. A 127.0.0.2
6.100.51.198.good.example. A 127.0.0.2
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.worst.example. A 127.0.0.2
`

// TestRBLClient: the weights of all lists together decide, and each is priced.
func TestRBLClient(t *testing.T) {
	w := newListWorld(t, "", rblZone)
	for _, c := range []struct {
		client string
		result gateway.Result
		score  float64
		want   string // measures
		reply  string
	}{
		{"198.51.100.1", gateway.Fail, 5, "worst:127.0.0.2 code 2=10", "550 5.7.1 Refused: 198.51.100.1 is listed by worst (code 2); see https://worst.example/ for why"},
		{"198.51.100.2", gateway.Pass, 2, "worst:127.0.0.3 code 3=4", ""},
		{"198.51.100.3", gateway.Fail, 5, "worst:127.0.0.3 code 3=4 some:127.0.0.2 code 2=6", "550 5.7.1 Refused: 198.51.100.3 is listed by worst, some (code 3, code 2); see https://some.example/ for why"},
		{"198.51.100.4", gateway.Pass, 2.5, "worst:127.0.0.3 code 3=4 some:127.0.0.2 code 2=6 good:127.0.0.2 code 2=-5", ""},
		{"198.51.100.5", gateway.Pass, 0, "", ""},
		{"198.51.100.6", gateway.Pass, -2.5, "good:127.0.0.2 code 2=-5", ""},
		{"::ffff:198.51.100.1", gateway.Fail, 5, "worst:127.0.0.2 code 2=10", "550 "},
		{"2001:db8::1", gateway.Fail, 5, "worst:127.0.0.2 code 2=10", "550 5.7.1 Refused: 2001:db8::1 is listed by worst"},
		{"2001:db8::2", gateway.Pass, 0, "", ""},
		{"10.0.0.1", gateway.NotRun, 0, "", ""},
		{"127.0.0.2", gateway.NotRun, 0, "", ""},
	} {
		s, v := w.session(t, c.client)
		f := of(t, s.Findings, "rbl.client")
		var measures []string
		for _, m := range f.Measures {
			measures = append(measures, fmt.Sprintf("%s=%v", m.Text, m.Value))
		}
		if f.Result != c.result || v.Score != c.score || strings.Join(measures, " ") != c.want || !strings.HasPrefix(v.Reply.String(), c.reply) {
			t.Errorf("%s: %s %s, score %v, %v, %q; evidence %v", c.client, f.Result, f.Reason, v.Score, measures, v.Reply.String(), f.Evidence)
		}
		if f.Result != gateway.NotRun && len(f.Evidence) == 0 {
			t.Errorf("%s: no evidence", c.client)
		}
	}
}

// TestRBLFails: a list that fails refuses nobody, and lets no listed client pass as clear.
func TestRBLFails(t *testing.T) {
	const listed, some, clear = "198.51.100.1", "198.51.100.3", "198.51.100.5"
	name := func(client, list string) string {
		a := netip.MustParseAddr(client).As4()
		return fmt.Sprintf("%d.%d.%d.%d.%s.example", a[3], a[2], a[1], a[0], list)
	}
	for _, c := range []struct {
		what, client, fails string
		proven              bool
		kind                dnslab.Kind
		result              gateway.Result
		reason              gateway.Reason
		outcome             gateway.Outcome
	}{
		{"the list that would refuse is late", listed, "worst", false, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"and the client had mail accepted lately", listed, "worst", true, dnslab.ServFail, gateway.Unknown, gateway.RBLAway, gateway.Accept},
		{"a clear client is only held", clear, "worst", false, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"another is late: no way out", listed, "some", false, dnslab.ServFail, gateway.Fail, gateway.RBLListed, gateway.Reject},
		{"one that cannot decide is late", clear, "some", false, dnslab.ServFail, gateway.Pass, "", gateway.Accept},
		{"one that could decide with what is known", some, "worst", false, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"one that could clear is late", some, "good", false, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"and that clears nobody who is listed", some, "good", true, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"nonsense is no listing", clear, "worst", false, dnslab.ManyRecords, gateway.Unknown, gateway.RBLAway, gateway.Accept},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newListWorld(t, "", rblZone)
			w.lab.SetFault(name(c.client, c.fails), dnslab.Fault{Kind: c.kind})
			s := from(c.client, "mail.sender.example")
			s.Snapshot, s.Conduct.Known, s.Conduct.Proven = w.snap, true, c.proven
			v := w.pl.Join(t.Context(), s)
			f := of(t, s.Findings, "rbl.client")
			if f.Result != c.result || f.Reason != c.reason || v.Outcome != c.outcome || evidence(f, "no answer of") == "" {
				t.Errorf("%s %s, %s: %v", f.Result, f.Reason, v.Outcome, f.Evidence)
			}
		})
	}
}

// TestRBLAway: lists that are not proved are unknown, are not asked, and hold nobody.
func TestRBLAway(t *testing.T) {
	lab := dnslab.New(t, dnslab.Text(rblZone+"*.worst.example. A 127.0.0.2\n")) // it lists the world
	lists, err := rbl.NewSupervisor([]rbl.Entry{ownList(t, "worst", rbl.Client, "127.0.0.2=10")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &Deps{Resolver: patient(t, lab), Lists: lists}
	pl := build(t, "", d)
	for _, probed := range []bool{false, true} {
		if probed {
			lists.Probe(t.Context(), ListDNS(d.Resolver), time.Now())
		}
		s := from("198.51.100.5", "mail.sender.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		v := pl.Join(t.Context(), s)
		f := of(t, s.Findings, "rbl.client")
		if f.Result != gateway.Unknown || f.Reason != gateway.RBLAway || v.Outcome != gateway.Accept || !slices.Contains(v.Marks, "rbl.client") {
			t.Errorf("probed %v: %s %s, %s, marks %v", probed, f.Result, f.Reason, v.Outcome, v.Marks)
		}
	}
	if n := lab.Count("5.100.51.198.worst.example", "A"); n != 0 {
		t.Errorf("asked about mail %d times", n)
	}
}

// TestRBLBroken: a panic on the way is never a pass.
func TestRBLBroken(t *testing.T) {
	w := newListWorld(t, "", rblZone)
	c, err := w.d.newLister(&ListsOptions{Refuse: 10}, rbl.Client)
	if err != nil {
		t.Fatal(err)
	}
	s := from("198.51.100.5", "mail.sender.example")
	func() {
		defer func() { _ = recover() }()
		gateway.Fact(&s.Facts, factListClient, func() []rbl.Result { panic("broken") })
	}()
	if f := run(t, c.runClient, input(s, nil)); f.Result != gateway.Unknown || f.Reason != gateway.RBLLate {
		t.Errorf("%s %s", f.Result, f.Reason)
	}
}

// TestRBLAndSpamAssassin: SpamAssassin's own looks at lists are left out of its points only while ours have any to ask.
func TestRBLAndSpamAssassin(t *testing.T) {
	for what, c := range map[string]struct {
		policy string
		entry  rbl.Entry
		want   bool
	}{
		"a list of addresses":    {"", ownList(t, "worst", rbl.Client, "127.0.0.2=10"), true},
		"only a list of domains": {"", ownList(t, "names", rbl.Domains, "127.0.0.2=10"), false},
		"only watched":           {"[checks.rbl.client]\naction = \"observe\"\n", ownList(t, "worst", rbl.Client, "127.0.0.2=10"), false},
	} {
		lists, err := rbl.NewSupervisor([]rbl.Entry{c.entry}, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := &Deps{Lists: lists}
		build(t, c.policy, d)
		if got := slices.Contains(d.Policy.Checks["spamassassin"].Ignore, "RCVD_IN_*"); got != c.want {
			t.Errorf("%s: ignored is %v", what, got)
		}
	}
}

// TestNoLists: without lists the checks look at nothing, begin nothing, and wait for nothing.
func TestNoLists(t *testing.T) {
	d := &Deps{}
	pl := build(t, "", d)
	for _, name := range []string{"rbl.client", "rbl.helo", "rbl.sender", "rbl.author"} {
		for _, rows := range append(pl.Rows[:], pl.Late) {
			for _, row := range rows {
				for _, c := range row.Checks {
					in := input(from("198.51.100.5", "mail.sender.example"), dataOf(t, "From: a@b.example\r\n\r\n"))
					if c.Name != name {
						continue
					}
					if f := c.Run(context.Background(), in); !c.Ready(in) || f.Result != gateway.NotRun || f.Reason != gateway.LeftNoInput {
						t.Errorf("%s: %v %v", name, f.Result, f.Reason)
					}
				}
			}
		}
	}
}

// TestRBLHeld: a list that is late for the same client each time holds it for a quarter of an hour, whatever host of its network
// tries, and then no longer; of one that is listed the listing decides then.
func TestRBLHeld(t *testing.T) {
	w := newListWorld(t, "", rblZone)
	lister, err := w.d.newLister(&ListsOptions{Refuse: 10}, rbl.Client)
	if err != nil {
		t.Fatal(err)
	}
	late := func(list string) rbl.Result { return rbl.Result{List: list, Cause: rbl.Late} }
	bound := func(list string) rbl.Result { return rbl.Result{List: list, Cause: rbl.Bound} }
	bad := rbl.Result{List: "worst", Verdict: rbl.Listed, Weight: 10, Codes: []rbl.Code{{Label: "bad", Weight: 10}}}
	for _, c := range []struct {
		what    string
		results []rbl.Result
		then    gateway.Reason
	}{
		{"one that could list is late", []rbl.Result{late("worst")}, gateway.RBLAway},
		{"one that could clear is late", []rbl.Result{bad, late("good")}, gateway.RBLListed},
		{"one question of the list had no turn, another got no answer", []rbl.Result{bound("worst"), late("worst")}, gateway.RBLAway},
		// What is our own want of room ends no holding, or whoever fills the resolver for a quarter of an hour gets past.
		{"one that could list had no turn", []rbl.Result{bound("worst")}, gateway.RBLLate},
		{"one that could clear had no turn", []rbl.Result{bad, bound("good")}, gateway.RBLLate},
		{"one that could list had no turn, another is late", []rbl.Result{bound("worst"), late("good")}, gateway.RBLLate},
	} {
		synctest.Test(t, func(t *testing.T) {
			w.d.Held = &Held{}
			try := func(client string, want gateway.Reason) {
				t.Helper()
				f := lister.tell(input(from(client, "x"), nil), client, c.results, nil)
				if f.Reason != want || (want != gateway.RBLLate) != (evidence(f, "held") != "") {
					t.Errorf("%s, %s: %s %v", c.what, client, f.Reason, f.Evidence)
				}
			}
			try("198.51.100.5", gateway.RBLLate)
			time.Sleep(14 * time.Minute)
			try("198.51.100.77", gateway.RBLLate)
			time.Sleep(2 * time.Minute)
			try("198.51.100.5", c.then)
			try("198.51.101.5", gateway.RBLLate) // another network
			time.Sleep(10 * time.Hour)
			try("198.51.100.6", c.then) // remembered
			time.Sleep(25 * time.Hour)
			try("198.51.100.5", gateway.RBLLate) // forgotten
			if n := len(w.d.Held.young) + len(w.d.Held.old); c.then == gateway.RBLLate && n != 0 {
				t.Errorf("%s: the time counts for %d", c.what, n) // a list that is late later is late for the first time
			}
		})
	}
}

// TestHeldIsBounded: whoever comes, so many are remembered and no more.
func TestHeldIsBounded(t *testing.T) {
	var h Held
	now := time.Now()
	for i := range 5 * heldMost {
		h.over(strconv.Itoa(i), now)
	}
	if n := len(h.young) + len(h.old); n > 2*heldMost || n < heldMost {
		t.Errorf("%d are remembered", n)
	}
	if h.over("later", now) || !h.over("later", now.Add(heldFor)) || h.over("later", now.Add(-time.Hour)) {
		t.Error("the clock decides otherwise")
	}
}

// rblNames has the listed domains of the tests.
const rblNames = `
bad.example.names.example. A 127.0.0.2
mail.bad.example.names.example. A 127.0.0.2
bad.example.more.example. A 127.0.0.2
7.100.51.198.in-addr.arpa. PTR mail.bad.example.
mail.bad.example. A 198.51.100.7
`

// TestRBLDomains: a domain is asked about where it stands and priced once; one list has one voice for the names of a client, and
// what is ours, null or unclear is asked about nowhere.
func TestRBLDomains(t *testing.T) {
	for _, c := range []struct {
		what, client, helo, mail, author, policy string
		want                                     string // of helo, sender and author: result and measures
		score                                    float64
		reply                                    string
	}{
		{"nothing", "198.51.100.5", "mail.good.example", "<a@good.example>", "a@good.example", "", "pass/pass/pass", 0, ""},
		{"HELO only", "198.51.100.5", "mail.bad.example", "<a@good.example>", "a@good.example", "", "pass 7/pass/pass", 3.5, ""},
		{"HELO and reverse name: one voice", "198.51.100.7", "bad.example", "<a@good.example>", "a@good.example", "", "pass 7/pass/pass", 3.5, ""},
		{"a literal, and the reverse name", "198.51.100.7", "[198.51.100.7]", "<a@good.example>", "a@good.example", "", "pass 7/pass/pass", 3.5, ""},
		{"a literal", "198.51.100.5", "[198.51.100.5]", "<a@good.example>", "a@good.example", "", "not run/pass/pass", 0, ""},
		{"sender only", "198.51.100.5", "mail.good.example", "<a@BAD.example>", "a@good.example", "", "pass/pass 7/pass", 3.5, ""},
		{"author only, two lists", "198.51.100.5", "mail.good.example", "<a@good.example>", "a@bad.example", "", "pass/pass/fail 7 5", 6,
			"550 5.7.1 Refused: bad.example is listed by names, more (code 2, code 2); see https://names.example/ for why"},
		{"everywhere: priced once, refused all the same", "198.51.100.5", "bad.example", "<a@bad.example>", "a@bad.example", "", "pass 7/pass/fail 5", 6, "550 5.7.1 Refused: bad.example"},
		{"priced where the other only watches", "198.51.100.5", "bad.example", "<a@bad.example>", "a@good.example", "[checks.rbl.helo]\naction = \"observe\"\n", "pass 7/pass 7/pass", 3.5, ""},
		{"null and ours", "198.51.100.5", "mail.good.example", "<>", "a@served.example", "", "pass/not run/not run", 0, ""},
		{"no author", "198.51.100.5", "mail.good.example", "<a@served.example>", "", "", "pass/not run/not run", 0, ""},
		{"inside", "10.0.0.1", "bad.example", "<a@bad.example>", "a@bad.example", "", "not run/not run/not run", 0, ""},
	} {
		w := newListWorld(t, c.policy, rblNames)
		s := from(c.client, c.helo)
		s.Snapshot = w.snap
		e := dataOf(t, "From: "+c.author+"\r\n\r\n")
		e.From = mailFrom(t, c.mail)
		in := input(s, e)
		for _, stage := range []gateway.Stage{gateway.Helo, gateway.Mail, gateway.Data} {
			for _, row := range w.pl.Rows[stage] {
				for _, check := range row.Checks {
					if strings.HasPrefix(check.Name, "rbl.") && check.Name != "rbl.url" {
						f := check.Run(t.Context(), in)
						f.Check, f.Stage, f.Rcpt = check.Name, stage, -1
						e.Findings = append(e.Findings, f)
						if !check.Ready(in) {
							t.Errorf("%s: %s is not ready behind itself", c.what, check.Name)
						}
					}
				}
			}
		}
		var said []string
		for _, f := range e.Findings {
			text := f.Result.String()
			for _, m := range f.Measures {
				text += fmt.Sprintf(" %v", m.Value)
			}
			said = append(said, text)
		}
		v := w.d.Policy.Judge(gateway.NewRecord(gateway.Data, s, e))
		if got := strings.Join(said, "/"); got != c.want || v.Score != c.score || !strings.HasPrefix(v.Reply.String(), c.reply) {
			t.Errorf("%s: %s, score %v, %q", c.what, got, v.Score, v.Reply.String())
		}
	}
}

// TestQuestionsOfOneSession: a client that says another HELO name and another domain before each MAIL makes lists be asked no
// oftener than its messages may come: a list whose free questions one host uses up refuses nobody any more.
func TestQuestionsOfOneSession(t *testing.T) {
	w := newListWorld(t, "", rblNames)
	w.d.Rates, w.d.Shaper = limit.Limits{*limit.Defaults().Of(limit.Client, limit.Messages)}, newShaper()
	s := from("198.51.100.5", "x")
	s.Snapshot = w.snap
	names, domains := 0, 0
	for i := range 100 {
		s.Helo.Name = fmt.Sprintf("h%d.good.example", i)
		e := &gateway.Envelope{From: mailFrom(t, fmt.Sprintf("<a@d%d.example>", i)), Session: s}
		w.pl.Run(t.Context(), gateway.Helo, input(s, e))
		w.pl.Run(t.Context(), gateway.Mail, input(s, e))
		names += w.lab.Count(s.Helo.Name+".names.example", "A")
		domains += w.lab.Count(e.From.Domain+".names.example", "A")
	}
	if most := int(limit.Defaults().Of(limit.Client, limit.Messages).Rates[limit.Unknown].Burst) + 1; names != mostHelos || domains < 2 || domains > most {
		t.Errorf("asked about %d HELO names and %d domains, more than %d and %d", names, domains, mostHelos, most)
	}
}

// TestRBLReturns: a list that listed the world, and works again, is back when it is tried next, whatever the resolver remembers of it.
func TestRBLReturns(t *testing.T) {
	lab := dnslab.New(t, nil)
	lab.SetList(dnslab.List{Zone: "worst.example", State: dnslab.ListWorld})
	lists, err := rbl.NewSupervisor([]rbl.Entry{ownList(t, "worst", rbl.Client, "127.0.0.2=10")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, now := patient(t, lab), time.Now()
	state := func() rbl.State { return lists.Status(now)[0].State }
	if lists.Probe(t.Context(), ListDNS(r), now); state() != rbl.Unarmed {
		t.Errorf("a list that lists the world is %v", state())
	}
	lab.SetList(dnslab.List{Zone: "worst.example"})
	now = now.Add(time.Minute)
	if lists.Probe(t.Context(), ListDNS(r), now); state() != rbl.Armed {
		t.Errorf("a list that works again is %v: %+v", state(), lists.Status(now)[0])
	}
}
