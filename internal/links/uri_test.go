package links

import (
	"strings"
	"testing"
)

// TestRead: a link is read as a browser reads it, whatever it looks like. Expectations are those of the WHATWG URL standard.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		in, host, domain string
		odd              Odd
	}{
		{"https://www.example.org/a?b#c", "www.example.org", "example.org", 0},
		{"HTTPS://WWW.Example.ORG.:443", "www.example.org", "example.org", 0},
		{"http://a.b.example.co.uk:8080/x", "a.b.example.co.uk", "example.co.uk", 0},
		{" \x01https://example.org ", "example.org", "example.org", 0},
		{"ht\ttps://exa\nmple.org/", "example.org", "example.org", OddBreak},
		{"https://exa\r\nmple.org/", "example.org", "example.org", OddBreak},
		{"https://example.org/a\r\nb", "example.org", "example.org", 0},
		{"https:example.org", "example.org", "example.org", OddSlashes},
		{`https:\\example.org\x`, "example.org", "example.org", OddSlashes},
		{"https:////example.org", "example.org", "example.org", OddSlashes},
		{"https://bank.example@evil.org/", "evil.org", "evil.org", OddUser},
		{"https://bank.example:x@a@evil.org/", "evil.org", "evil.org", OddUser},
		{"https://bank%2eexample@evil.org", "evil.org", "evil.org", OddUser},
		{"https://me:secret@example.org", "example.org", "example.org", OddUserShort},
		{`https://bank.example\@evil.org/`, "bank.example", "bank.example", 0},
		{"https://bank.example#@evil.org/", "bank.example", "bank.example", 0},
		{"http://192.0.2.1/x", "192.0.2.1", "", 0},
		{"http://0xC0.0x00.0x02.0x01", "192.0.2.1", "", OddNotation},
		{"http://3221225985", "192.0.2.1", "", OddNotation},
		{"http://0300.0.02.1", "192.0.2.1", "", OddNotation},
		{"http://0300.0.0x201", "192.0.2.1", "", OddNotation},
		{"http://0xc0000201/", "192.0.2.1", "", OddNotation},
		{"http://192.513", "192.0.2.1", "", OddNotation},
		{"http://１９２.0.2.1", "192.0.2.1", "", OddLetters},
		{"http://127.0.0.1", "127.0.0.1", "", OddPrivate},
		{"http://[2001:db8::1]:8080/", "2001:db8::1", "", 0},
		{"http://[::ffff:192.0.2.1]", "192.0.2.1", "", OddNotation},
		{"http://%65xample.org", "example.org", "example.org", OddPercent},
		{"http://%77%77%77%2Eexample%2Eorg", "www.example.org", "example.org", OddPercent},
		{"http://ｅxample。org", "example.org", "example.org", OddLetters},
		{"\ufeffhttps://example.org\u200b", "example.org", "example.org", 0},
		{"http://exa\u200bmple.org", "example.org", "example.org", OddLetters},
		{"http://exa\u00admple.org", "example.org", "example.org", OddLetters},
		{"http://bücher.example", "xn--bcher-kva.example", "xn--bcher-kva.example", 0},
		{"http://xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example", 0},
		{"http://faß.example", "xn--fa-hia.example", "xn--fa-hia.example", 0},
		{"http://pаypal.com", "xn--pypal-4ve.com", "xn--pypal-4ve.com", OddMixed},
		{"http://пример.example", "xn--e1afmkfd.example", "xn--e1afmkfd.example", 0},
		{"http://1.2.3.4.5", "1.2.3.4.5", "4.5", OddInvalid},
		{"http://256.256.256.256", "256.256.256.256", "256.256", OddInvalid},
		{"http://a b.example", "a b.example", "a b.example", OddInvalid},
		{"http://under_score.example.org", "under_score.example.org", "example.org", 0},
		{"https://user.github.io/", "user.github.io", "user.github.io", 0},
		{"http://com", "com", "", 0},
		{"mailto:a@example.org", "", "", 0},
		{"/relative", "", "", 0},
		{"https://", "", "", OddInvalid},
	} {
		u := Read(c.in)
		if u.Host != c.host || u.Domain != c.domain || u.Odd != c.odd {
			t.Errorf("%q: host %q, domain %q, odd %q", c.in, u.Host, u.Domain, u.Odd)
		}
	}
	for in, scheme := range map[string]string{"java\nscript:alert(1)": "javascript", "DATA:text/html,x": "data", "blob:https://example.org/1": "blob",
		"view-source:http://example.org": "http", "example.org": "", "1x:y": ""} {
		if u := Read(in); u.Scheme != scheme {
			t.Errorf("%q: scheme %q", in, u.Scheme)
		}
	}
}

// TestResolve: a relative link leads where its base says, and without one nowhere, unless it names a host.
func TestResolve(t *testing.T) {
	for _, c := range [][3]string{
		{"", "//example.org/x", "https://example.org/x"},
		{"", `\\example.org/x`, `https:\\example.org/x`},
		{"", "x/y", ""},
		{"", "#top", ""},
		{"", "https://example.org", "https://example.org"},
		{"http://evil.example/a/b?c", "x", "http://evil.example/a/x"},
		{"http://evil.example", "x", "http://evil.example/x"},
		{"http://evil.example:81/a/", "/x", "http://evil.example:81/x"},
		{"http://evil.example/a", "?q", "http://evil.example/a?q"},
		{"http://evil.example/a", "//other.example", "http://other.example"},
		{"mailto:a@b", "x", ""},
	} {
		if got := Resolve(c[0], c[1]); got != c[2] {
			t.Errorf("%q and %q: %q, not %q", c[0], c[1], got, c[2])
		}
	}
}

// FuzzRead: whatever is read, its host has nothing that ends a host, reading is stable, and it is never long.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"https://a@b:1/c?d#e", "http://0x7f.1", "http://[::1", "http:\\\\x", "https://xn--a", "http://%zz", "http://ｅ。x", "data:,x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u := Read(s)
		if len(u.Host) > 8*maxHost || strings.ToLower(u.Host) != u.Host && u.Odd&OddInvalid == 0 {
			t.Errorf("%q: host %q", s, u.Host)
		}
		if u.Odd&OddInvalid != 0 || !u.Web() {
			return
		}
		if strings.ContainsAny(u.Host, "/\\?#@ \t\r\n%") {
			t.Errorf("%q: host %q", s, u.Host)
		}
		again := Read(u.Scheme + "://" + u.authorityText() + u.Path)
		if again.Host != u.Host || again.Port != u.Port {
			t.Errorf("%q: %q, then %q", s, u.Host, again.Host)
		}
	})
}
