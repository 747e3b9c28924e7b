package smtpwire

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseCommand(t *testing.T) {
	for _, test := range []struct {
		in, verb, arg string
		bad           bool
	}{
		{"NOOP", "NOOP", "", false},
		{"noop ", "NOOP", "", false},
		{"MaIl FROM:<a@b>  ", "MAIL", "FROM:<a@b>", false},
		{"EHLO  a b", "EHLO", "a b", false},
		{"STARTTLS", "STARTTLS", "", false},
		{"STARTTLSfoo", "STARTTLSFOO", "", false},
		{"RCPT TO:<ü@b>", "RCPT", "TO:<ü@b>", false},
		{"", "", "", true},
		{" NOOP", "", "", true},
		{"EHLO\ta", "", "", true},
		{"MAIL\x00 FROM:<>", "", "", true},
		{"NOOP\r", "", "", true},
		{"EHLO a\rb", "", "", true},
		{"EHLO a\x1b[2J", "", "", true},
		{"EHLO a\x7f", "", "", true},
		{"\x16\x03\x01\x02", "", "", true},
		{"N0OP", "", "", true},
		{"Ångström", "", "", true},
		{strings.Repeat("A", 17), "", "", true},
	} {
		verb, arg, err := ParseCommand([]byte(test.in))
		if verb != test.verb || arg != test.arg || errors.Is(err, ErrCommand) != test.bad {
			t.Errorf("%q: %q %q %v", test.in, verb, arg, err)
		}
	}
}

func TestSniff(t *testing.T) {
	for in, want := range map[string]Alien{
		"":                     NotAlien,
		"EHLO a":               NotAlien,
		"HELP":                 NotAlien,
		"\r\n":                 NotAlien,
		"GETTING":              NotAlien,
		"GET / HTTP/1.1":       AlienHTTP,
		"POST /":               AlienHTTP,
		"PRI * HTTP/2.0":       AlienHTTP,
		"CONNECT a:25":         AlienHTTP,
		"\x16\x03\x01\x02\x00": AlienTLS,
		"\x80\x2e\x01\x00\x02": AlienTLS,
		"\x80\x2e\x02":         AlienBinary,
		"\x00\x01":             AlienBinary,
		"\x04\x01\x00\x19":     AlienBinary,
		"\xff":                 AlienBinary,
	} {
		if got := Sniff([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func TestParseHelo(t *testing.T) {
	ip := netip.MustParseAddr
	for _, test := range []struct {
		in   string
		want Helo
		bad  bool
	}{
		{"Mail.Example.org", Helo{Name: "Mail.Example.org", Domain: "mail.example.org"}, false},
		{"[192.0.2.1]", Helo{Name: "[192.0.2.1]", Literal: ip("192.0.2.1")}, false},
		{"[IPv6:2001:db8::1]", Helo{Name: "[IPv6:2001:db8::1]", Literal: ip("2001:db8::1")}, false},
		{"192.0.2.1", Helo{Name: "192.0.2.1", Literal: ip("192.0.2.1"), Flaws: HeloBareIP}, false},
		{"2001:db8::1", Helo{Name: "2001:db8::1", Literal: ip("2001:db8::1"), Flaws: HeloBareIP}, false},
		{"[192.0.2]", Helo{Name: "[192.0.2]", Flaws: HeloLiteral}, false},
		{"[x", Helo{Name: "[x", Flaws: HeloLiteral}, false},
		{"my_pc", Helo{Name: "my_pc", Flaws: HeloNotDomain}, false},
		{"a..b", Helo{Name: "a..b", Flaws: HeloNotDomain}, false},
		{"a_b.c.", Helo{Name: "a_b.c.", Flaws: HeloNotDomain | HeloDot}, false},
		{"a.b.", Helo{Name: "a.b.", Domain: "a.b", Flaws: HeloDot}, false},
		{"localhost", Helo{Name: "localhost", Domain: "localhost", Flaws: HeloSingle}, false},
		{"a.b c", Helo{Name: "a.b", Domain: "a.b", Flaws: HeloMore}, false},
		{"<script>", Helo{Name: "<script>", Flaws: HeloNotDomain}, false},
		{"", Helo{}, true},
		{"a\x00b", Helo{}, true},
		{"bücher.example", Helo{}, true},
		{"a.b \xff", Helo{}, true},
		{strings.Repeat("a", 256), Helo{}, true},
	} {
		h, err := ParseHelo(test.in)
		if h != test.want || errors.Is(err, ErrCommand) != test.bad {
			t.Errorf("%q: %+v, %v", test.in, h, err)
		}
	}
}

func TestXtext(t *testing.T) {
	for plain, coded := range map[string]string{"": "", "a": "a", "a b": "a+20b", "+=": "+2B+3D", "ü\x00": "+C3+BC+00"} {
		if got := EncodeXtext(plain); got != coded {
			t.Errorf("%q is %q, want %q", plain, got, coded)
		}
		if got, err := DecodeXtext(coded); got != plain || err != nil {
			t.Errorf("%q is %q, %v", coded, got, err)
		}
	}
	for _, bad := range []string{"+", "+2", "+2b", "+G0", "a=b", "a b", "ü", "\x00"} {
		if got, err := DecodeXtext(bad); !errors.Is(err, ErrXtext) {
			t.Errorf("%q is %q, %v", bad, got, err)
		}
	}
}
