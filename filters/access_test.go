package filters

import (
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
)

// entries writes entries of an access list.
func entries(check string, lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("[[checks." + check + ".entry]]\n" + strings.ReplaceAll(l, "; ", "\n") + "\n")
	}
	return b.String()
}

func TestAccessClient(t *testing.T) {
	yesterday, today := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly), time.Now().UTC().Format(time.DateOnly)
	d := &Deps{}
	pl := build(t, entries("access.client",
		`network = "192.0.2.0/24"; reason = "scans"; owner = "anna"`,
		`network = "192.0.2.128/25"; list = "allow"`,
		`network = "192.0.2.200/32"`,
		`network = "192.0.2.64/26"; list = "allow"; expires = "`+yesterday+`"`,
		`network = "198.51.100.0/24"; expires = "`+today+`"`,
		`network = "198.51.100.0/24"; list = "allow"`,
		`network = "203.0.113.0/24"; list = "allow"`,
		`network = "203.0.113.0/24"`,
		`network = "2001:db8::/32"`,
		`network = "2001:db8:1::/48"; list = "allow"`,
		`network = "fe80::/10"`,
		`network = "0.0.0.0/1"`), d)
	for _, c := range []struct{ client, want, entry string }{
		{"192.0.2.1", "block", "block 192.0.2.0/24, owner anna, reason scans"},
		{"192.0.2.70", "block", ""}, // the narrower allowance is over
		{"192.0.2.129", "allow", "allow 192.0.2.128/25"},
		{"192.0.2.200", "block", "block 192.0.2.200/32"},
		{"::ffff:192.0.2.1", "block", ""},
		{"::ffff:192.0.2.129", "allow", ""},
		{"198.51.100.9", "block", "block 198.51.100.0/24, until " + today}, // a block wins over the same network allowed
		{"203.0.113.1", "block", "block 203.0.113.0/24"},
		{"203.0.114.1", "", ""},
		{"2001:db8:2::1", "block", ""},
		{"2001:db8:1::1", "allow", ""},
		{"2001:db9::1", "", ""},
		{"fe80::1%eth0", "block", ""},
		{"100.0.0.1", "block", ""},
		{"::100.0.0.1", "", ""},
	} {
		s := from(c.client, "x.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		v := pl.Run(t.Context(), gateway.Connect, input(s, nil))
		f := s.Findings[0]
		got := strings.Join(measured(f), ",")
		if got != c.want || (v.Outcome == gateway.Reject) != (c.want == "block") || (v.Waived != "") != (c.want == "allow") {
			t.Errorf("%s: %s, %s, waived by %q, %v", c.client, got, v.Outcome, v.Waived, f.Evidence)
		}
		if c.entry != "" && evidence(f, "entry") != c.entry {
			t.Errorf("%s: the trace shows %q, want %q", c.client, evidence(f, "entry"), c.entry)
		}
	}
}

// TestAccessHoldsToRcpt shows who passes a block, and what an allowance never skips.
func TestAccessHoldsToRcpt(t *testing.T) {
	d := &Deps{Recipients: answers{}}
	pl := build(t, entries("access.client", `network = "192.0.2.0/24"`, `network = "198.51.100.0/24"; list = "allow"`), d)
	for _, c := range []struct{ client, to, reply string }{
		{"192.0.2.1", "anna@served.example", "554 5.7.1 Refused by this site's own block list: your network"},
		{"192.0.2.1", "Postmaster@served.example", "451 4.4.1"}, // passes the list, and then asks a next hop that is away
		{"192.0.2.1", "abuse@served.example", "451 4.4.1"},
		{"198.51.100.1", "anna@elsewhere.example", "550 5.7.1 Relaying denied"},
		{"198.51.100.1", "anna@served.example", "451 4.4.1"},
	} {
		s := from(c.client, "x.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		pl.Run(t.Context(), gateway.Connect, input(s, nil))
		e := &gateway.Envelope{Rcpts: []gateway.Recipient{recipientOf(t, d.Policy, "<"+c.to+">")}}
		in := input(s, e)
		in.Rcpt = 0
		v := pl.Run(t.Context(), gateway.Rcpt, in)
		if _, r := v.Rcpt(0, 1); !strings.HasPrefix(r.String(), c.reply) {
			t.Errorf("%s to %s: %s, want %s", c.client, c.to, r, c.reply)
		}
	}
}

func TestAccessSender(t *testing.T) {
	s := names(t)
	s.SetFault("3.2.0.192.in-addr.arpa", dnslab.Fault{Kind: dnslab.ServFail})
	s.SetFault("1.0.0.127.in-addr.arpa", dnslab.Fault{Kind: dnslab.ServFail}) // must not be asked
	d := &Deps{Resolver: resolver(t, s)}
	pl := build(t, "[checks.sender]\naction = \"off\"\n"+entries("access.sender",
		`helo = "YLMF-PC"`, `helo = "under_score"`, `helo = ".dyn.example"`, `helo = "[192.0.2.9]"`,
		`reverse = "Good.Example."`, `reverse = ".slow.example"`,
		`address = "Bad.One@Spam.Example"`, `address = "@whole.example"`, `address = "@.below.example"`,
		`address = "@Bücher.test"`, `address = "\"a b\"@quoted.example"`, `address = "@[192.0.2.66]"; reason = "r"`,
		`address = "@over.example"; expires = "2020-01-01"`), d)
	for _, c := range []struct{ client, helo, path, shown string }{
		{"192.0.2.77", "ylmf-pc", "<>", "helo YLMF-PC"},
		{"192.0.2.77", "UNDER_score", "<>", "helo under_score"},
		{"192.0.2.77", "a.Dyn.Example", "<>", "helo .dyn.example"},
		{"192.0.2.77", "a.dyn.example.", "<>", "helo .dyn.example"},
		{"192.0.2.77", "dyn.example", "<>", ""},
		{"192.0.2.77", "xdyn.example", "<>", ""},
		{"192.0.2.77", "[192.0.2.9]", "<>", "helo [192.0.2.9]"},
		{"192.0.2.1", "x.example", "<>", "reverse Good.Example."},
		{"192.0.2.2", "x.example", "<>", ""},
		{"127.0.0.1", "x.example", "<>", ""},
		{"192.0.2.77", "x.example", "<bad.one@spam.example>", "address Bad.One@Spam.Example"},
		{"192.0.2.77", "x.example", `<"BAD.one"@SPAM.example>`, "address Bad.One@Spam.Example"},
		{"192.0.2.77", "x.example", "<bad.two@spam.example>", ""},
		{"192.0.2.77", "x.example", "<x@whole.example>", "address @whole.example"},
		{"192.0.2.77", "x.example", "<x@sub.whole.example>", ""},
		{"192.0.2.77", "x.example", "<x@sub.below.example>", "address @.below.example"},
		{"192.0.2.77", "x.example", "<x@below.example>", ""},
		{"192.0.2.77", "x.example", "<x@xn--bcher-kva.test>", "address @Bücher.test"},
		{"192.0.2.77", "x.example", "<x@BÜCHER.test> SMTPUTF8", "address @Bücher.test"},
		{"192.0.2.77", "x.example", `<"a b"@quoted.example>`, `address "a b"@quoted.example`},
		{"192.0.2.77", "x.example", "<x@[192.0.2.66]>", "address @[192.0.2.66]"},
		{"192.0.2.77", "x.example", "<x@over.example>", ""},
	} {
		session := from(c.client, c.helo)
		session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		e := &gateway.Envelope{From: mailFrom(t, c.path)}
		v := pl.Run(t.Context(), gateway.Mail, input(session, e))
		f := e.Findings[0]
		shown := ""
		if len(f.Measures) > 0 {
			shown = f.Measures[0].Text
		}
		if shown != c.shown || (v.Outcome == gateway.Reject) != (c.shown != "") || f.Result == gateway.Unknown {
			t.Errorf("%s %s %s: %q %s %s, want %q", c.client, c.helo, c.path, shown, f.Result, v.Outcome, c.shown)
		}
	}
	// DNS that fails is not known, and does not stop strangers.
	session := from("192.0.2.3", "x.example")
	session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
	e := &gateway.Envelope{From: mailFrom(t, "<a@b.example>")}
	v := pl.Run(t.Context(), gateway.Mail, input(session, e))
	if f := e.Findings[0]; f.Result != gateway.Unknown || v.Outcome != gateway.Accept || strings.Join(v.Marks, "") != "access.sender" {
		t.Errorf("%s, %s, marks %v", f.Result, v.Outcome, v.Marks)
	}
}

// TestAccessRefusesNonsense shows that an entry that cannot match is refused where it stands.
func TestAccessRefusesNonsense(t *testing.T) {
	for entry, want := range map[string]string{
		`network = "::ffff:192.0.2.0/120"`:            "IPv4 network written as IPv6",
		`network = "0.0.0.0/0"; list = "allow"`:       "whole internet",
		`network = "::/0"; list = "allow"`:            "whole internet",
		`network = "192.0.2.0/24"; list = "welcome"`:  "welcome",
		`network = "192.0.2.0/33"`:                    "192.0.2.0/33",
		`network = "192.0.2.0/24"; expires = "never"`: "never",
		`list = "allow"`:                              "network",
	} {
		if _, problems := load(t, entries("access.client", entry)); !problems.Refused() || !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: %v", entry, problems)
		}
	}
	for entry, want := range map[string]string{
		`helo = "a"; address = "@b"`: "exactly one",
		`reason = "none"`:            "exactly one",
		`address = "spam.example"`:   "no address",
		`address = "a@"`:             "no address",
		`address = "@"`:              "no address",
		`address = "a@b@c"`:          "no address",
		`reverse = "*.dyn.example"`:  "no name",
		`reverse = "a b"`:            "no name",
		`helo = "."`:                 "no name",
	} {
		if _, problems := load(t, entries("access.sender", entry)); !problems.Refused() || !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: %v", entry, problems)
		}
	}
	if _, problems := load(t, entries("access.client", `network = "0.0.0.0/0"`)); problems.Refused() {
		t.Errorf("a site that takes mail from a few only: %v", problems)
	}
}
