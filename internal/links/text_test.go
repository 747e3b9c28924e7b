package links

import (
	"slices"
	"strings"
	"testing"
)

// uris are the links of a list, with white space between them.
func uris(l *List) string {
	var out []string
	for _, k := range l.Links {
		out = append(out, k.URI)
	}
	return strings.Join(out, " ")
}

// TestText: what mail clients make clickable is found, without what belongs to the sentence.
func TestText(t *testing.T) {
	for _, c := range [][2]string{
		{"see https://example.org/a.", "https://example.org/a"},
		{"(https://example.org/a_(b))", "https://example.org/a_(b)"},
		{"[https://example.org/a]", "https://example.org/a"},
		{"\"https://example.org\", 'http://example.net/x'!", "https://example.org http://example.net/x"},
		{"HTTP://EXAMPLE.ORG/?", "HTTP://EXAMPLE.ORG/"},
		{"www.example.org/x, and www.example.com.", "http://www.example.org/x http://www.example.com"},
		{"WWW.Example.Unknown", "http://WWW.Example.Unknown"},
		{"example.org and sub.example.co.uk/path?x=1", "http://example.org http://sub.example.co.uk/path?x=1"},
		{"**example.org**", "http://example.org"},
		{"write to anna@example.org or mailto:anna@example.org", ""},
		{"https://anna@example.org/", "https://anna@example.org/"},
		{"readme.md setup.py main.rs lib.so node.js report.pdf 3.14 v1.2.3 e.g. i.e. Mr.Smith", ""},
		{"the end.It goes on, U.S. and Ph.D.", ""},
		{"example.org:8080/x", "http://example.org:8080/x"},
		{"<https://example.org/long\r\n /path/that\r\n goes-on>", "https://example.org/long/path/thatgoes-on"},
		{"<https://example.org/a\r\n\r\nnew paragraph>", "https://example.org/a"},
		{"<https://example.org/a>", "https://example.org/a"},
		{"Link<https://example.org/a>next", "https://example.org/a"},
		{"x=https://example.org/?u=http://inner.example/", "https://example.org/?u=http://inner.example/"},
		{"http://bücher.example/ü", "http://bücher.example/ü"},
		{"http://ｅxample。org/", "http://ｅxample。org/"},
		{"https://example.org/a\u00a0and more", "https://example.org/a"},
		{"看https://example.org/a\u3000看", "https://example.org/a"},
		{"“https://example.org/a”", "https://example.org/a"},
		{"https:// and http://", ""},
		{`https:\\example.org\x`, `https:\\example.org\x`},
		{"ftp://ftp.example.org/pub", "ftp://ftp.example.org/pub"},
		{"192.168.0.1 and 10.0.0.1/x", ""},
		{"http://192.0.2.1/x", "http://192.0.2.1/x"},
		{"-https://a.example/--", "https://a.example/--"},
		{"a..b .org org. -", ""},
		{"https://example.org/a https://example.org/a", "https://example.org/a"},
		{"\u3000\u3000www.example.org\u3000", "http://www.example.org"},
		{"<https://example.org/" + strings.Repeat("a", MaxURI) + "\r\nb>", "https://example.org/" + strings.Repeat("a", MaxURI-len("https://example.org/"))},
		{"no sign of a link in these words, nor in those\r\nbehind: then (www.example.org), then nothing", "http://www.example.org"},
	} {
		var l List
		l.Text(1, c[0])
		if got := uris(&l); got != c[1] {
			t.Errorf("%q: %q, not %q", c[0], got, c[1])
		}
	}
}

// TestMany: there is a bound, and it shows.
func TestMany(t *testing.T) {
	var b strings.Builder
	for i := range 3 * Most {
		b.WriteString("https://example.org/")
		b.WriteString(strings.Repeat("x", i%50+1))
		b.WriteByte(byte('a' + i/50%26))
		b.WriteString(strings.Repeat("y", i/1300))
		b.WriteByte('\n')
	}
	var l List
	l.Text(0, b.String())
	if len(l.Links) != Most || !l.More {
		t.Errorf("%d links, more %v", len(l.Links), l.More)
	}
	l = List{}
	l.Add(Link{URI: strings.Repeat("ä", MaxURI)})
	if n := len(l.Links[0].URI); n != MaxURI {
		t.Errorf("%d octets", n)
	}
}

// FuzzText: no text does more than its length, and each link is of it or a name with http:// before it.
func FuzzText(f *testing.F) {
	for _, s := range []string{"https://example.org", "<http://a\n b>", "www.example.org", "\u3000x.com", "http:\\\\", "a@b.com", "\xff.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var l List
		l.Text(0, s)
		if len(l.Links) > len(s)/4+1 {
			t.Errorf("%d links in %d octets", len(l.Links), len(s))
		}
		var slow List // each word is looked at
		for i := 0; i < len(s) && !slow.More; {
			i = slow.word(0, []byte(s), i)
		}
		if !slices.Equal(l.Links, slow.Links) {
			t.Errorf("%q: %v, word by word %v", s, l.Links, slow.Links)
		}
		flat := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r <= ' ' {
					return -1
				}
				return r
			}, s)
		}
		for _, k := range l.Links {
			if !strings.Contains(flat(s), flat(strings.TrimPrefix(k.URI, "http://"))) {
				t.Errorf("%q of %q", k.URI, s)
			}
		}
	})
}

func BenchmarkText(b *testing.B) {
	s := []byte(strings.Repeat("The quick brown fox, which we wrote about last week (see the minutes), jumps over the lazy dog.\r\n> quoted text goes on here\r\n", 400) +
		strings.Repeat("See https://example.org/some/path?with=query and example.com.\r\nRegards, Anna <anna@example.org>\r\n", 60))
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		var l List
		l.Octets(0, s)
	}
}
