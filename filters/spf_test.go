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
	"gatepost/internal/dns"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/spf"
)

// spfWorld is the world of these tests.
func spfWorld(t testing.TB) *dnslab.Server {
	s := dnslab.New(t, dnslab.Text(`
good.example.      TXT "v=spf1 include:_spf.example -all"
good.example.      TXT "unrelated"
good.example.      MX 10 mx.good.example.
mx.good.example.   A 192.0.2.1
_spf.example.      TXT "v=spf1 ip4:192.0.2.0/28 " "ip6:2001:db8::/32 ~all"
soft.example.      TXT "v=spf1 ip4:192.0.2.1 ~all"
soft.example.      A 192.0.2.1
open.example.      TXT "v=spf1 ?all"
open.example.      A 192.0.2.1
bare.example.      A 192.0.2.1
never.example.     TXT "v=spf1 -all"
never.example.     A 192.0.2.1
broken.example.    TXT "v=spf1 ip4:192.0.2 -all"
broken.example.    A 192.0.2.1
why.example.       TXT "v=spf1 a:mx.good.example -all exp=text.why.example"
why.example.       A 192.0.2.1
text.why.example.  TXT "%{i} is not of %{d}, says %{r}"
far.example.       TXT "v=spf1 include:dead.example -all"
far.example.       A 192.0.2.1
mx.host.example.   TXT "v=spf1 ip4:192.0.2.1 -all"
below.never.example. TXT "v=spf1 -all"
`))
	s.SetFault("dead.example", dnslab.Fault{Kind: dnslab.ServFail})
	return s
}

// spfFinding runs the stages up to MAIL and returns the finding of a check.
func spfFinding(t *testing.T, d *Deps, pl *gateway.Pipeline, check, client, helo, path string) (gateway.Finding, gateway.Verdict) {
	t.Helper()
	s := from(client, helo)
	s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	e := &gateway.Envelope{From: mailFrom(t, path)}
	in := input(s, e)
	pl.Run(t.Context(), gateway.Helo, in)
	v := pl.Run(t.Context(), gateway.Mail, in)
	i := slices.IndexFunc(e.Findings, func(f gateway.Finding) bool { return f.Check == check })
	if i < 0 {
		t.Fatalf("no finding of %s in %v", check, e.Findings)
	}
	return e.Findings[i], v
}

// auth is the results of a finding in one line.
func auth(f gateway.Finding) string {
	var out []string
	for _, r := range f.Auth {
		line := r.Method + "=" + r.Result
		for _, p := range r.Props {
			line += " " + p.Type + "." + p.Name + "=" + p.Value
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

func TestSPF(t *testing.T) {
	d := &Deps{Resolver: resolver(t, spfWorld(t)), Only: []string{"spf", "spf.helo"}}
	pl := build(t, "", d)
	for _, c := range []struct {
		client, helo, path string
		result             gateway.Result
		reason             gateway.Reason
		measure            string
		auth               string
		reply              string // begins with
		matched            string
	}{
		{"192.0.2.1", "x.example", "<a@good.example>", gateway.Pass, "", "", "spf=pass smtp.mailfrom=a@good.example", "", "include:_spf.example > ip4:192.0.2.0/28"},
		{"::ffff:192.0.2.1", "x.example", "<a@GOOD.example>", gateway.Pass, "", "", "spf=pass smtp.mailfrom=a@good.example", "", "include:_spf.example > ip4:192.0.2.0/28"},
		{"2001:db8::7", "x.example", "<a@good.example>", gateway.Pass, "", "", "spf=pass smtp.mailfrom=a@good.example", "", "include:_spf.example > ip6:2001:db8::/32"},
		{"198.51.100.1", "x.example", "<a@good.example>", gateway.Fail, gateway.SPFFail, "fail", "spf=fail smtp.mailfrom=a@good.example", "", "-all"},
		{"198.51.100.1", "x.example", "<a@soft.example>", gateway.Pass, "", "softfail", "spf=softfail smtp.mailfrom=a@soft.example", "", "~all"},
		{"198.51.100.1", "x.example", "<a@open.example>", gateway.Pass, "", "neutral", "spf=neutral smtp.mailfrom=a@open.example", "", "?all"},
		{"192.0.2.1", "x.example", "<a@bare.example>", gateway.Pass, "", "none", "spf=none smtp.mailfrom=a@bare.example", "", ""},
		{"192.0.2.1", "x.example", "<a@nowhere.example>", gateway.Pass, "", "none", "spf=none smtp.mailfrom=a@nowhere.example", "", ""},
		{"192.0.2.1", "x.example", "<a@never.example>", gateway.Fail, gateway.SPFNever, "fail", "spf=fail smtp.mailfrom=a@never.example", "550 5.7.23 ", "-all"},
		{"192.0.2.1", "x.example", "<a@broken.example>", gateway.Fail, gateway.SPFBroken, "permerror", "spf=permerror smtp.mailfrom=a@broken.example", "", ""},
		{"192.0.2.1", "x.example", "<a@far.example>", gateway.Unknown, gateway.DNSFailed, "", "spf=temperror smtp.mailfrom=a@far.example", "", ""},
		{"192.0.2.1", "x.example", "<a@dead.example>", gateway.Unknown, gateway.DNSFailed, "", "spf=temperror smtp.mailfrom=a@dead.example", "", ""},
		{"192.0.2.1", "x.example", `<"a@never.example"@good.example>`, gateway.Pass, "", "", `spf=pass smtp.mailfrom="a@never.example"@good.example`, "", "include:_spf.example > ip4:192.0.2.0/28"},
		{"192.0.2.1", "good.example", "<a@[192.0.2.1]>", gateway.NotRun, gateway.LeftNoInput, "", "spf=none smtp.mailfrom=a@[192.0.2.1]", "", ""},
		{"192.0.2.1", "never.example", "<a@good.example>", gateway.Pass, "", "", "spf=pass smtp.mailfrom=a@good.example; spf=fail smtp.helo=never.example", "", "include:_spf.example > ip4:192.0.2.0/28"},
		{"198.51.100.1", "soft.example", "<a@good.example>", gateway.Fail, gateway.SPFFail, "fail", "spf=fail smtp.mailfrom=a@good.example; spf=softfail smtp.helo=soft.example", "", "-all"},
		// The null reverse-path: the name in HELO, and nothing is refused for it.
		{"192.0.2.1", "mx.host.example", "<>", gateway.Pass, "", "", "spf=pass smtp.helo=mx.host.example", "", "ip4:192.0.2.1"},
		{"198.51.100.1", "MX.host.example", "<>", gateway.Fail, gateway.SPFFail, "fail", "spf=fail smtp.helo=MX.host.example", "", "-all"},
		{"192.0.2.1", "below.never.example", "<>", gateway.Fail, gateway.SPFFail, "fail", "spf=fail smtp.helo=below.never.example", "", "-all"},
		{"192.0.2.1", "[192.0.2.1]", "<>", gateway.NotRun, gateway.LeftNoInput, "", "spf=none smtp.helo=[192.0.2.1]", "", ""},
		{"192.0.2.1", "localhost", "<>", gateway.NotRun, gateway.LeftNoInput, "", "spf=none smtp.helo=localhost", "", ""},
		{"10.1.2.3", "x.example", "<a@never.example>", gateway.NotRun, gateway.LeftNoInput, "", "", "", ""},
		{"127.0.0.1", "x.example", "<>", gateway.NotRun, gateway.LeftNoInput, "", "", "", ""},
	} {
		f, v := spfFinding(t, d, pl, "spf", c.client, c.helo, c.path)
		if f.Result != c.result || f.Reason != c.reason || strings.Join(measured(f), ",") != c.measure || auth(f) != c.auth ||
			!strings.HasPrefix(v.Reply.String(), c.reply) || (c.reply == "") != (v.Outcome == gateway.Accept) || evidence(f, "matched") != c.matched {
			t.Errorf("%s from %s, HELO %s: %s %s %v %q, %s %s\n%v", c.path, c.client, c.helo, f.Result, f.Reason, measured(f), auth(f), v.Outcome, v.Reply, f.Evidence)
		}
		if f.Result != gateway.NotRun && (evidence(f, "dns") == "" || evidence(f, "spf") == "") {
			t.Errorf("%s: no evidence: %v", c.path, f.Evidence)
		}
		if unknown := f.Result == gateway.Unknown; unknown != slices.Contains(v.Marks, "spf") {
			t.Errorf("%s: marks %v", c.path, v.Marks)
		}
	}
	f, _ := spfFinding(t, d, pl, "spf", "198.51.100.1", "x.example", "<a@why.example>")
	if got := evidence(f, "explanation"); got != "198.51.100.1 is not of why.example, says mx.served.example" {
		t.Errorf("explanation %q", got)
	}
	if f, _ := spfFinding(t, d, pl, "spf", "192.0.2.1", "x.example", "<a@broken.example>"); f.Auth[0].Reason == "" || f.Args[1] != f.Auth[0].Reason {
		t.Errorf("the reason is not told: %+v", f)
	}
}

func TestSPFHelo(t *testing.T) {
	d := &Deps{Resolver: resolver(t, spfWorld(t)), Only: []string{"spf", "spf.helo"}}
	pl := build(t, "", d)
	for _, c := range []struct {
		client, helo, path string
		result             gateway.Result
		reason             gateway.Reason
		measure            string
	}{
		{"192.0.2.1", "mx.host.example", "<a@good.example>", gateway.Pass, "", ""},
		{"192.0.2.9", "Mx.Host.example", "<a@good.example>", gateway.Fail, gateway.SPFFail, "fail"},
		{"192.0.2.9", "below.never.example", "<a@good.example>", gateway.Fail, gateway.SPFFail, "fail"},
		{"192.0.2.9", "soft.example", "<a@good.example>", gateway.Pass, "", "softfail"},
		{"192.0.2.9", "nowhere.example", "<a@good.example>", gateway.Pass, "", ""},
		{"192.0.2.9", "broken.example", "<a@good.example>", gateway.Fail, gateway.SPFBroken, "permerror"},
		{"192.0.2.9", "dead.example", "<a@good.example>", gateway.Unknown, gateway.DNSFailed, ""},
		{"192.0.2.9", "[192.0.2.9]", "<a@good.example>", gateway.NotRun, gateway.LeftNoInput, ""},
		{"192.0.2.9", "under_score.example", "<a@good.example>", gateway.NotRun, gateway.LeftNoInput, ""},
		{"192.0.2.9", "mx.host.example", "<>", gateway.NotRun, gateway.LeftNotNeeded, ""},
		{"10.0.0.1", "mx.host.example", "<a@good.example>", gateway.NotRun, gateway.LeftNoInput, ""},
	} {
		f, v := spfFinding(t, d, pl, "spf.helo", c.client, c.helo, c.path)
		if f.Result != c.result || f.Reason != c.reason || strings.Join(measured(f), ",") != c.measure || len(f.Auth) > 0 || v.Outcome != gateway.Accept {
			t.Errorf("%s from %s: %s %s %v %v, %s\n%v", c.helo, c.client, f.Result, f.Reason, measured(f), f.Auth, v.Reply, f.Evidence)
		}
	}
	off := &Deps{Resolver: d.Resolver, Only: []string{"spf", "spf.helo"}}
	if f, _ := spfFinding(t, off, build(t, "[checks.spf]\naction = \"off\"\n", off), "spf.helo", "192.0.2.9", "mx.host.example", "<>"); f.Result != gateway.Fail || auth(f) != "spf=fail smtp.helo=mx.host.example" {
		t.Errorf("with spf off, the null reverse-path: %s %s %s", f.Result, f.Reason, auth(f))
	}
}

// TestSPFPolicy shows what operators can make of it.
func TestSPFPolicy(t *testing.T) {
	world := resolver(t, spfWorld(t))
	for policy, want := range map[string][4]gateway.Outcome{ // never, fail, permerror, temperror
		"":                                    {gateway.Reject, gateway.Accept, gateway.Accept, gateway.Accept},
		"[checks.spf]\naction = \"reject\"\n": {gateway.Reject, gateway.Reject, gateway.Accept, gateway.Accept},
		"[checks.spf]\naction = \"reject\"\nreasons.\"spf.permerror\" = \"reject\"\n":        {gateway.Reject, gateway.Reject, gateway.Reject, gateway.Accept},
		"[checks.spf]\nreasons.\"spf.never\" = \"score\"\nunknown = \"defer\"\n":             {gateway.Accept, gateway.Accept, gateway.Accept, gateway.Defer},
		"[checks.spf]\naction = \"observe\"\n":                                               {gateway.Accept, gateway.Accept, gateway.Accept, gateway.Accept},
		"[checks.spf]\naction = \"tag\"\n[checks.spf.reasons]\nspf.never = \"quarantine\"\n": {gateway.Quarantine, gateway.Tag, gateway.Accept, gateway.Accept},
		"[checks.spf]\nunknown = \"tag\"\nreasons.\"spf.permerror\" = \"quarantine\"\n":      {gateway.Reject, gateway.Accept, gateway.Quarantine, gateway.Tag},
		"[checks.spf]\naction = \"off\"\n[checks.spf.reasons]\nspf.never = \"quarantine\"\n": {},
	} {
		d := &Deps{Resolver: world, Only: []string{"spf", "spf.helo"}}
		pl := build(t, policy, d)
		for i, path := range []string{"<a@never.example>", "<a@good.example>", "<a@broken.example>", "<a@dead.example>"} {
			if _, v := spfFinding(t, d, pl, "spf", "198.51.100.1", "x.example", path); v.Outcome != want[i] {
				t.Errorf("%q, %s: %s, want %s", policy, path, v.Outcome, want[i])
			}
		}
	}
}

// TestSPFIsEvaluatedOnce shows that the check and whoever asks for the fact share one evaluation.
func TestSPFIsEvaluatedOnce(t *testing.T) {
	s := spfWorld(t)
	d := &Deps{Resolver: resolver(t, s), Only: []string{"helo", "rdns", "spf", "spf.helo", "sender"}}
	pl := build(t, "", d)
	session := from("192.0.2.1", "mx.host.example")
	session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	for range 2 {
		e := &gateway.Envelope{From: mailFrom(t, "<a@good.example>")}
		in := input(session, e)
		pl.Run(t.Context(), gateway.Helo, in)
		pl.Run(t.Context(), gateway.Mail, in)
		if a := d.spfMail(t.Context(), e); a.Result != spf.Pass || a.Domain != "good.example" {
			t.Errorf("%+v", a)
		}
	}
	for _, name := range []string{"good.example", "_spf.example", "mx.host.example"} {
		if n := s.Count(name, "TXT"); n != 1 {
			t.Errorf("%s was asked for %d times", name, n)
		}
	}
	if a := d.spfHelo(t.Context(), session); a.Result != spf.Pass || a.Domain != "mx.host.example" {
		t.Errorf("%+v", a)
	}
}

// hurt is a resolver whose TXT panics.
type hurt struct{ Resolver }

func (hurt) TXT(context.Context, string) dns.Answer[string] { panic("out of order") }

// TestSPFBreaks shows that an evaluation that breaks is no answer, for the check and for others who ask.
func TestSPFBreaks(t *testing.T) {
	d := &Deps{Resolver: hurt{resolver(t, spfWorld(t))}, Only: []string{"spf", "spf.helo"}}
	pl := build(t, "", d)
	for check, path := range map[string]string{"spf": "<a@good.example>", "spf.helo": "<a@good.example>"} {
		f, v := spfFinding(t, d, pl, check, "192.0.2.1", "mx.host.example", path)
		if f.Result != gateway.Unknown || v.Outcome != gateway.Accept {
			t.Errorf("%s: %s %s, %s", check, f.Result, f.Reason, v.Outcome)
		}
	}
	e := &gateway.Envelope{From: mailFrom(t, "<a@good.example>"), Session: from("192.0.2.1", "x.example")}
	func() {
		defer func() { _ = recover() }()
		d.spfMail(t.Context(), e)
	}()
	if a := d.spfMail(t.Context(), e); a.Result != spf.TempError || a.Domain != "good.example" {
		t.Errorf("who asks after a panic hears %s of %q", a.Result, a.Domain)
	}
}

// TestSPFHostileDNS shows an evaluation against a name server that times out, truncates, loops, floods and lies: each ends
// in time, with few questions, and with no result that was not told.
func TestSPFHostileDNS(t *testing.T) {
	const record = "v=spf1 a:one.example mx:two.example include:three.example exists:four.example ptr -all"
	zone := "hostile.example. TXT \"" + record + "\"\none.example. A 203.0.113.1\ntwo.example. MX 10 mx.two.example.\nmx.two.example. A 203.0.113.2\n" +
		"three.example. TXT \"v=spf1 ip4:203.0.113.3 ~all\"\n9.2.0.192.in-addr.arpa. PTR host.example.\nhost.example. A 192.0.2.9\n" +
		"wide.example. TXT \"v=spf1 mx mx:wide1.example mx:wide2.example mx:wide3.example include:wide4.example -all\"\nwide4.example. TXT \"v=spf1 mx mx:wide1.example mx:wide2.example redirect=wide.example\"\n"
	for i := range 5 {
		for k := range 10 {
			zone += fmt.Sprintf("wide%s.example. MX %d m%d-%d.example.\nm%d-%d.example. A 203.0.113.%d\n", []string{"", "1", "2", "3", "4"}[i], k, i, k, i, k, k+1)
		}
	}
	all := []string{"hostile.example", "one.example", "two.example", "mx.two.example", "three.example", "four.example", "9.2.0.192.in-addr.arpa"}
	for _, c := range []struct {
		about string
		kind  dnslab.Kind
		at    []string
		want  []spf.Result
		most  int // questions on the wire
	}{
		{"honest", dnslab.Honest, all, []spf.Result{spf.Fail}, 9},
		{"the record never comes", dnslab.Timeout, all[:1], []spf.Result{spf.TempError}, 1},
		{"a term never comes", dnslab.Timeout, all[1:2], []spf.Result{spf.TempError}, 9},
		{"nothing comes", dnslab.Timeout, all[1:], []spf.Result{spf.TempError}, 9},
		{"mail host fails", dnslab.ServFail, all[3:4], []spf.Result{spf.TempError}, 9},
		{"include fails", dnslab.ServFail, all[4:5], []spf.Result{spf.TempError}, 9},
		{"exists fails", dnslab.ServFail, all[5:6], []spf.Result{spf.TempError}, 9},
		{"the reverse zone fails", dnslab.ServFail, all[6:], []spf.Result{spf.Fail}, 9},
		{"refused", dnslab.Refused, all[:1], []spf.Result{spf.TempError}, 1},
		{"bogus", dnslab.Bogus, all[:1], []spf.Result{spf.TempError}, 1},
		{"gone", dnslab.NXDomain, all[:1], []spf.Result{spf.None}, 1},
		{"an include is gone", dnslab.NXDomain, all[4:5], []spf.Result{spf.PermError}, 9},
		{"truncated over UDP", dnslab.Truncate, all, []spf.Result{spf.Fail}, 18},
		{"truncated over TCP too", dnslab.TruncateBoth, all[:1], []spf.Result{spf.TempError, spf.PermError}, 2},
		{"truncated, and TCP is silent", dnslab.TruncateSilent, all[:1], []spf.Result{spf.TempError}, 2},
		{"a circle of aliases", dnslab.CNAMELoop, all[:1], []spf.Result{spf.TempError}, 20},
		{"a circle in a term", dnslab.CNAMELoop, all[1:2], []spf.Result{spf.TempError}, 28},
		{"60 KB of text", dnslab.HugeTXT, all[:1], []spf.Result{spf.None, spf.PermError, spf.TempError}, 2},
		{"2,000 addresses", dnslab.ManyRecords, all[1:2], []spf.Result{spf.TempError}, 10},
		{"garbage", dnslab.Garbage, all[:1], []spf.Result{spf.TempError}, 2},
		{"another's answer", dnslab.WrongQuestion, all[:1], []spf.Result{spf.TempError}, 1},
		{"forged answers before the honest one", dnslab.Spoof, all, []spf.Result{spf.Fail}, 9},
		{"odd case", dnslab.MangleCase, all, []spf.Result{spf.Fail}, 9},
	} {
		t.Run(c.about, func(t *testing.T) {
			t.Parallel()
			s := dnslab.New(t, dnslab.Text(zone))
			for _, name := range c.at {
				s.SetFault(name, dnslab.Fault{Kind: c.kind})
			}
			d := &Deps{Resolver: resolver(t, s), Hostname: "mx.served.example"}
			e := &gateway.Envelope{From: mailFrom(t, "<a@hostile.example>"), Session: from("192.0.2.9", "x.example")}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			a := d.spfMail(ctx, e)
			if !slices.Contains(c.want, a.Result) || ctx.Err() != nil {
				t.Errorf("%s, want %v: %+v", a.Result, c.want, a.Outcome)
			}
			total := 0
			for _, n := range s.Queries() {
				total += n
			}
			if total > c.most {
				t.Errorf("%d questions, at most %d: %v", total, c.most, s.Queries())
			}
			if len(a.asked.said) > maxSaid {
				t.Errorf("%d lines of evidence", len(a.asked.said))
			}
		})
	}
	// The widest record there is: ten terms of ten mail hosts each. More is not asked, however it is wound.
	s := dnslab.New(t, dnslab.Text(zone))
	d := &Deps{Resolver: resolver(t, s)}
	e := &gateway.Envelope{From: mailFrom(t, "<a@wide.example>"), Session: from("192.0.2.9", "x.example")}
	if a := d.spfMail(t.Context(), e); a.Result != spf.PermError || a.Lookups != 11 {
		t.Errorf("%+v", a.Outcome)
	}
	total := 0
	for _, n := range s.Queries() {
		total += n
	}
	if total > 2+5*11 { // what was asked before is not asked again
		t.Errorf("%d questions: %v", total, s.Queries())
	}
}

// TestSPFClientGone shows that what ends early is not told as anything.
func TestSPFClientGone(t *testing.T) {
	d := &Deps{Resolver: silent{}, Hostname: "mx.served.example"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := &gateway.Envelope{From: mailFrom(t, "<a@good.example>"), Session: from("192.0.2.9", "x.example")}
	if a := d.spfMail(ctx, e); a.Result != spf.TempError {
		t.Errorf("%+v", a.Outcome)
	}
	var zero spfAnswer
	in := &gateway.Input{Session: &gateway.Session{Client: netip.MustParseAddrPort("192.0.2.9:1")}}
	if f := zero.finding(in, true); f.Result != gateway.Unknown || f.Reason != gateway.DNSFailed {
		t.Errorf("the zero answer is %s %s", f.Result, f.Reason)
	}
}
