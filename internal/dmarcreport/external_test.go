package dmarcreport

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab/dnslab"
)

// ask is a resolver of the standard library that asks a name server of the test.
func ask(s *dnslab.Server) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Addr())
	}}
}

const reportZone = `
blue.example.com._report._dmarc.yes.example.net.    TXT "v=DMARC1"
*._report._dmarc.any.example.net.                   TXT "v=DMARC1;"
blue.example.com._report._dmarc.other.example.net.  TXT "v=DMARC1; rua=mailto:new@other.example.net!5k,mailto:two@other.example.net"
blue.example.com._report._dmarc.away.example.net.   TXT "v=DMARC1; rua=mailto:new@away.example.net,mailto:v@victim.example"
blue.example.com._report._dmarc.empty.example.net.  TXT "v=DMARC1; rua="
blue.example.com._report._dmarc.spf.example.net.    TXT "v=spf1 -all"
blue.example.com._report._dmarc.late.example.net.   TXT "p=none; v=DMARC1"
blue.example.com._report._dmarc.two.example.net.    TXT "junk"
blue.example.com._report._dmarc.two.example.net.    TXT "v=DMARC1"
blue.example.com._report._dmarc.down.example.net.   TXT "v=DMARC1"
blue.example.com._report._dmarc.alias.example.net.  CNAME blue.example.com._report._dmarc.yes.example.net.
_dmarc.example.org.        TXT "v=DMARC1; p=reject; rua=mailto:d@example.org"
_dmarc.quiet.example.org.  TXT "v=DMARC1; p=reject"
_dmarc.down.example.org.   TXT "v=DMARC1; p=reject"
`

// TestPermitted: RFC 9990 section 4, step by step.
func TestPermitted(t *testing.T) {
	s := dnslab.New(t, dnslab.Text(reportZone))
	s.SetFault("blue.example.com._report._dmarc.down.example.net", dnslab.Fault{Kind: dnslab.ServFail})
	r := ask(s)
	for _, c := range []struct{ policy, to, want, why string }{
		{"blue.example.com", "d@blue.example.com", "d@blue.example.com", ""},
		{"blue.example.com", "d@example.com", "d@example.com", ""}, // one organization: nobody is asked
		{"blue.example.com", "d@mail.example.com", "d@mail.example.com", ""},
		{"blue.example.com", "d@yes.example.net", "d@yes.example.net", ""},
		{"BLUE.example.com", "d@yes.example.net", "d@yes.example.net", ""},
		{"blue.example.com", "d@alias.example.net", "d@alias.example.net", ""},
		{"whoever.example.com", "d@any.example.net", "d@any.example.net", ""},
		{"blue.example.com", "d@two.example.net", "d@two.example.net", ""},
		{"blue.example.com", "d@other.example.net", "new@other.example.net two@other.example.net", ""},
		{"blue.example.com", "d@away.example.net", "", "another host"},
		{"blue.example.com", "d@empty.example.net", "", "no address"},
		{"blue.example.com", "d@spf.example.net", "", "no v=DMARC1"},
		{"blue.example.com", "d@late.example.net", "", "no v=DMARC1"},
		{"red.example.com", "d@yes.example.net", "", "no TXT"},
		{"blue.example.com", "d@nowhere.example.net", "", "no TXT"},
		{"foo.co.uk", "d@bar.co.uk", "", "no TXT"}, // a public suffix makes no family
		{strings.Repeat("a.", 110) + "example.com", "d@yes.example.net", "", "no name"},
	} {
		use, bad := ParseRUA("mailto:" + c.to)
		if len(use) != 1 {
			t.Fatal(c.to, bad)
		}
		got, err := Permitted(t.Context(), r, c.policy, use[0])
		var all []string
		for _, d := range got {
			all = append(all, d.Address())
		}
		if strings.Join(all, " ") != c.want || errors.Is(err, ErrNotAllowed) != (c.why != "") || c.why != "" && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s -> %s: %q, %v", c.policy, c.to, all, err)
		}
	}
	// DNS that cannot tell is no answer, neither yes nor no.
	for _, host := range []string{"down.example.net"} {
		if got, err := Permitted(t.Context(), r, "blue.example.com", Destination{Local: "d", Domain: host}); err == nil || errors.Is(err, ErrNotAllowed) || len(got) > 0 {
			t.Errorf("%v, %v", got, err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Permitted(over, r, "blue.example.com", Destination{Local: "d", Domain: "yes.example.net"}); err == nil || errors.Is(err, ErrNotAllowed) {
		t.Errorf("%v", err)
	}
}

func TestAsksForReports(t *testing.T) {
	s := dnslab.New(t, dnslab.Text(reportZone))
	s.SetFault("_dmarc.down.example.org", dnslab.Fault{Kind: dnslab.ServFail})
	for _, c := range []struct {
		domain, at string
		asks, told bool
	}{
		{"example.org", "_dmarc.example.org", true, true},
		{"mx.example.org", "_dmarc.example.org", true, true},
		{"quiet.example.org", "_dmarc.quiet.example.org", false, true},
		{"a.b.quiet.example.org", "_dmarc.quiet.example.org", false, true},
		{"none.example.net", "", false, true},
		{"down.example.org", "", false, false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		at, asks, err := AsksForReports(ctx, ask(s), c.domain)
		cancel()
		if at != c.at || asks != c.asks || (err == nil) != c.told {
			t.Errorf("%s: %q %v %v", c.domain, at, asks, err)
		}
	}
}
