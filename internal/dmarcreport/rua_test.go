package dmarcreport

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestParseRUA(t *testing.T) {
	long := strings.Repeat("a", 65)
	for _, c := range []struct{ list, use, bad string }{
		{"mailto:d@example.com", "d@example.com/0", ""},
		{" MAILTO:D.x+y@Example.COM!10m , mailto:b@b.example!5K", "D.x+y@example.com/10485760 b@b.example/5120", ""},
		{"mailto:a@b.example!1024", "a@b.example/1024", ""},
		{"mailto:a@b.example!1g,mailto:c@b.example!1t", "a@b.example/1073741824 c@b.example/1099511627776", ""},
		{"mailto:a@b.example!99999999999999999999t", fmt.Sprintf("a@b.example/%d", int64(math.MaxInt64)), ""},
		{"mailto:a@b.example!99999999999999999t", fmt.Sprintf("a@b.example/%d", int64(math.MaxInt64)), ""},
		{"mailto:a@b.example!0", "", "size"},
		{"mailto:a@b.example!", "", "size"},
		{"mailto:a@b.example!m", "", "size"},
		{"mailto:a@b.example!1mm", "", "size"},
		{"mailto:a@b.example!-1", "", "size"},
		{"mailto:a%21b@b.example", "a!b@b.example/0", ""},
		{"mailto:a%2Cb@b.example", "", "address"},
		{"mailto:a@b.example?subject=x&bcc=v@victim.example", "a@b.example/0", ""},
		{"mailto:a%0d%0aBcc:%20v@b.example", "", "address"},
		{"mailto:a%00@b.example", "", "address"},
		{"mailto:a@b.example%0d%0a", "", "address"},
		{"mailto:a%zz@b.example", "", "encoding"},
		{"mailto:a@b.example%", "", "encoding"},
		{"mailto:%22a b%22@b.example", "", "address"},
		{"mailto:<a@b.example>", "", "address"},
		{"mailto:a@[192.0.2.1]", "", "address"},
		{"mailto:a@localhost", "", "address"},
		{"mailto:a@b@c.example", "", "address"},
		{"mailto:@b.example", "", "address"},
		{"mailto:.a@b.example", "", "address"},
		{"mailto:a@b..example", "", "address"},
		{"mailto:" + long + "@b.example", "", "address"},
		{"mailto:a@" + strings.Repeat("a.", 130) + "example", "", "address"},
		{"mailto:ä@b.example", "", "address"},
		{"mailto:a@bücher.example", "a@xn--bcher-kva.example/0", ""},
		{"mailto:a@b%C3%BCcher.example", "a@xn--bcher-kva.example/0", ""},
		{"mailto:a@b.example.", "a@b.example/0", ""},
		{"https://b.example/r", "", "mailto"},
		{"a@b.example", "", "mailto"},
		{"mailto:a@b.example,mailto:a@B.example", "a@b.example/0", ""},
		{",, ,", "", ""},
		{"", "", ""},
	} {
		use, bad := ParseRUA(c.list)
		var got []string
		for _, d := range use {
			got = append(got, fmt.Sprintf("%s/%d", d.Address(), d.MaxSize))
		}
		if strings.Join(got, " ") != c.use || (c.bad == "") != (len(bad) == 0) || len(bad) > 0 && !strings.Contains(bad[0].Error(), c.bad) {
			t.Errorf("%q: %q %v, want %q, %q", c.list, got, bad, c.use, c.bad)
		}
	}
}

// TestLongList: a list has no end that matters.
func TestLongList(t *testing.T) {
	var b strings.Builder
	for i := range 100000 {
		fmt.Fprintf(&b, "mailto:a%d@b.example,", i)
	}
	if use, bad := ParseRUA(b.String()); len(use) != MaxDestinations || len(bad) == 0 || len(bad) > MaxDestinations {
		t.Errorf("%d used, %d refused", len(use), len(bad))
	}
	if use, _ := ParseRUA("mailto:" + strings.Repeat("a", 1<<20) + "@b.example"); len(use) != 0 {
		t.Errorf("%v", use)
	}
}

// FuzzRUA: whatever a record holds, an address that is used can stand in a header field and in RCPT TO.
func FuzzRUA(f *testing.F) {
	for _, s := range []string{"mailto:d@example.com!10m, mailto:a%21@b.example?x=y", "mailto:%", "mailto:a@xn--0.example", "MAILTO:a@b.c!1k,,", "mailto:ä@bücher.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		use, bad := ParseRUA(list)
		if len(use) > MaxDestinations || len(bad) > MaxDestinations {
			t.Fatalf("%d, %d", len(use), len(bad))
		}
		for _, d := range use {
			a := d.Address()
			if !dotAtom(d.Local) || !ValidDomain(d.Domain) || len(a) > 64+1+253 || d.MaxSize < 0 || strings.Count(a, "@") != 1 {
				t.Errorf("%q of %q", a, list)
			}
			again, _ := ParseRUA("mailto:" + strings.NewReplacer("%", "%25", "!", "%21", "?", "%3F").Replace(a))
			if len(again) != 1 || again[0].Address() != a {
				t.Errorf("%q reads as %v", a, again)
			}
		}
		for _, b := range bad {
			if len(b.URI) > 100 || strings.ContainsAny(b.URI, "\r\n\x00") {
				t.Errorf("%q", b.URI)
			}
		}
	})
}
