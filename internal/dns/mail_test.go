package dns_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"gatepost/internal/dns"
	"gatepost/internal/lab/dnslab"
)

const reverseWorld = `
1.2.0.192.in-addr.arpa  300 IN PTR mail.example.com.
mail.example.com        300 IN A 192.0.2.1
2.2.0.192.in-addr.arpa  300 IN PTR liar.example.com.
liar.example.com        300 IN A 198.51.100.1
3.2.0.192.in-addr.arpa  300 IN PTR sick.example.com.
4.2.0.192.in-addr.arpa  300 IN PTR liar.example.com.
4.2.0.192.in-addr.arpa  300 IN PTR Second.example.com.
4.2.0.192.in-addr.arpa  300 IN PTR sick.example.com.
second.example.com      300 IN A 192.0.2.4
5.2.0.192.in-addr.arpa  300 IN PTR a\.b\032c.example.com.
6.2.0.192.in-addr.arpa  300 IN PTR nowhere.example.com.
7.2.0.192.in-addr.arpa  300 IN CNAME 7.0-7.2.0.192.in-addr.arpa.
7.0-7.2.0.192.in-addr.arpa 300 IN PTR mail7.example.com.
mail7.example.com       300 IN A 192.0.2.7
8.2.0.192.in-addr.arpa  300 IN PTR n1.example.com.
8.2.0.192.in-addr.arpa  300 IN PTR n2.example.com.
8.2.0.192.in-addr.arpa  300 IN PTR n3.example.com.
8.2.0.192.in-addr.arpa  300 IN PTR n4.example.com.
8.2.0.192.in-addr.arpa  300 IN PTR n5.example.com.
8.2.0.192.in-addr.arpa  300 IN PTR n6.example.com.
n6.example.com          300 IN A 192.0.2.8
10.2.0.192.in-addr.arpa 300 IN PTR mail.example.com.
11.2.0.192.in-addr.arpa 300 IN PTR many.example.com.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa 300 IN PTR six.example.com.
six.example.com         300 IN AAAA 2001:db8::1
`

func TestConfirmedReverse(t *testing.T) {
	lab, r := start(t)
	if err := lab.SetZones(dnslab.Text(reverseWorld)); err != nil {
		t.Fatal(err)
	}
	lab.SetFault("sick.example.com", dnslab.Fault{Kind: dnslab.ServFail})
	lab.SetFault("9.2.0.192.in-addr.arpa", dnslab.Fault{Kind: dnslab.Bogus})
	lab.SetFault("many.example.com", dnslab.Fault{Kind: dnslab.ManyRecords})
	for _, c := range []struct {
		about, addr string
		status      dns.Status
		name        string
		names       int
		cut         bool
	}{
		{"confirmed", "192.0.2.1", dns.Found, "mail.example.com", 1, false},
		{"confirmed, mapped into IPv6", "::ffff:192.0.2.1", dns.Found, "mail.example.com", 1, false},
		{"confirmed, IPv6", "2001:db8::1", dns.Found, "six.example.com", 1, false},
		{"leads elsewhere", "192.0.2.2", dns.None, "", 1, false},
		{"forward lookup fails", "192.0.2.3", dns.Failed, "", 1, false},
		{"second of three, the third fails", "192.0.2.4", dns.Found, "second.example.com", 3, false},
		{"name that is none", "192.0.2.5", dns.None, "", 1, false},
		{"name without an address", "192.0.2.6", dns.None, "", 1, false},
		{"classless delegation", "192.0.2.7", dns.Found, "mail7.example.com", 1, false},
		{"six names, the sixth is not looked at", "192.0.2.8", dns.None, "", 5, true},
		{"bogus", "192.0.2.9", dns.Failed, "", 0, false},
		{"a name of somebody else", "192.0.2.10", dns.None, "", 1, false},
		{"more addresses than we read", "192.0.2.11", dns.Failed, "", 1, false},
		{"no name", "192.0.2.99", dns.None, "", 0, false},
	} {
		addr := netip.MustParseAddr(c.addr)
		_, before := r.KnownReverse(addr)
		got := dns.ConfirmedReverse(t.Context(), r, addr)
		if before != addr.Is4In6() { // the one that was asked about before
			t.Errorf("%s: known before it was asked about: %t", c.about, before)
		}
		if known, ok := r.KnownReverse(addr); !ok || !reflect.DeepEqual(known, got) {
			t.Errorf("%s: remembered %+v, %t", c.about, known, ok)
		}
		if got.Status != c.status || got.Name != c.name || len(got.Names) != c.names || got.Cut != c.cut {
			t.Errorf("%s: %+v", c.about, got)
		}
		if (got.Status == dns.Found) != (got.Detail == "") {
			t.Errorf("%s: detail %q", c.about, got.Detail)
		}
	}
	if got := dns.ConfirmedReverse(t.Context(), r, netip.Addr{}); got.Status != dns.None {
		t.Errorf("no address: %+v", got)
	}
}

const mailWorld = `
good.example     300 IN MX 10 mx.good.example.
mx.good.example  300 IN A 192.0.2.1
null.example     300 IN MX 0 .
mixed.example    300 IN MX 0 .
mixed.example    300 IN MX 10 mx.good.example.
implicit.example 300 IN AAAA 2001:db8::1
empty.example    300 IN TXT "nothing else"
gone.example     300 IN MX 10 a.gone.example.
gone.example     300 IN MX 20 b.gone.example.
local.example    300 IN MX 10 local-mx.example.
local-mx.example 300 IN A 127.0.0.1
local-mx.example 300 IN AAAA ::
zero.example     300 IN A 0.0.0.0
fallback.example 300 IN MX 10 a.gone.example.
fallback.example 300 IN MX 20 mx.good.example.
literal.example  300 IN MX 10 192.0.2.1.
shaky.example    300 IN MX 10 a.gone.example.
shaky.example    300 IN MX 20 sick.example.
six.example      300 IN MX 1 n1.example.
six.example      300 IN MX 2 n2.example.
six.example      300 IN MX 3 n3.example.
six.example      300 IN MX 4 n4.example.
six.example      300 IN MX 5 n5.example.
six.example      300 IN MX 6 mx.good.example.
private.example  300 IN MX 1 host.private.example.
host.private.example 300 IN A 10.0.0.1
half.example     300 IN A 127.0.0.1
`

func TestMailHost(t *testing.T) {
	lab, r := start(t)
	if err := lab.SetZones(dnslab.Text(mailWorld)); err != nil {
		t.Fatal(err)
	}
	lab.SetFault("sick.example", dnslab.Fault{Kind: dnslab.ServFail})
	lab.SetFault("bogus.example", dnslab.Fault{Kind: dnslab.Bogus})
	lab.SetFault("half.example", dnslab.Fault{Kind: dnslab.ServFail, Type: "AAAA"})
	for _, c := range []struct {
		domain   string
		status   dns.MailStatus
		problem  dns.HostProblem
		implicit bool
		detail   string
	}{
		{"good.example", dns.MailYes, dns.NoProblem, false, "MX mx.good.example 10"},
		{"null.example", dns.MailNullMX, dns.NoProblem, false, "null MX"},
		{"mixed.example", dns.MailYes, dns.NoProblem, false, "MX . 0 not-a-name, mx.good.example 10"},
		{"implicit.example", dns.MailYes, dns.NoProblem, true, "no MX, address of the domain"},
		{"empty.example", dns.MailNoRecords, dns.NoProblem, false, "no MX and no address"},
		{"nowhere.example", dns.MailNoSuchDomain, dns.NoProblem, false, "domain: nxdomain"},
		{"not a name", dns.MailNoSuchDomain, dns.NoProblem, false, "domain: invalid-name"},
		{"b\u00fccher.example", dns.MailFailed, dns.NoProblem, false, "MX lookup: invalid-name"},
		{"gone.example", dns.MailYes, dns.Nonexistent, false, "MX a.gone.example 10 nonexistent, b.gone.example 20 nonexistent"},
		{"local.example", dns.MailYes, dns.Unroutable, false, "MX local-mx.example 10 unroutable"},
		{"zero.example", dns.MailYes, dns.Unroutable, true, "no MX, address of the domain unroutable"},
		{"fallback.example", dns.MailYes, dns.NoProblem, false, "MX a.gone.example 10 nonexistent, mx.good.example 20"},
		{"literal.example", dns.MailYes, dns.NotAName, false, "MX 192.0.2.1 10 not-a-name"},
		{"shaky.example", dns.MailYes, dns.NoProblem, false, "MX a.gone.example 10 nonexistent, sick.example 20 lookup-failed"},
		{"six.example", dns.MailYes, dns.NoProblem, false, "MX n1.example 1 nonexistent, n2.example 2 nonexistent, n3.example 3 nonexistent, n4.example 4 nonexistent, n5.example 5 nonexistent"},
		{"private.example", dns.MailYes, dns.NoProblem, false, "MX host.private.example 1"},
		{"sick.example", dns.MailFailed, dns.NoProblem, false, "MX lookup: servfail"},
		{"bogus.example", dns.MailFailed, dns.NoProblem, false, "MX lookup: bad-signature"},
		{"half.example", dns.MailYes, dns.NoProblem, true, "no MX, address of the domain"},
	} {
		got := dns.MailHost(t.Context(), r, c.domain)
		if got.Status != c.status || got.Problem != c.problem || got.Implicit != c.implicit || got.Detail != c.detail {
			t.Errorf("%s: %v problem %q implicit %v detail %q", c.domain, got.Status, got.Problem, got.Implicit, got.Detail)
		}
	}
}

// TestMailHostAddressFails: no MX, and the addresses cannot be told.
func TestMailHostAddressFails(t *testing.T) {
	lab, r := start(t)
	if err := lab.SetZones(dnslab.Text("a.example 300 IN TXT x\n")); err != nil {
		t.Fatal(err)
	}
	lab.SetFault("a.example", dnslab.Fault{Kind: dnslab.ServFail, Type: "A"})
	got := dns.MailHost(t.Context(), r, "a.example")
	if got.Status != dns.MailFailed || !strings.Contains(got.Detail, "servfail") {
		t.Errorf("%+v", got)
	}
}
