package route

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// TestAdvice shows that there is a cause and something to do for each fault, with names of the case in hand, and for no other.
func TestAdvice(t *testing.T) {
	all := advices()
	if len(all) != len(relay.Faults()) {
		t.Errorf("%d for %d faults", len(all), len(relay.Faults()))
	}
	peer := &x509.Certificate{DNSNames: []string{"shown.example"}, Raw: []byte("certificate")}
	for _, f := range relay.Faults() {
		a := about{hop: "mail.example.org:25", name: "wanted.example", host: "mx.example.org", step: &relay.ProbeStep{Fault: f, Peer: peer}, rcpt: "postmaster@example.org"}
		got := all[f]
		if got.cause == "" || got.fix == nil {
			t.Errorf("%s: nothing is said", f)
			continue
		}
		fix := strings.Join(got.fix(&a), " ")
		if fix == "" || strings.Contains(fix, "%!") {
			t.Errorf("%s: %q", f, fix)
		}
		for of, want := range map[relay.Fault]string{relay.WrongName: `wanted.example. Or say that this is its name: server_name = "shown.example"`, relay.UnknownAuthority: fingerprint(peer), relay.SenderRefused: "mx.example.org"} {
			if of == f && !strings.Contains(fix, want) {
				t.Errorf("%s: %q", f, fix)
			}
		}
	}
}

// TestTold makes verdicts of steps: what mail goes on with is a warning, and so is what nobody verifies or is small.
func TestTold(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	cert := func(days int) *x509.Certificate {
		return &x509.Certificate{DNSNames: []string{"a.example", "b.example", "c.example", "d.example", "e.example"}, Issuer: pkix.Name{CommonName: "CA\x1b[31m"}, NotAfter: now.AddDate(0, 0, days)}
	}
	for name, c := range map[string]struct {
		mode  config.RouteTLS
		size  int64
		usual bool
		steps []relay.ProbeStep
		want  string
	}{
		"well":              {config.TLSRequired, 50 << 20, true, []relay.ProbeStep{{At: "ehlo"}, {At: "tls", Peer: cert(90)}}, "ok: ehlo ok, size ok, tls ok, certificate ok"},
		"small":             {config.TLSRequired, 10 << 20, true, []relay.ProbeStep{{At: "ehlo"}}, "warn: ehlo ok, size warn"},
		"no size":           {config.TLSRequired, 0, true, []relay.ProbeStep{{At: "ehlo"}}, "ok: ehlo ok"},
		"over soon":         {config.TLSRequired, 0, true, []relay.ProbeStep{{At: "tls", Peer: cert(3)}}, "warn: tls ok, certificate warn"},
		"over, unverified":  {config.TLSOpportunistic, 0, true, []relay.ProbeStep{{At: "tls", Peer: cert(-3)}}, "warn: tls ok, certificate warn"},
		"over":              {config.TLSRequired, 0, true, []relay.ProbeStep{{At: "tls", Fault: relay.Expired, Peer: cert(-3)}}, "fail: tls fail, certificate ok"},
		"in clear":          {config.TLSNone, 0, true, []relay.ProbeStep{{At: "tls"}}, "warn: tls warn"},
		"not offered":       {config.TLSOpportunistic, 0, true, []relay.ProbeStep{{At: "tls", Fault: relay.NoStartTLS, Goes: true}}, "warn: tls warn"},
		"no postmaster":     {config.TLSRequired, 0, true, []relay.ProbeStep{{At: "takes", Fault: relay.RecipientRefused, Said: "postmaster@example.org: 550 5.1.1 who"}}, "warn: takes warn"},
		"who was named":     {config.TLSRequired, 0, false, []relay.ProbeStep{{At: "takes", Fault: relay.RecipientRefused, Said: "a@example.org: 550 5.1.1 who"}}, "fail: takes fail"},
		"not the domain":    {config.TLSRequired, 0, true, []relay.ProbeStep{{At: "takes", Fault: relay.RecipientRefused, Said: "postmaster@example.org: 550 5.7.1 no relay"}}, "fail: takes fail"},
		"takes everybody":   {config.TLSRequired, 0, true, []relay.ProbeStep{{At: "refuses", Fault: relay.Everybody, Goes: true}}, "warn: refuses warn"},
		"nobody is reached": {config.TLSRequired, 0, true, []relay.ProbeStep{{At: "connect", Fault: relay.Refused}}, "fail: connect fail"},
	} {
		hop := told(&relay.Probed{NextHop: "mail.example.org:25", Steps: c.steps, Carries: gateway.Carries{Known: true, Size: c.size}}, about{route: &config.Route{TLS: c.mode}, usual: c.usual}, 20<<20, now)
		var steps []string
		for _, s := range hop.Steps {
			steps = append(steps, s.Step+" "+s.Verdict)
			if s.Verdict != api.RouteOK && (s.Cause == "" || len(s.Fix) == 0) {
				t.Errorf("%s: %s has neither cause nor fix", name, s.Step)
			}
			if strings.ContainsRune(s.Said, 0x1b) || s.Step == "certificate" && !strings.Contains(s.Said, "and 1 more") {
				t.Errorf("%s: %q", name, s.Said)
			}
		}
		if got := hop.Verdict + ": " + strings.Join(steps, ", "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	hop := func(v string) api.RouteTryHop { return api.RouteTryHop{Verdict: v} }
	for want, hops := range map[string][][]api.RouteTryHop{"ok": {{hop("ok"), hop("ok")}}, "warn": {{hop("ok"), hop("fail")}, {hop("warn")}, {hop("fail"), hop("warn")}}, "fail": {{}, {hop("fail"), hop("fail")}}} {
		for _, all := range hops {
			if got := whole(all); got != want {
				t.Errorf("%v: %s", all, got)
			}
		}
	}
}

// desk has two domains of one route, and a route of reports; nothing is dialled.
func desk(c *config.Config) *Desk {
	return &Desk{Document: func(context.Context, bool) (*config.Config, error) { return c, nil }, Pools: func() *relay.Pools { return relay.NewPools(nil, nil) },
		Routes: func(c *config.Config) ([]relay.Route, error) {
			return []relay.Route{{Name: c.Policy.Routes[0].Name, Hostname: "mx.example.org"}}, nil
		},
		Serves: func(_ *config.Config, domain string) string {
			return map[string]string{"example.org": "internal", "example.net": "reports"}[domain]
		}}
}

func document() *config.Config {
	return &config.Config{Bootstrap: &config.Bootstrap{Hostname: "mx.example.org"}, Policy: &config.Policy{
		Routes:  []config.Route{{Name: "internal"}, {Name: "reports", Kind: config.RouteReport}},
		Domains: []config.Domain{{Name: "*.example.org", Route: "internal"}, {Name: "example.org", Route: "internal"}}}}
}

// TestRefused shows what cannot be tried, and what is told of it.
func TestRefused(t *testing.T) {
	s := &control.Surface{Operations: desk(document()).Operations()}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in    api.RouteAsk
		code  int
		field string
	}{
		{api.RouteAsk{}, 400, "domain"}, {api.RouteAsk{Domain: "no domain"}, 400, "domain"}, {api.RouteAsk{Domain: "elsewhere.example"}, 404, "domain"}, {api.RouteAsk{Domain: "example.net"}, 409, "route"},
		{api.RouteAsk{Route: "nowhere"}, 404, "route"}, {api.RouteAsk{Route: "internal", Host: "a"}, 400, "host"}, {api.RouteAsk{Host: "a b"}, 400, "host"}, {api.RouteAsk{Host: strings.Repeat("a", 300)}, 400, "host"},
		{api.RouteAsk{Host: "a", TLS: "fingerprint"}, 400, "fingerprints"}, {api.RouteAsk{Host: "a", Pins: "abc"}, 400, "fingerprints"}, {api.RouteAsk{Host: "a", TLS: "perhaps"}, 400, "tls"}, {api.RouteAsk{Host: "a", Port: 70000}, 400, "port"},
		{api.RouteAsk{Route: "internal", Recipient: "nobody"}, 400, "recipient"}, {api.RouteAsk{Route: "internal"}, 400, "host"}, // the route of this test has no next hop
	} {
		if c.in.Port == 0 {
			c.in.Port = 25
		}
		_, err := controltest.Ask[*api.RouteTested](t.Context(), s, access.Actor{Role: access.Operator}, "route test", &c.in)
		f, ok := err.(*control.Fault)
		if !ok || f.Status != c.code || f.Field != c.field {
			t.Errorf("%+v: %v", c.in, err)
		}
	}
	if _, err := controltest.Ask[*api.RouteTested](t.Context(), s, access.Actor{Role: access.Auditor}, "route test", &api.RouteAsk{Route: "internal", Port: 25}); controltest.Status(err) != 403 {
		t.Error("an auditor lets the gateway dial")
	}
}

// TestDraftSecrets shows that a draft which names a password or a key of this host is tried only for who may publish: the next hop of a
// draft is whoever its author likes.
func TestDraftSecrets(t *testing.T) {
	writer := access.Actor{Name: "otto", Role: access.Operator, Rights: []access.Right{access.PolicyDraft}}
	for name, c := range map[string]struct {
		route config.Route
		draft bool
		who   access.Actor
		code  int // 400: it is tried, and has no next hop
	}{
		"a password":              {config.Route{Auth: config.Auth{User: "u", PasswordFile: "/etc/gatepost/other.password"}}, true, writer, 403},
		"a certificate":           {config.Route{ClientCert: "/etc/gatepost/client.pem"}, true, writer, 403},
		"neither":                 {config.Route{}, true, writer, 400},
		"in force":                {config.Route{Auth: config.Auth{User: "u"}}, false, writer, 400},
		"by who could publish it": {config.Route{Auth: config.Auth{User: "u"}}, true, access.Actor{Name: "otto", Role: access.Operator}, 400},
	} {
		held := document()
		c.route.Name = "internal"
		held.Policy.Routes[0] = c.route
		s := &control.Surface{Operations: desk(held).Operations()}
		if _, err := controltest.Ask[*api.RouteTested](t.Context(), s, c.who, "route test", &api.RouteAsk{Route: "internal", Draft: c.draft, Port: 25}); controltest.Status(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamed tells a domain from a server, as people type them.
func TestNamed(t *testing.T) {
	for text, want := range map[string]api.RouteAsk{"example.org": {Domain: "example.org"}, "mail.example.org:26": {Host: "mail.example.org", Port: 26}, "[::1]:25": {Host: "::1", Port: 25},
		"mx:example.org": {Host: "mx:example.org"}, "unix:/run/lmtp": {Host: "unix:/run/lmtp"}, "srv:_smtp._tcp.example.org": {Host: "srv:_smtp._tcp.example.org"}} {
		var in api.RouteAsk
		if named(&in, text); in != want {
			t.Errorf("%s: %+v", text, in)
		}
	}
	var out bytes.Buffer
	show(cli.Env{Out: &out}, &api.RouteTested{Hops: []api.RouteTryHop{{NextHop: "a:25", Verdict: "fail", Steps: []api.RouteTryStep{{Step: "connect", Verdict: "fail", Said: "refused\x1b", Cause: "Nobody listens.", Fix: []string{"Start it."}, Took: 1.25}}}}})
	if want := "FAIL a:25\n  FAIL connect        1.2 ms  refused?\n       Nobody listens.\n       -> Start it.\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}
