package filters

import (
	"context"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/limit"
)

// names is the world of the tests of helo, rdns and sender.
func names(t testing.TB) *dnslab.Server {
	return dnslab.New(t, dnslab.Text(`
1.2.0.192.in-addr.arpa. PTR good.example.
good.example.           A 192.0.2.1
good.example.           MX 10 mail.good.example.
mail.good.example.      A 192.0.2.10
2.2.0.192.in-addr.arpa. PTR liar.example.
liar.example.           A 198.51.100.9
4.2.0.192.in-addr.arpa. PTR slow.example.
slow.example.           A 192.0.2.4
5.2.0.192.in-addr.arpa. PTR gone.example.
6.2.0.192.in-addr.arpa. PTR gone.example.
6.2.0.192.in-addr.arpa. PTR six.example.
six.example.            A 192.0.2.6
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.example.
six.example.            AAAA 2001:db8::1
many.example.           A 198.51.100.1
many.example.           AAAA 2001:db8::2
wide.example.           A 198.51.100.77
served.example.         A 192.0.2.1
null.example.           MX 0 .
half.example.           A 198.51.100.50
bare.example.           A 192.0.2.1
nothing.example.        TXT "x"
lost.example.           MX 10 nowhere.example.
loop.example.           MX 10 localhost.example.
localhost.example.      A 127.0.0.1
xn--bcher-kva.test.     MX 10 mail.good.example.
`))
}

func TestHelo(t *testing.T) {
	s := names(t)
	s.SetFault("dead.example", dnslab.Fault{Kind: dnslab.Timeout})
	s.SetFault("broken.example", dnslab.Fault{Kind: dnslab.ServFail})
	s.SetFault("half.example", dnslab.Fault{Kind: dnslab.ServFail, Type: "AAAA"})
	d := &Deps{Resolver: resolver(t, s), Hostname: "MX.Served.Example", Policy: servedPolicy()}
	for _, c := range []struct {
		client, name string
		result       gateway.Result
		reason       gateway.Reason
		measures     string
	}{
		{"192.0.2.1", "good.example", gateway.Pass, "", ""},
		{"192.0.2.1", "GOOD.Example", gateway.Pass, "", ""},
		{"::ffff:192.0.2.1", "good.example", gateway.Pass, "", ""},
		{"198.51.100.1", "many.example", gateway.Pass, "", ""},
		{"2001:db8::2", "many.example", gateway.Pass, "", ""},
		{"198.51.100.2", "many.example", gateway.Pass, "", "mismatch"}, // RFC 5321 section 4.1.4: no failure
		{"192.0.2.1", "nowhere.example", gateway.Fail, gateway.HeloUnresolved, "unresolved"},
		{"192.0.2.1", "nothing.example", gateway.Fail, gateway.HeloUnresolved, "unresolved"},
		{"192.0.2.1", "dead.example", gateway.Unknown, gateway.DNSFailed, ""},
		{"192.0.2.1", "broken.example", gateway.Unknown, gateway.DNSFailed, ""},
		{"192.0.2.1", "half.example", gateway.Unknown, gateway.DNSFailed, ""},
		{"192.0.2.1", "ylmf-pc", gateway.Fail, gateway.HeloInvalid, "invalid"},
		{"192.0.2.1", "192.0.2.1", gateway.Fail, gateway.HeloInvalid, "invalid"},
		{"192.0.2.1", "under_score.example", gateway.Fail, gateway.HeloInvalid, "invalid"},
		{"192.0.2.1", "good.example.", gateway.Fail, gateway.HeloInvalid, "invalid"},
		{"192.0.2.1", "a..example", gateway.Fail, gateway.HeloInvalid, "invalid"},
		{"192.0.2.1", "", gateway.Fail, gateway.HeloInvalid, "invalid"},
		{"192.0.2.1", "[192.0.2.1]", gateway.Pass, "", ""},
		{"::ffff:192.0.2.1", "[192.0.2.1]", gateway.Pass, "", ""},
		{"2001:db8::1", "[IPv6:2001:db8::1]", gateway.Pass, "", ""},
		{"2001:db8::1", "[ipv6:2001:DB8:0::1]", gateway.Pass, "", ""},
		{"192.0.2.1", "[192.0.2.2]", gateway.Fail, gateway.HeloLiteral, "mismatch"},
		{"192.0.2.1", "[127.0.0.1]", gateway.Fail, gateway.HeloLiteral, "mismatch"},
		{"192.0.2.1", "[203.0.113.25]", gateway.Fail, gateway.HeloOurs, "ours"},
		{"192.0.2.1", "[IPv6:::ffff:203.0.113.25]", gateway.Fail, gateway.HeloOurs, "ours"},
		{"192.0.2.1", "[1.2.3]", gateway.Fail, gateway.HeloInvalid, "invalid"},
		{"192.0.2.1", "mx.served.example", gateway.Fail, gateway.HeloOurs, "ours"},
		{"192.0.2.1", "served.example", gateway.Pass, "", ""}, // our own server outside: the name leads to it
		{"192.0.2.9", "served.example", gateway.Fail, gateway.HeloOurs, "ours"},
		{"192.0.2.9", "wide.example", gateway.Fail, gateway.HeloOurs, "ours"},
		{"192.0.2.9", "xn--bcher-kva.example", gateway.Fail, gateway.HeloOurs, "ours"},
		{"192.0.2.9", "host.wide.example", gateway.Fail, gateway.HeloUnresolved, "unresolved"},
		// Clients inside are printers and applications: nothing they say costs anything.
		{"127.0.0.1", "ylmf-pc", gateway.NotRun, gateway.LeftNoInput, ""},
		{"::1", "mx.served.example", gateway.NotRun, gateway.LeftNoInput, ""},
		{"10.1.2.3", "[127.0.0.1]", gateway.NotRun, gateway.LeftNoInput, ""},
		{"fd00::7", "printer", gateway.NotRun, gateway.LeftNoInput, ""},
		{"fe80::7", "printer", gateway.NotRun, gateway.LeftNoInput, ""},
		{"100.64.0.1", "printer", gateway.NotRun, gateway.LeftNoInput, ""},
		{"::ffff:192.168.1.1", "printer", gateway.NotRun, gateway.LeftNoInput, ""},
		{"100.128.0.1", "printer", gateway.Fail, gateway.HeloInvalid, "invalid"},
	} {
		f := run(t, d.runHelo, input(from(c.client, c.name), nil))
		if f.Result != c.result || f.Reason != c.reason || strings.Join(measured(f), ",") != c.measures {
			t.Errorf("%s says %s: %s %s %v, want %s %s %s", c.client, c.name, f.Result, f.Reason, measured(f), c.result, c.reason, c.measures)
		}
		if len(f.Evidence) == 0 && f.Reason != gateway.HeloInvalid {
			t.Errorf("%s says %s: no evidence", c.client, c.name)
		}
	}
}

func TestRDNS(t *testing.T) {
	s := names(t)
	s.SetFault("3.2.0.192.in-addr.arpa", dnslab.Fault{Kind: dnslab.ServFail})
	s.SetFault("8.2.0.192.in-addr.arpa", dnslab.Fault{Kind: dnslab.Timeout})
	s.SetFault("9.2.0.192.in-addr.arpa", dnslab.Fault{Kind: dnslab.Garbage})
	s.SetFault("slow.example", dnslab.Fault{Kind: dnslab.Timeout})
	d := &Deps{Resolver: resolver(t, s)}
	for _, c := range []struct {
		client   string
		result   gateway.Result
		reason   gateway.Reason
		measures string
		reverse  string
	}{
		{"192.0.2.1", gateway.Pass, "", "", "good.example"},
		{"::ffff:192.0.2.1", gateway.Pass, "", "", "good.example"},
		{"2001:db8::1", gateway.Pass, "", "", "six.example"},
		{"192.0.2.6", gateway.Pass, "", "", "six.example"}, // one of two names leads back
		{"192.0.2.2", gateway.Fail, gateway.RDNSUnconfirmed, "unconfirmed", ""},
		{"192.0.2.5", gateway.Fail, gateway.RDNSUnconfirmed, "unconfirmed", ""},
		{"198.51.100.1", gateway.Fail, gateway.RDNSNone, "none", ""},
		{"192.0.2.3", gateway.Unknown, gateway.DNSFailed, "", ""},
		{"192.0.2.8", gateway.Unknown, gateway.DNSFailed, "", ""},
		{"192.0.2.9", gateway.Unknown, gateway.DNSFailed, "", ""},
		{"192.0.2.4", gateway.Unknown, gateway.DNSFailed, "", ""}, // its name cannot be told to lead back
		{"127.0.0.1", gateway.NotRun, gateway.LeftNoInput, "", ""},
		{"10.0.0.1", gateway.NotRun, gateway.LeftNoInput, "", ""},
	} {
		f := run(t, d.runRDNS, input(from(c.client, "x.example"), nil))
		if f.Result != c.result || f.Reason != c.reason || strings.Join(measured(f), ",") != c.measures || evidence(f, gateway.EvidenceReverse) != c.reverse {
			t.Errorf("%s: %s %s %v %v", c.client, f.Result, f.Reason, measured(f), f.Evidence)
		}
		if f.Result != gateway.Pass && len(f.Evidence) == 0 {
			t.Errorf("%s: no evidence", c.client)
		}
		want := map[gateway.Result]string{gateway.Pass: "pass", gateway.Fail: "fail", gateway.Unknown: "temperror"}[c.result]
		if want == "" && len(f.Auth) > 0 || want != "" && (len(f.Auth) != 1 || f.Auth[0].Method != "iprev" || f.Auth[0].Result != want ||
			f.Auth[0].Prop("policy", "iprev") != strings.TrimPrefix(c.client, "::ffff:")) {
			t.Errorf("%s: says %+v", c.client, f.Auth)
		}
	}
	f := run(t, d.runRDNS, input(from("192.0.2.2", "x.example"), nil))
	if got := evidence(f, "PTR"); got != "liar.example does not lead back" {
		t.Errorf("the trace shows %q", got)
	}
}

// TestReverseIsLookedUpOnce shows that helo, rdns, rate.messages and what began with the connection share one lookup.
func TestReverseIsLookedUpOnce(t *testing.T) {
	s := names(t)
	d := &Deps{Resolver: resolver(t, s), Rates: limit.Defaults()} // an organisation is known by its reverse name
	pl := build(t, "", d)
	session := from("192.0.2.1", "good.example")
	session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	if len(pl.Ahead) != 1 {
		t.Fatalf("%d lookups begin with the connection", len(pl.Ahead))
	}
	pl.Begin(t.Context(), session)
	e := &gateway.Envelope{From: mailFrom(t, "<a@good.example>")}
	in := input(session, e)
	pl.Run(t.Context(), gateway.Helo, in)
	pl.Run(t.Context(), gateway.Mail, in)
	for _, f := range e.Findings {
		if f.Result != gateway.Pass && f.Reason != gateway.LeftNoInput {
			t.Errorf("%s: %s %s %v", f.Check, f.Result, f.Reason, f.Evidence)
		}
	}
	if n := s.Count("1.2.0.192.in-addr.arpa", "PTR"); n != 1 {
		t.Errorf("the reverse name was asked for %d times", n)
	}
	inside := from("10.0.0.1", "x")
	if rest := pl.Ahead[0](t.Context(), inside); rest != nil {
		t.Error("there is something to wait for where nothing can be asked")
	}
	if n := s.Count("1.0.0.10.in-addr.arpa", "PTR"); n != 0 {
		t.Error("a private address was looked up")
	}
}

func TestSender(t *testing.T) {
	s := names(t)
	for name, fault := range map[string]dnslab.Kind{"dead.example": dnslab.Timeout, "broken.example": dnslab.ServFail,
		"garbage.example": dnslab.Garbage, "refused.example": dnslab.Refused, "bogus.example": dnslab.Bogus} {
		s.SetFault(name, dnslab.Fault{Kind: fault})
	}
	s.SetFault("bare.example", dnslab.Fault{Kind: dnslab.ServFail, Type: "MX"}) // its address must not stand in
	d := &Deps{Resolver: resolver(t, s)}
	pl := build(t, "", d)
	for _, c := range []struct {
		path    string
		result  gateway.Result
		reason  gateway.Reason
		reply   string // begins with
		measure string
	}{
		{"<a@good.example>", gateway.Pass, "", "", ""},
		{"<a@GOOD.Example>", gateway.Pass, "", "", ""},
		{"<a@bücher.test>", gateway.Pass, "", "", ""},
		{"<a@six.example>", gateway.Pass, "", "", ""}, // no MX, an address
		{"<a@lost.example>", gateway.Pass, "", "", "unreachable"},
		{"<a@loop.example>", gateway.Pass, "", "", "unreachable"},
		{"<a@xn--bcher-kva.example>", gateway.Pass, "", "", ""}, // served here, and not in this DNS
		{"<a@sub.wide.example>", gateway.Pass, "", "", ""},
		{"<a@sub.served.example>", gateway.Fail, gateway.SenderNoDomain, "550 5.1.8 ", ""},
		{"<a@gone.example>", gateway.Fail, gateway.SenderNoDomain, "550 5.1.8 ", ""},
		{"<a@null.example>", gateway.Fail, gateway.SenderNullMX, "550 5.7.27 ", ""},
		{"<a@nothing.example>", gateway.Fail, gateway.SenderNoMailHost, "550 5.1.8 ", ""},
		{"<a@dead.example>", gateway.Unknown, gateway.DNSFailed, "451 4.4.3 ", ""},
		{"<a@broken.example>", gateway.Unknown, gateway.DNSFailed, "451 4.4.3 ", ""},
		{"<a@garbage.example>", gateway.Unknown, gateway.DNSFailed, "451 4.4.3 ", ""},
		{"<a@refused.example>", gateway.Unknown, gateway.DNSFailed, "451 4.4.3 ", ""},
		{"<a@bogus.example>", gateway.Unknown, gateway.DNSFailed, "451 4.4.3 ", ""},
		{"<a@bare.example>", gateway.Unknown, gateway.DNSFailed, "451 4.4.3 ", ""},
		{"<>", gateway.NotRun, gateway.LeftNoInput, "", ""},
		{"<a@[192.0.2.1]>", gateway.NotRun, gateway.LeftNoInput, "", ""},
	} {
		session := from("192.0.2.1", "good.example")
		session.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		e := &gateway.Envelope{}
		path := c.path
		if strings.Contains(path, "ü") {
			path += " SMTPUTF8"
		}
		e.From = mailFrom(t, path)
		v := pl.Run(t.Context(), gateway.Mail, input(session, e))
		i := slices.IndexFunc(e.Findings, func(f gateway.Finding) bool { return f.Check == "sender" })
		f := e.Findings[i]
		if f.Result != c.result || f.Reason != c.reason || strings.Join(measured(f), "") != c.measure ||
			!strings.HasPrefix(v.Reply.String(), c.reply) || (c.reply == "") != (v.Outcome == gateway.Accept) {
			t.Errorf("%s: %s %s %v %v, %s", c.path, f.Result, f.Reason, measured(f), f.Evidence, v.Reply)
		}
		if f.Result != gateway.NotRun && len(f.Evidence) == 0 {
			t.Errorf("%s: no evidence", c.path)
		}
	}
}

// TestNoTime shows that a check whose time is over does not know.
func TestNoTime(t *testing.T) {
	d := &Deps{Resolver: resolver(t, names(t))}
	pl := build(t, "", d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := dataOf(t, with(""))
	e.From = mailFrom(t, "<a@good.example>")
	s := from("192.0.2.1", "good.example")
	s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
	in := input(s, e)
	for stage, rows := range pl.Rows {
		for _, row := range rows {
			for _, c := range row.Checks {
				switch c.Name {
				case "helo", "rdns", "sender", "clamav", "spamassassin":
					if f := c.Run(ctx, in); f.Result != gateway.Unknown || f.Reason == "" {
						t.Errorf("%s %s: %s %s", gateway.Stage(stage), c.Name, f.Result, f.Reason)
					}
				}
			}
		}
	}
}
