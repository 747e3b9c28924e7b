package smtpwire

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("a", 64)
	label := strings.Repeat("b", 63)
	for _, test := range []struct {
		in    string // in angle brackets: the path of RCPT
		local string
		ascii string
		err   error
	}{
		{`<a@b.example>`, "a", "b.example", nil},
		{`<A.b+c@B.Example>`, "A.b+c", "b.example", nil},
		{`<!#$%&'*+-/=?^_{|}~@b.c>`, "!#$%&'*+-/=?^_{|}~", "b.c", nil},
		{`<"a b"@b.c>`, "a b", "b.c", nil},
		{`<"a@b"@c.d>`, "a@b", "c.d", nil},
		{`<"v@internal.test> X="@allowed.test>`, "v@internal.test> X=", "allowed.test", nil},
		{`<"a\"\\\b"@b.c>`, `a"\b`, "b.c", nil},
		{`<""@b.c>`, "", "b.c", nil},
		{`<"ab"@b.c>`, "ab", "b.c", nil},
		{`<a@[192.0.2.1]>`, "a", "[192.0.2.1]", nil},
		{`<a@[IPV6:2001:DB8:0::1]>`, "a", "[IPv6:2001:db8::1]", nil},
		{`<a%b@c.d>`, "a%b", "c.d", nil},
		{`<a!b@c.d>`, "a!b", "c.d", nil},
		{`<postmaster>`, "postmaster", "", nil},
		{`<PostMaster>`, "PostMaster", "", nil},
		{`<a@localhost>`, "a", "localhost", nil},
		{`<a@r3---sn-1.example>`, "a", "r3---sn-1.example", nil},
		{`<ü@bücher.example>`, "ü", "xn--bcher-kva.example", nil},
		{`<a@BÜCHER.example>`, "a", "xn--bcher-kva.example", nil},
		{`<a@XN--bcher-KVA.example>`, "a", "xn--bcher-kva.example", nil},
		{`<a@straße.example>`, "a", "xn--strae-oqa.example", nil},
		{`<"ü "@b.c>`, "ü ", "b.c", nil},
		{"<" + long + "@b.c>", long, "b.c", nil},

		{`<>`, "", "", ErrAddress},
		{`a@b.c`, "", "", ErrBrackets},
		{`<a@b.c`, "", "", ErrBrackets},
		{`<a@b.c >`, "", "", ErrBrackets},
		{`<a>`, "", "", ErrAddress},
		{`<@b.c>`, "", "", ErrSourceRoute},
		{`<@x,@y:a@b.c>`, "", "", ErrSourceRoute},
		{`<a@b.c@d.e>`, "", "", ErrDomain},
		{`<a@@b.c>`, "", "", ErrDomain},
		{`<a b@c.d>`, "", "", ErrAddress},
		{`< a@c.d>`, "", "", ErrAddress},
		{`<a(x)@c.d>`, "", "", ErrAddress},
		{`<a,b@c.d>`, "", "", ErrAddress},
		{`<"a@c.d>`, "", "", ErrAddress},
		{`<"a\`, "", "", ErrAddress},
		{`<"a"b@c.d>`, "", "", ErrAddress},
		{"<\"a\x00\"@c.d>", "", "", ErrAddress},
		{"<\"a\\\r\"@c.d>", "", "", ErrAddress},
		{"<a\x00@c.d>", "", "", ErrAddress},
		{"<a@c\x00.d>", "", "", ErrDomain},
		{"<a\xff@c.d>", "", "", ErrAddress},
		{"<a\u202e@c.d>", "", "", ErrAddress},
		{"<a\u2028@c.d>", "", "", ErrAddress},
		{"<a\u0085@c.d>", "", "", ErrAddress},
		{`<a@>`, "", "", ErrDomain},
		{`<a@b.c.>`, "", "", ErrDomain},
		{`<a@.b.c>`, "", "", ErrDomain},
		{`<a@b..c>`, "", "", ErrDomain},
		{`<a@-b.c>`, "", "", ErrDomain},
		{`<a@b-.c>`, "", "", ErrDomain},
		{`<a@b_c.d>`, "", "", ErrDomain},
		{`<a@xn--a.example>`, "", "", ErrDomain},
		{`<a@b。c>`, "", "", ErrDomain},
		{`<a@ü。c>`, "", "", ErrDomain},
		{`<a@ｂ.example>`, "", "", ErrDomain},
		{"<a@b\u00adc.example>", "", "", ErrDomain},
		{"<a@\u200b.example>", "", "", ErrDomain},
		{"<a@\xff>", "", "", ErrDomain},
		{`<a@b＠c.example>`, "", "", ErrDomain},
		{`<a@[1.2.3]>`, "", "", ErrDomain},
		{`<a@[1.2.3.4>`, "", "", ErrDomain},
		{`<a@[01.2.3.4]>`, "", "", ErrDomain},
		{`<a@[2001:db8::1]>`, "", "", ErrDomain},
		{`<a@[IPv6:fe80::1%eth0]>`, "", "", ErrDomain},
		{`<a@[IPv6:1.2.3.4]>`, "", "", ErrDomain},
		{`<a@[x-tag:data]>`, "", "", ErrDomain},
		{`<a@[]>`, "", "", ErrDomain},
		{"<" + long + "a@b.c>", "", "", ErrAddressLength},
		{"<a@" + label + "b.c>", "", "", ErrDomain},
		{"<a@" + strings.Repeat(label+".", 4) + "c>", "", "", ErrAddressLength},
		{"<" + long + "@" + strings.Repeat(label+".", 3) + "c>", "", "", ErrAddressLength},
	} {
		a, rest, _, err := ParseForwardPath(test.in, true)
		if !errors.Is(err, test.err) || a.Local != test.local || a.ASCII != test.ascii || (err == nil && rest != "") {
			t.Errorf("%q: %+v, rest %q, %v", test.in, a, rest, err)
		}
	}
}

func TestAddressForms(t *testing.T) {
	for _, test := range []struct {
		in, wire, ascii, key string
		routed               bool
	}{
		{"<>", "<>", "<>", "", false},
		{"<a@B.c>", "<a@B.c>", "<a@b.c>", "a@b.c", false},
		{`<"a"@b.c>`, "<a@b.c>", "<a@b.c>", "a@b.c", false},
		{`<"a.b."@b.c>`, `<"a.b."@b.c>`, `<"a.b."@b.c>`, `"a.b."@b.c`, false},
		{`<"a\ b\""@b.c>`, `<"a b\""@b.c>`, `<"a b\""@b.c>`, `"a b\""@b.c`, false},
		{`<"x@y"@b.c>`, `<"x@y"@b.c>`, `<"x@y"@b.c>`, `"x@y"@b.c`, true},
		{`<x%y@b.c>`, `<x%y@b.c>`, `<x%y@b.c>`, `x%y@b.c`, true},
		{`<y!x@b.c>`, `<y!x@b.c>`, `<y!x@b.c>`, `y!x@b.c`, true},
		{`<a@Bücher.de>`, `<a@Bücher.de>`, `<a@xn--bcher-kva.de>`, "a@xn--bcher-kva.de", false},
		{`<ü@b.c>`, `<ü@b.c>`, "", "ü@b.c", false},
		{`<a@[IPv6:0::1]>`, `<a@[IPv6:0::1]>`, `<a@[IPv6:::1]>`, "a@[IPv6:::1]", false},
		{`<a..b@c.d>`, `<"a..b"@c.d>`, `<"a..b"@c.d>`, `"a..b"@c.d`, false},
	} {
		a, _, _, err := ParseReversePath(test.in, true)
		ascii, _ := a.WireASCII()
		if err != nil || a.Wire() != test.wire || ascii != test.ascii || a.Key() != test.key || a.Routed() != test.routed {
			t.Errorf("%q: %v, %q, %q, %q, routed %t", test.in, err, a.Wire(), ascii, a.Key(), a.Routed())
		}
	}
}

func TestAddressIdentity(t *testing.T) {
	parse := func(s string) Address {
		t.Helper()
		a, _, _, err := ParseForwardPath(s, true)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a, b := parse(`<"a"@BÜCHER.de>`), parse("<a@xn--bcher-kva.de>"); !a.Equal(b) {
		t.Errorf("%v and %v are not equal", a, b)
	}
	if a, b := parse("<a@b.c>"), parse("<A@b.c>"); a.Equal(b) {
		t.Error("the case of the local part is lost")
	}
	if a := parse("<Postmaster>"); !a.IsPostmaster() || !a.Equal(parse("<postmaster>")) || a.IsNull() || a.Wire() != "<Postmaster>" {
		t.Errorf("%+v", a)
	}
	if a := parse("<POSTMASTER@b.c>"); !a.IsPostmaster() {
		t.Errorf("%+v", a)
	}
	if a := parse("<poſtmaster@b.c>"); a.IsPostmaster() {
		t.Error("a long s makes a postmaster")
	}
	if a := parse("<a@[192.0.2.1]>"); a.Literal != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("%+v", a)
	}
	if a := (Address{}); !a.IsNull() || a.String() != "" || a.Wire() != "<>" {
		t.Errorf("%+v", a)
	}
}

func TestAddressNeedsUTF8(t *testing.T) {
	for _, in := range []string{"ü@b.c", `"ü"@b.c`, "a@ü.c", "\xff@b.c"} {
		if _, err := ParseAddress(in, false); !errors.Is(err, ErrNeedsUTF8) {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{"", "a", "<a@b.c>", "a..b@c.d", "a@b.c x", "a@b.c>", "postmaster", "@a:b@c.d"} {
		if a, err := ParseAddress(in, true); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %+v, %v", in, a, err)
		}
	}
}
