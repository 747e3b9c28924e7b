package filters

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
)

// postureOf lets a recipient of a message in, waits until what that began is known, and returns what the check finds.
func postureOf(t *testing.T, lab *dnslab.Server, client, path string, wait bool, edit func(*gateway.Session)) gateway.Finding {
	t.Helper()
	d := &Deps{Resolver: resolver(t, lab), Policy: servedPolicy(), Hostname: "mx.served.example"}
	def := postureCheck()
	b, err := def.Build(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	s := from(client, "client.example")
	if edit != nil {
		edit(s)
	}
	e := &gateway.Envelope{Session: s, From: mailFrom(t, path)}
	b.AheadData(t.Context(), input(s, e))
	for wait && !gateway.Known(&e.Facts, factPosture) {
		time.Sleep(time.Millisecond)
	}
	return b.Run(t.Context(), input(s, e))
}

func TestPosture(t *testing.T) {
	lab := dnslab.New(t, dnslab.Text(`
all.example. MX 10 mx.all.example.
all.example. MX 20 other.all.example.
_25._tcp.mx.all.example. TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_25._tcp.mx.all.example. TLSA 1 0 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_mta-sts.all.example. TXT "v=STSv1; id=1"
_mta-sts.all.example. TXT "some other text"
_smtp._tls.all.example. TXT "v=TLSRPTv1; rua=mailto:a@all.example"
none.example. MX 10 mx.none.example.
second.example. MX 10 mx.none.example.
second.example. MX 20 mx.all.example.
null.example. MX 0 .
bare.example. A 192.0.2.5
twice.example. MX 10 mx.none.example.
_mta-sts.twice.example. TXT "v=STSv1; id=1"
_mta-sts.twice.example. TXT "v=STSv1; id=2"
_smtp._tls.twice.example. TXT "v=TLSRPTv11; rua=mailto:a@all.example"
odd.example. MX 10 mx.odd.example.
_25._tcp.mx.odd.example. TLSA 1 0 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
cut.example. MX 10 mx.cut.example.
`))
	bogus := dnslab.Fault{Kind: dnslab.Bogus}
	for _, c := range []struct {
		about, path string
		signed      bool
		fault       string // the name that is bogus
		result      gateway.Result
		measures    string
		shows       string
	}{
		{"all", "<a@all.example>", true, "", gateway.Pass, "dane mta_sts tlsrpt", "TLSA 3 1 1 at mx.all.example"},
		{"all, without signatures", "<a@all.example>", false, "", gateway.Pass, "mta_sts tlsrpt", "its MX is not signed"},
		{"nothing", "<a@none.example>", true, "", gateway.Pass, "", "has no TLSA record"},
		{"only the second MX", "<a@second.example>", true, "", gateway.Pass, "", "no DANE: mx.none.example"},
		{"a domain that takes no mail", "<a@null.example>", true, "", gateway.Pass, "", "it has no MX"},
		{"no MX", "<a@bare.example>", true, "", gateway.Pass, "", "it has no MX"},
		{"several policies, and a version that begins alike", "<a@twice.example>", true, "", gateway.Pass, "", "no MTA-STS: several records"},
		{"records that nobody can use", "<a@odd.example>", true, "", gateway.Pass, "", "no TLSA record of mx.odd.example can be used"},
		{"bogus TLSA", "<a@all.example>", true, "_25._tcp.mx.all.example", gateway.Unknown, "mta_sts tlsrpt", "DANE: cannot be told"},
		{"bogus MX", "<a@all.example>", true, "all.example", gateway.Unknown, "mta_sts tlsrpt", "DANE: cannot be told"},
		{"bogus TXT", "<a@all.example>", true, "_mta-sts.all.example", gateway.Unknown, "dane tlsrpt", "MTA-STS: cannot be told"},
		{"bogus TXT for reports", "<a@all.example>", true, "_smtp._tls.all.example", gateway.Unknown, "dane mta_sts", "TLSRPT: cannot be told"},
	} {
		t.Run(c.about, func(t *testing.T) {
			lab.SetFault("*")
			if c.signed {
				lab.SetFault("*", dnslab.Fault{Kind: dnslab.AD})
			}
			if c.fault != "" {
				lab.SetFault(c.fault, bogus)
				defer lab.SetFault(c.fault)
			}
			f := postureOf(t, lab, "192.0.2.7", c.path, true, nil)
			var measures []string
			for _, m := range f.Measures {
				measures = append(measures, m.Name)
			}
			slices.Sort(measures)
			if f.Result != c.result || strings.Join(measures, " ") != c.measures || !strings.Contains(evidenceOf(f), c.shows) {
				t.Errorf("%v %q: %s", f.Result, measures, evidenceOf(f))
			}
		})
	}
}

// evidenceOf is what a finding shows, in one text.
func evidenceOf(f gateway.Finding) (out string) {
	for _, e := range f.Evidence {
		out += e.Name + ": " + e.Text + "\n"
	}
	return out
}

// TestPostureAsksNobody about those that it says nothing of, and waits for nobody.
func TestPostureAsksNobody(t *testing.T) {
	for about, c := range map[string]struct {
		client, path string
		edit         func(*gateway.Session)
		why          gateway.Reason
	}{
		"an inside client":      {"10.0.0.1", "<a@all.example>", nil, gateway.LeftNoInput},
		"a trusted network":     {"192.0.2.7", "<a@all.example>", func(s *gateway.Session) { s.Trusted = true }, gateway.LeftNotNeeded},
		"a trusted relay":       {"192.0.2.7", "<a@all.example>", func(s *gateway.Session) { s.Relay = true }, gateway.LeftRelayed},
		"a bounce":              {"192.0.2.7", "<>", nil, gateway.LeftNoInput},
		"an address literal":    {"192.0.2.7", "<a@[192.0.2.7]>", nil, gateway.LeftNoInput},
		"a domain that is ours": {"192.0.2.7", "<a@served.example>", nil, gateway.LeftNotNeeded},
	} {
		lab := dnslab.New(t, nil)
		if f := postureOf(t, lab, c.client, c.path, false, c.edit); f.Result != gateway.NotRun || f.Reason != c.why {
			t.Errorf("%s: %v %s", about, f.Result, f.Reason)
		}
		if n := len(lab.Queries()); n != 0 {
			t.Errorf("%s: %v was asked", about, lab.Queries())
		}
	}
	lab := dnslab.New(t, nil)
	lab.SetFault("*", dnslab.Fault{Kind: dnslab.Timeout})
	if f := postureOf(t, lab, "192.0.2.7", "<a@all.example>", false, nil); f.Result != gateway.Unknown || !strings.Contains(evidenceOf(f), "not waited for") {
		t.Errorf("%v: %s", f.Result, evidenceOf(f))
	}
}

// TestPostureIsBounded: whoever sends for ever new domains whose DNS never answers is not asked about for ever.
func TestPostureIsBounded(t *testing.T) {
	lab := dnslab.New(t, nil)
	lab.SetFault("*", dnslab.Fault{Kind: dnslab.Timeout})
	p := &postures{Deps: &Deps{Resolver: resolver(t, lab), Policy: servedPolicy()}, slots: make(chan struct{}, mostPostures)}
	s := from("192.0.2.7", "client.example")
	for range 10 * mostPostures {
		p.begin(t.Context(), input(s, &gateway.Envelope{Session: s, From: mailFrom(t, "<a@all.example>")}))
		if n := len(p.slots); n > mostPostures {
			t.Fatalf("%d are asked about", n)
		}
	}
	if n := len(p.slots); n != mostPostures {
		t.Errorf("%d are asked about", n)
	}
}

// TestPostureEndsWhateverDNSDoes: nothing hostile reads as published, and every question ends.
func TestPostureEndsWhateverDNSDoes(t *testing.T) {
	honest := []dnslab.Kind{dnslab.NoEDNS, dnslab.Truncate, dnslab.Spoof, dnslab.Flood, dnslab.AD, dnslab.MangleCase, dnslab.Stowaway, dnslab.Honest}
	for kind := dnslab.Honest; kind <= dnslab.Referral; kind++ {
		if slices.Contains(honest, kind) || kind == dnslab.Timeout || kind == dnslab.TruncateSilent {
			continue
		}
		t.Run(strconv.Itoa(int(kind)), func(t *testing.T) {
			t.Parallel()
			lab := dnslab.New(t, dnslab.Text("all.example. MX 10 mx.all.example.\n_mta-sts.all.example. TXT \"v=STSv1; id=1\"\n"))
			lab.SetFault("*", dnslab.Fault{Kind: kind})
			if f := postureOf(t, lab, "192.0.2.7", "<a@all.example>", true, nil); len(f.Measures) > 0 && kind != dnslab.ManyTexts {
				t.Errorf("fault %d: %v %s", kind, f.Measures, evidenceOf(f))
			}
		})
	}
}

// TestPostureFromTheCacheIsThereAtOnce: of a domain that was asked about before all is known without waiting, and nobody is
// asked again.
func TestPostureFromTheCacheIsThereAtOnce(t *testing.T) {
	lab := dnslab.New(t, dnslab.Text("all.example. MX 10 mx.all.example.\n_mta-sts.all.example. TXT \"v=STSv1; id=1\"\n_25._tcp.mx.all.example. TLSA 3 1 1 "+strings.Repeat("ab", 32)+"\n"))
	lab.SetFault("*", dnslab.Fault{Kind: dnslab.AD})
	r := resolver(t, lab)
	postureIn(t.Context(), r, "all.example")
	p := &postures{Deps: &Deps{Resolver: r, Policy: servedPolicy()}, slots: make(chan struct{}, mostPostures)}
	s := from("192.0.2.7", "client.example")
	e := &gateway.Envelope{Session: s, From: mailFrom(t, "<a@all.example>")}
	before := lab.Queries()
	p.begin(t.Context(), input(s, e))
	if f := p.run(t.Context(), input(s, e)); f.Result != gateway.Pass || len(f.Measures) != 2 || !maps.Equal(before, lab.Queries()) {
		t.Errorf("%v %v: %s", f.Result, f.Measures, evidenceOf(f))
	}
}
