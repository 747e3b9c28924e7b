package author

import (
	"net/mail"
	"strings"
	"testing"
)

// FuzzFrom reads any From field. One author without a Problem is one address; written again, it reads as the same one, also
// behind any name; and where the parser of the standard library reads one address too, it is of the same domain. Whatever
// an ambiguous field names, it has no domain to be authenticated.
func FuzzFrom(f *testing.F) {
	for _, seed := range []string{"Anna <a@b.example>", `"ceo@bank.example" <x@evil.example>`, "a@b.example (x)", "Team: a@b.example;", "<@a,@b:c@d.example>",
		`"a\"b" <"c d"@e.example>,`, "=?utf-8?q?=3Ca=40b.example=3E?= <c@d.example>", "a@b.example\r\n\t\r\n <c@d>", "(a(b)\\)) <a@xn--bcher-kva.example>", "<ä@bücher.example>"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, value string, smtputf8 bool) {
		header := "From: " + value + "\r\n"
		a := Of([]byte(header), smtputf8)
		if len(a.Problems) > 0 {
			if a.Domain != "" || a.Problems[0].String() == "" {
				t.Fatalf("%q: %v", value, a)
			}
			return
		}
		if len(a.Addresses) != 1 || a.Domain == "" || a.Domain != a.Addresses[0].Domain || len(a.Domains) != 1 || a.Ambiguous() {
			t.Fatalf("%q: %v", value, a)
		}
		if strings.Count(a.Domain, ".") < 1 || strings.ToLower(a.Domain) != a.Domain || !isASCII(a.Domain) {
			t.Fatalf("%q: domain %q", value, a.Domain)
		}
		for _, again := range []string{a.Addresses[0].String(), "<" + a.Addresses[0].String() + ">", `"x, y" <` + a.Addresses[0].String() + ">"} {
			if b := Of([]byte("From: "+again+"\r\n"), smtputf8); b.Domain != a.Domain || b.Addresses[0] != a.Addresses[0] {
				t.Fatalf("%q, written again as %q: %v", value, again, b)
			}
		}
		if unfolded := strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "")); !strings.ContainsAny(unfolded, "\r\n") {
			if o := others(unfolded, a.Domain); len(o) > 0 {
				t.Fatalf("%q is of %s: %v", value, a.Domain, o)
			}
		}
		if first, _, _ := strings.Cut(header, "\n"); len(first)+1 == len(header) { // else there are other fields behind it
			if list, err := mail.ParseAddressList(strings.TrimSpace(strings.ReplaceAll(value, "\r\n", ""))); err == nil {
				at := strings.LastIndexByte(list[0].Address, '@')
				domain, _ := toDomain(list[0].Address[at+1:], true)
				if len(list) != 1 || domain != a.Domain {
					t.Fatalf("%q: we read %s, net/mail %v", value, a.Domain, list)
				}
			}
		}
	})
}

// FuzzHeader reads any header section. What reads as one author still does behind any other fields, unless they bring a
// Problem; a second From anywhere is one.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("From: a@b.example\r\n"), []byte("From : c@d.example\r\n"))
	f.Add([]byte("X: y\r\n\tz\r\n"), []byte("From\x00: c\r\n"))
	f.Add([]byte("From c Tue \r\n"), []byte("Fr\xd0\xbem: c\r\n"))
	f.Fuzz(func(t *testing.T, before, behind []byte) {
		one := []byte("From: a@b.example\r\n")
		line := func(b []byte) []byte { return append(b[:len(b):len(b)], "\r\n"...) }
		header := append(append(line(before), one...), line(behind)...)
		a := Of(header, false)
		if a.Domain != "" && a.Domain != "b.example" {
			t.Fatalf("%q: %v", header, a)
		}
		if twice := Of(append(header, one...), false); !twice.Has(SeveralFields) {
			t.Fatalf("%q and one more: %v", header, twice)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	header := []byte(strings.Repeat("Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example with ESMTPS id 4F1234567; Tue, 24 Nov 2026 00:00:00 +0000\r\n", 6) +
		"From: Anna Smith <anna@sender.example>\r\nTo: b@c.example\r\nSubject: x\r\nDate: Tue, 24 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@b.example>\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if a := Of(header, false); a.Domain != "sender.example" {
			b.Fatal(a)
		}
	}
}

// TestOfIsLinear shows that header sections made to be slow are read at once: what takes time with the square of its length
// is bounded. With the square these would take minutes.
func TestOfIsLinear(t *testing.T) {
	for name, header := range map[string]string{
		"look-alikes":   strings.Repeat("From\x00: a\r\n", 100_000),
		"invisible":     "F" + strings.Repeat("\u200b\u0300", 200_000) + "rom: a\r\n",
		"encoded words": "From: " + strings.Repeat("=?a?q?x", 580) + " <a@b.example>\r\n",
		"addresses":     "From: " + strings.Repeat("a@b.example,", 330) + "\r\n",
		"brackets":      "From: " + strings.Repeat("(\"<", 1300) + "\r\n",
		"a long name":   "From: \"" + strings.Repeat("a@"+strings.Repeat("\u4e00\u4e8c", 160)+".x ", 4) + "\" <a@b.example>\r\n",
		"many From":     strings.Repeat("From: a@b.example\r\n", 50_000),
		"one From":      "From: " + strings.Repeat("x ", 500_000) + "<a@b.example>\r\n",
		"folds":         strings.Repeat(" \r\n", 300_000),
	} {
		if a := Of([]byte(header), true); a.Domain != "" && name != "encoded words" && name != "a long name" {
			t.Errorf("%s: %v", name, a)
		}
	}
}
