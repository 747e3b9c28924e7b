package filters

import (
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// recipientOf reads the argument of RCPT as the edge does.
func recipientOf(t testing.TB, p *gateway.Policy, path string) gateway.Recipient {
	t.Helper()
	a, rest, _, err := smtpwire.ParseForwardPath(path, true)
	if err != nil || rest != "" {
		t.Fatalf("%s: %v, %q", path, err, rest)
	}
	r := gateway.Recipient{Address: addressOf(a)}
	if d := p.Serves(r.Address); d != nil {
		r.Route = d.Route
	}
	return r
}

// Relay tricks: paths that must not pass, and who stops them.
const (
	byParser = "parser" // no address by RFC 5321: refused before any check
	byRelay  = "relay"
	taken    = "taken"
)

// TestRelayTricks is the matrix of ways to make a host relay. Each path is parsed as the edge does; what passes must be an
// address of a served domain whose local part names no other one.
func TestRelayTricks(t *testing.T) {
	d := &Deps{Recipients: answers{}}
	pl := build(t, "[checks.rcpt]\naction = \"off\"\n", d)
	for _, c := range []struct{ path, want string }{
		// What is served.
		{"<anna@served.example>", taken},
		{"<anna@SERVED.Example>", taken},
		{`<"anna b"@served.example>`, taken},
		{`<"\a\n\n\a"@served.example>`, taken},
		{"<anna+tag=x@served.example>", taken},
		{"<anna@wide.example>", taken},
		{"<anna@a.wide.example>", taken},
		{"<anna@a.b.WIDE.example>", taken},
		{"<anna@xn--bcher-kva.example>", taken},
		{"<anna@XN--BCHER-KVA.example>", taken},
		{"<anna@bücher.example>", taken},
		{"<anna@BÜCHER.EXAMPLE>", taken},
		{"<anna@bu\u0308cher.example>", taken}, // the same letter in two code points
		{"<postmaster>", taken},
		{"<PostMaster>", taken},
		{"<postmaster@served.example>", taken},
		// What is not.
		{"<anna@elsewhere.example>", byRelay},
		{"<anna@example>", byRelay},
		{"<postmaster@elsewhere.example>", byRelay},
		{"<abuse@elsewhere.example>", byRelay},
		{"<anna@sub.served.example>", byRelay}, // names below it are not served
		{"<anna@notserved.example>", byRelay},
		{"<anna@xserved.example>", byRelay},
		{"<anna@served.example.elsewhere.example>", byRelay},
		{"<anna@served.example.com>", byRelay},
		{"<anna@xwide.example>", byRelay},
		{"<anna@wide.example.elsewhere.example>", byRelay},
		{"<anna@bucher.example>", byRelay},
		{"<anna@a.bücher.example>", byRelay},
		{"<anna@xn--served-example.example>", byRelay},
		{"<anna@s\u0435rved.example>", byRelay}, // a Cyrillic letter
		// Address literals: those of this host too.
		{"<anna@[192.0.2.1]>", byRelay},
		{"<anna@[127.0.0.1]>", byRelay},
		{"<anna@[203.0.113.25]>", byRelay},
		{"<anna@[IPv6:2001:db8::1]>", byRelay},
		{"<anna@[IPv6:::1]>", byRelay},
		{"<anna@[IPv6:::ffff:127.0.0.1]>", byRelay},
		{"<postmaster@[127.0.0.1]>", byRelay},
		{"<anna@[served.example]>", byParser},
		{"<anna@127.0.0.1>", byRelay},
		{"<anna@[127.0.0.1].served.example>", byParser},
		// Routes in the local part: percent hack, bang path, quoted @.
		{"<anna%elsewhere.example@served.example>", byRelay},
		{"<anna%elsewhere.example%other.example@served.example>", byRelay},
		{"<anna%elsewhere.example@[127.0.0.1]>", byRelay},
		{`<"anna%elsewhere.example"@served.example>`, byRelay},
		{`<"anna\%elsewhere.example"@served.example>`, byRelay},
		{`<"anna@elsewhere.example"@served.example>`, byRelay},
		{`<"anna\@elsewhere.example"@served.example>`, byRelay},
		{`<"anna@elsewhere.example"@elsewhere.example>`, byRelay},
		{`<"@elsewhere.example:anna"@served.example>`, byRelay},
		{"<elsewhere.example!anna@served.example>", byRelay},
		{"<served.example!elsewhere.example!anna@served.example>", byRelay},
		{`<"elsewhere.example!anna"@served.example>`, byRelay},
		{"<elsewhere.example!anna@a.wide.example>", byRelay},
		{"<elsewhere.example!anna>", byParser},
		{"<anna%elsewhere.example>", byParser},
		{"<anna>", byParser},
		{"<abuse>", byParser},
		{`<"postmaster">`, byParser},
		{`<"anna@elsewhere.example">`, byParser},
		{`<"postmaster@elsewhere.example"@served.example>`, byRelay},
		// Source routes.
		{"<@served.example:anna@elsewhere.example>", byParser},
		{"<@served.example,@wide.example:anna@elsewhere.example>", byParser},
		{"<@elsewhere.example:anna@served.example>", byParser},
		{"<@served.example>", byParser},
		// Several @, other brackets, other dots.
		{"<anna@elsewhere.example@served.example>", byParser},
		{"<anna@served.example@elsewhere.example>", byParser},
		{"<anna@@served.example>", byParser},
		{"<anna@served.example.>", byParser},
		{"<anna@elsewhere.example.>", byParser},
		{"<anna@.served.example>", byParser},
		{"<anna@served..example>", byParser},
		{"<anna@served\u3002example>", byParser}, // an ideographic full stop
		{"<anna@\uff53erved.example>", byParser}, // a full-width letter
		{"<anna\uff20served.example>", byParser}, // a full-width @
		{"<anna@elsewhere.example,anna@served.example>", byParser},
		{"<anna@elsewhere.example>anna@served.example>", byParser},
		{"<anna@elsewhere.example;@served.example>", byParser},
		{"<anna@elsewhere.example(@served.example)>", byParser},
		{"<anna@elsewhere.example:25@served.example>", byParser},
		{"<anna@served.example:25>", byParser},
		{"<<anna@served.example>>", byParser},
		{"<>", byParser},
		{"<@>", byParser},
		// Octets that end a text elsewhere.
		{"<anna@elsewhere.example\x00@served.example>", byParser},
		{"<anna@served.example\x00.elsewhere.example>", byParser},
		{"<\"anna\x00\"@served.example>", byParser},
		{"<\"anna@elsewhere.example\r\n\"@served.example>", byParser},
		{"<anna@elsewhere.example\n@served.example>", byParser},
		{"<anna@elsewhere.example @served.example>", byParser},
		{"<anna@elsewhere.example\t@served.example>", byParser},
		{`<anna\@elsewhere.example@served.example>`, byParser},
		{"<anna@served.example\u200b>", byParser},
		{"<anna@\xff.served.example>", byParser},
		{"<anna@under_score.wide.example>", byParser},
		{"<anna@-.wide.example>", byParser},
	} {
		if got := try(t, pl, d.Policy, c.path); got != c.want {
			t.Errorf("%q: %s, want %s", c.path, got, c.want)
		}
	}
}

// try sends one path through parser and relay check and tells who stopped it.
func try(t *testing.T, pl *gateway.Pipeline, p *gateway.Policy, path string) string {
	a, rest, _, err := smtpwire.ParseForwardPath(path, true)
	if err != nil || rest != "" {
		return byParser
	}
	s := from("127.0.0.1", "x") // the nearest client there is: nobody may relay
	s.Trusted = true
	s.Snapshot = &gateway.Snapshot{Policy: p, Pipeline: pl}
	in := input(s, &gateway.Envelope{Rcpts: []gateway.Recipient{{Address: addressOf(a)}}})
	in.Rcpt = 0
	v := pl.Run(t.Context(), gateway.Rcpt, in)
	decision, reply := v.Rcpt(0, 1)
	f := in.Envelope.Findings[0]
	switch {
	case decision.Outcome == gateway.Accept && f.Result == gateway.Pass:
		return taken
	case decision.Outcome == gateway.Reject && f.Result == gateway.Fail && strings.HasPrefix(reply.String(), "550 5.7.1 Relaying denied"):
		return byRelay
	}
	return decision.Outcome.String() + " " + reply.String()
}

// TestRelayMore shows what the option and a policy without domains change.
func TestRelayMore(t *testing.T) {
	d := &Deps{}
	pl := build(t, "[checks.rcpt]\naction = \"off\"\n[checks.relay]\nrouted_local_parts = true\n", d)
	for path, want := range map[string]string{"<a!b@served.example>": taken, "<a%b@served.example>": taken, "<a%b@elsewhere.example>": byRelay} {
		if got := try(t, pl, d.Policy, path); got != want {
			t.Errorf("with routed local parts: %s: %s, want %s", path, got, want)
		}
	}
	d = &Deps{Policy: &gateway.Policy{}}
	pl = build(t, "", d)
	for _, path := range []string{"<postmaster>", "<a@served.example>", "<a@[127.0.0.1]>"} {
		if got := try(t, pl, d.Policy, path); got != byRelay {
			t.Errorf("with no domain at all: %s: %s", path, got)
		}
	}
}

// FuzzRelay holds the parser and the check together: what passes goes to a served domain and names no other.
func FuzzRelay(f *testing.F) {
	for _, seed := range []string{"<a@served.example>", `<"a@b"@served.example>`, "<@a:b@c>", "<a@bücher.example>", "<a@x.wide.example>", "<postmaster>", "<a@[1.2.3.4]>"} {
		f.Add(seed)
	}
	policy := servedPolicy()
	f.Fuzz(func(t *testing.T, path string) {
		a, _, _, err := smtpwire.ParseForwardPath(path, true)
		if err != nil {
			return
		}
		in := &gateway.Input{Envelope: &gateway.Envelope{Rcpts: []gateway.Recipient{{Address: addressOf(a)}}}}
		to := in.Recipient().Address
		if relays(&RelayOptions{}, policy, in).Result != gateway.Pass {
			return
		}
		served := to.Domain == "served.example" || to.Domain == "wide.example" || strings.HasSuffix(to.Domain, ".wide.example") ||
			to.Domain == "xn--bcher-kva.example" || to.Domain == "" && strings.EqualFold(to.Text, "postmaster")
		if !served || strings.ContainsAny(to.Local, "%!@") || strings.Count(to.Text, "@") > 1 || strings.ContainsAny(to.Text, "\x00\r\n") {
			t.Errorf("%q passes as %+v", path, to)
		}
	})
}
