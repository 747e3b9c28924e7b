package limit

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPlacesOf(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.77", "192.0.2.77/32 192.0.2.64/26 192.0.0.0/21"},
		{"::ffff:192.0.2.77", "192.0.2.77/32 192.0.2.64/26 192.0.0.0/21"},
		{"255.255.255.255", "255.255.255.255/32 255.255.255.192/26 255.255.248.0/21"},
		{"2001:db8:1234:5678:9abc::1", "2001:db8:1234:5678::/64 2001:db8:1234:5600::/56 2001:db8:1234::/48"},
		{"fe80::1%eth0", "fe80::/64 fe80::/56 fe80::/48"},
		{"", "invalid Prefix invalid Prefix invalid Prefix"},
	} {
		a, _ := netip.ParseAddr(c.addr)
		p := PlacesOf(a)
		if got := p.Client.String() + " " + p.Network.String() + " " + p.Wide.String(); got != c.want {
			t.Errorf("%q: %s", c.addr, got)
		}
	}
}

// TestDefaults: every row is a limit of its own, a better reputation is never worse, and nothing needs a longer time than
// addresses may be kept.
func TestDefaults(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range Defaults() {
		for r := range reputations {
			c, ok := row.Charge("x", r, 1)
			if !ok || Check([]Charge{c}) != nil || c.Observed != row.Observed {
				t.Errorf("%s: %+v", c.Key.Limit(), c)
			}
			if seen[c.Key.Limit()] || strings.Contains(c.Key.Limit(), "?") {
				t.Errorf("%s: twice, or a word is missing", c.Key.Limit())
			}
			seen[c.Key.Limit()] = true
			if c.Rate.Full() > time.Hour {
				t.Errorf("%s: kept for %v", c.Key.Limit(), c.Rate.Full())
			}
		}
		u, k, b := row.Rates[Unknown], row.Rates[Known], row.Rates[Bad]
		if u.Or(k) != k || b.Or(u) != u {
			t.Errorf("%s: unknown %+v, known %+v, bad %+v", row.Dimension, u, k, b)
		}
	}
	for d := range dimensions {
		if !slices.ContainsFunc(Defaults(), func(l Limit) bool { return l.Dimension == d }) {
			t.Errorf("no limit of %s", d)
		}
	}
	for u := range units {
		if !slices.ContainsFunc(Defaults(), func(l Limit) bool { return l.Unit == u }) {
			t.Errorf("no limit of %s", u)
		}
	}
}

// TestDefaultNumbers are those of the product.
func TestDefaultNumbers(t *testing.T) {
	rows := Defaults()
	for _, c := range []struct {
		d              Dimension
		u              Unit
		unknown, known int64
		period         time.Duration
	}{
		{Client, Connections, 30, 300, time.Minute},
		{Network, Connections, 90, 900, time.Minute},
		{WideNetwork, Connections, 270, 2700, time.Minute},
		{Client, Messages, 20, 120, time.Minute},
		{NullSender, Messages, 200, 200, time.Hour},
	} {
		row := rows.Of(c.d, c.u)
		if row == nil || row.Observed || row.Rates[Unknown] != Per(c.unknown, c.period) || row.Rates[Known] != Per(c.known, c.period) {
			t.Errorf("%s of %s: %+v", c.u, c.d, row)
		}
	}
	if rows.Of(Organisation, KiB) != nil {
		t.Error("a row that is not there")
	}
	for _, d := range []Dimension{SenderDomain, Recipient, RecipientDomain, Organisation} {
		if row := rows.Of(d, Messages); row == nil || !row.Observed {
			t.Errorf("%s: %+v, want observed", d, row)
		}
	}
}

func TestCharges(t *testing.T) {
	rows := Defaults()
	p := PlacesOf(netip.MustParseAddr("192.0.2.77"))
	var got []string
	for _, c := range rows.Networks(nil, p, Connections, Known, 1) {
		got = append(got, c.Key.Limit()+" "+c.Key.Subject)
	}
	want := []string{"connections/client/known 192.0.2.77/32", "connections/network/known 192.0.2.64/26", "connections/wide-network/known 192.0.0.0/21"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if c := rows.Networks(nil, p, Messages, Bad, 3); len(c) != 1 || c[0].Cost != 3 || c[0].Rate != Per(4, time.Minute) {
		t.Errorf("%+v", c)
	}
	row := rows.Of(SenderDomain, Messages)
	for name, c := range map[string]struct {
		subject string
		r       Reputation
	}{"no subject": {"", Known}, "no reputation": {"x", reputations}} {
		if c, ok := row.Charge(c.subject, c.r, 1); ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if c, ok := row.Charge("x", Known, -5); !ok || c.Cost != 1 {
		t.Errorf("%+v", c)
	}
	long := strings.Repeat("x", 300) + ".example.org"
	a, _ := row.Charge("a"+long, Known, 1)
	b, _ := row.Charge("b"+long, Known, 1)
	if Check([]Charge{a, b}) != nil || len(a.Key.Subject) != MostSubject || !strings.HasSuffix(a.Key.Subject, ".example.org") {
		t.Errorf("long names: %q, %q", a.Key.Subject, b.Key.Subject)
	}
	if fits := strings.Repeat("x", MostSubject); SubjectOf(fits) != fits {
		t.Errorf("%q became %q", fits, SubjectOf(fits))
	}
	if c := rows.Networks(nil, PlacesOf(netip.Addr{}), Connections, Known, 1); len(c) != 0 {
		t.Errorf("no address is charged %+v", c)
	}
	if _, ok := (&Limit{}).Charge("x", Known, 1); ok {
		t.Error("no rate is no limit")
	}
	for octets, want := range map[int64]int64{-1: 1, 0: 1, 1: 1, 1024: 1, 1025: 2, 1<<63 - 1: 1 << 53} {
		if got := Size(octets); got != want {
			t.Errorf("%d octets are %d KiB", octets, got)
		}
	}
}
