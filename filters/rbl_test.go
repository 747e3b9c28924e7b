package filters

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
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
		known               bool
		kind                dnslab.Kind
		result              gateway.Result
		reason              gateway.Reason
		outcome             gateway.Outcome
	}{
		{"the list that would refuse is late", listed, "worst", false, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"and the client is known", listed, "worst", true, dnslab.ServFail, gateway.Unknown, gateway.RBLAway, gateway.Accept},
		{"a clear client is only held", clear, "worst", false, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"another is late: no way out", listed, "some", false, dnslab.ServFail, gateway.Fail, gateway.RBLListed, gateway.Reject},
		{"one that cannot decide is late", clear, "some", false, dnslab.ServFail, gateway.Pass, "", gateway.Accept},
		{"one that could decide with what is known", some, "worst", false, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"one that could clear is late", some, "good", false, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"and being known clears nobody who is listed", some, "good", true, dnslab.ServFail, gateway.Unknown, gateway.RBLLate, gateway.Defer},
		{"nonsense is no listing", clear, "worst", false, dnslab.ManyRecords, gateway.Unknown, gateway.RBLAway, gateway.Accept},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newListWorld(t, "", rblZone)
			w.lab.SetFault(name(c.client, c.fails), dnslab.Fault{Kind: c.kind})
			s := from(c.client, "mail.sender.example")
			s.Snapshot, s.Conduct.Known = w.snap, c.known
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
