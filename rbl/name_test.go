package rbl

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

func TestAddressNames(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.99":  "99.2.0.192.bl.example", // RFC 5782 section 2.1
		"127.0.0.2":   "2.0.0.127.bl.example",
		"10.20.100.0": "0.100.20.10.bl.example",
		// RFC 5782 section 2.4
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example",
		"::ffff:127.0.0.2":          "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.example",
	} {
		if got, ok := (question{addr: netip.MustParseAddr(addr)}).name("bl.example"); !ok || got != want {
			t.Errorf("%s: %q", addr, got)
		}
	}
}

// TestOctets holds all values of an octet against strconv.
func TestOctets(t *testing.T) {
	for i := range 256 {
		a := netip.AddrFrom4([4]byte{1, byte(i), 3, byte(255 - i)})
		parts := strings.Split(a.String(), ".")
		want := parts[3] + ".3." + strconv.Itoa(i) + ".1."
		if got := string(appendAddr(nil, a)); got != want {
			t.Fatalf("%v: %q", a, got)
		}
	}
}

func TestDomainNames(t *testing.T) {
	for in, want := range map[string]string{
		"example.com": "example.com", "Mail.EXAMPLE.com.": "mail.example.com", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"_a.b-c.example": "_a.b-c.example", "1.2.3.4.example": "1.2.3.4.example", "a.b2": "a.b2",
		"": "", ".": "", "localhost": "", "a..b": "", ".a.b": "", "a.b..": "", "1.2.3.4": "", "a.1": "", "a b.c": "", "bücher.example": "",
		"a.b\x00": "", "[1.2.3.4]": "", "a\r\n.b": "", strings.Repeat("a", 64) + ".example": "", strings.Repeat("a.", 126) + "example": "",
		"*.example": "", "a/b.example": "",
	} {
		if got, ok := domainName(in, 2); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, ok, want)
		}
	}
	long := question{domain: strings.Repeat("abcdefg.", 30) + "example"} // 247 octets
	if got, ok := long.name("bl.example"); !ok || got != strings.Repeat("abcdefg.", 29)+"example.bl.example" {
		t.Errorf("of a name that is too long with its zone %q was asked", got)
	}
	if got, ok := (question{domain: "a.example"}).name(strings.Repeat("abcdefg.", 31) + "x"); ok {
		t.Errorf("%q is too long", got)
	}
}

// TestLongNames: whoever is listed writes the longest name below his domain that there can be, and is listed.
func TestLongNames(t *testing.T) {
	dbl := entry(t, "spamhaus-dbl")
	w := healthy()
	w.set("*.spam.example."+dbl.List.Zone, reply{addrs: "127.0.1.2"})
	name := strings.Repeat("a.", (maxName-len("spam.example"))/2) + "spam.example"
	for _, res := range Check(t.Context(), w, []Entry{dbl}, Subject{MailFrom: name}) {
		if len(name) < maxName-1 || res.Verdict != Listed || res.Subject != name {
			t.Errorf("%d octets: %+v", len(name), res)
		}
	}
}
