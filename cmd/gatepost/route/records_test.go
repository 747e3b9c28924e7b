package route

import (
	"context"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

// TestRecords shows the lines for a domain, and how each is held against DNS.
func TestRecords(t *testing.T) {
	zone := map[string][]string{"MX example.org": {"old.example.net", "MX.example.org."}, "A mx.example.org": {"192.0.2.9"}, "TXT example.org": {"verify=1", "v=spf1 ip4:192.0.2.7 -all"},
		"TXT _dmarc.example.org": {"v=DMARC1; p=reject", "v=DMARC1; p=none"}}
	z := &Zone{Document: document, Addresses: func() []string { return []string{"192.0.2.1", "2001:db8::1"} }, TLSA: func(host string) []string { return []string{"_25._tcp." + host + ". 3600 IN TLSA 3 1 1 ab"} },
		STS: func(_ *config.Config, domain string) string { return "v=STSv1; id=1;" },
		Look: func(_ context.Context, kind, name string) ([]string, bool) {
			return zone[kind+" "+name], !strings.HasPrefix(name, "_mta-sts.")
		}}
	s := &control.Surface{Operations: z.Operations()}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	out, err := controltest.Ask[*api.DomainRecords](t.Context(), s, access.Actor{Role: access.Operator}, "domain records", &api.RecordsAsk{Domain: "EXAMPLE.org"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range out.Records {
		got = append(got, r.State+" "+r.Line)
		if r.Why == "" {
			t.Errorf("%s is for nothing", r.Line)
		}
	}
	want := []string{"published example.org. 3600 IN MX 10 mx.example.org.", "other mx.example.org. 3600 IN A 192.0.2.1", "missing mx.example.org. 3600 IN AAAA 2001:db8::1",
		`published example.org. 3600 IN TXT "v=spf1 ip4:ADDRESS -all"`, `other _dmarc.example.org. 3600 IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.org"`,
		`missing _smtp._tls.example.org. 3600 IN TXT "v=TLSRPTv1; rua=mailto:postmaster@example.org"`, `unknown _mta-sts.example.org. 3600 IN TXT "v=STSv1; id=1;"`, "unknown _25._tcp.mx.example.org. 3600 IN TLSA 3 1 1 ab"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, domain := range []string{"", "[192.0.2.1]", "a b"} {
		if _, err := controltest.Ask[*api.DomainRecords](t.Context(), s, access.Actor{Role: access.Operator}, "domain records", &api.RecordsAsk{Domain: domain}); controltest.Status(err) != 400 {
			t.Errorf("%q: %v", domain, err)
		}
	}
}
