package reputation

import (
	"net/netip"
	"strings"
	"testing"
)

// TestParse are the words of a person, and whom they mean.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7":                 "client:192.0.2.7 network:192.0.2.0/24",
		"::ffff:192.0.2.7":          "client:192.0.2.7 network:192.0.2.0/24",
		"2001:db8:1:2::3":           "client:2001:db8:1:2::/64 network:2001:db8:1::/48",
		"192.0.2.7/32":              "client:192.0.2.7",
		"192.0.2.0/24":              "network:192.0.2.0/24",
		"2001:db8:1:2::/64":         "client:2001:db8:1:2::/64",
		"2001:db8:1::/48":           "network:2001:db8:1::/48",
		"Example.org.":              "organisation:example.org domain:example.org",
		"domain:Example.org":        "domain:example.org",
		"organisation:example.org":  "organisation:example.org",
		"client:192.0.2.7":          "client:192.0.2.7",
		"client:2001:db8:1:2::/64":  "client:2001:db8:1:2::/64",
		"network:192.0.2.0/24":      "network:192.0.2.0/24",
		"network:192.0.2.7":         "-",
		"client:192.0.2.0/24":       "-",
		"client:example.org":        "-",
		"192.0.2.0/25":              "-",
		"::ffff:192.0.2.0/120":      "-",
		"domain:":                   "-",
		"":                          "-",
		"localhost":                 "-",
		"a b.example":               "-",
		"user@example.org":          "-",
		strings.Repeat("x.", 200):   "-",
		"organisation:" + "x y.com": "organisation:x y.com",
	} {
		got, err := Parse(text)
		var words []string
		for _, s := range got {
			words = append(words, s.String())
			if again, err := Parse(s.String()); err != nil || len(again) != 1 || again[0] != s {
				t.Errorf("%s reads as %v, %v", s, again, err)
			}
		}
		if told := strings.Join(words, " "); err == nil && told != want || err != nil && want != "-" {
			t.Errorf("%q: %s, %v, want %s", text, told, err, want)
		}
	}
}

// TestNobody shows that what is no address and no name is no subject.
func TestNobody(t *testing.T) {
	for _, s := range []Subject{ClientOf(netip.Addr{}), NetworkOf(netip.Addr{}), Named(Domain, ""), Named(Organisation, strings.Repeat("x", 256)), Named(kinds, "a")} {
		if s.Valid() {
			t.Errorf("%v", s)
		}
	}
	if a, b := ClientOf(netip.MustParseAddr("fe80::1%eth0")), ClientOf(netip.MustParseAddr("fe80::2")); a != b || !a.Valid() {
		t.Errorf("%v, %v", a, b)
	}
}
