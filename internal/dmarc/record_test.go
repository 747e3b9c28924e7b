package dmarc

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// short tells a record in one line.
func short(r *Record) string {
	if r == nil {
		return "no record"
	}
	if r.Broken != "" {
		return "broken: " + r.Broken
	}
	s := fmt.Sprintf("p=%s sp=%s np=%s", r.Policy, r.Sub, r.Nonexistent)
	if r.StrictDKIM {
		s += " strict adkim"
	}
	if r.StrictSPF {
		s += " strict aspf"
	}
	if r.Testing {
		s += " t"
	}
	if r.PSD != PSDUnsaid {
		s += fmt.Sprintf(" psd=%d", r.PSD)
	}
	if r.Percent != 100 {
		s += fmt.Sprintf(" pct=%d", r.Percent)
	}
	return s
}

func TestParse(t *testing.T) {
	long := "v=DMARC1; p=reject; " + strings.Repeat("x", maxText)
	for _, c := range []struct{ text, tree, psl string }{
		{"v=DMARC1; p=none", "p=none sp= np=", ""},
		{"v=DMARC1;p=reject;sp=quarantine;np=none", "p=reject sp=quarantine np=none", "p=reject sp=quarantine np="},
		{"V = DMARC1 ; P = REJECT ; SP = None ;;", "p=reject sp=none np=", ""},
		{"  v=DMARC1\t;\r\n p=reject", "p=reject sp= np=", ""},
		{"v=DMARC1; p=quarantine; adkim=s; aspf=r", "p=quarantine sp= np= strict adkim", ""},
		{"v=DMARC1; p=quarantine; adkim=R; aspf=S", "p=quarantine sp= np= strict aspf", ""},
		{"v=DMARC1; p=reject; pct=20; t=y; psd=y", "p=reject sp= np= t psd=1", "p=reject sp= np= pct=20"},
		{"v=DMARC1; p=reject; psd=n; t=n", "p=reject sp= np= psd=2", "p=reject sp= np="},
		{"v=DMARC1; p=reject; psd=u", "p=reject sp= np=", ""},
		// tags that cannot be read are left at their defaults
		{"v=DMARC1; p=reject; adkim=x; aspf=; pct=101; t=yes; psd=maybe; fo=9", "p=reject sp= np=", ""},
		{"v=DMARC1; p=reject; pct=-1; x=y; =z; nonsense; p", "p=reject sp= np=", ""},
		{"v=DMARC1; p=reject; pct=0; rf=afrf; ri=86400", "p=reject sp= np=", "p=reject sp= np= pct=0"},
		{"v=DMARC1; p=reject; p=none; sp=none; sp=reject", "p=reject sp=none np=", ""}, // the first counts
		// no policy
		{"v=DMARC1", "p=none sp= np=", "broken: no p"},
		{"v=DMARC1; sp=reject", "p=none sp=reject np=", "broken: no p"},
		{"v=DMARC1; rua=mailto:a@b.example", "p=none sp= np=", ""},
		{"v=DMARC1; rua=mailto:a@b.example; sp=reject", "p=none sp=reject np=", "p=none sp= np="},
		{"v=DMARC1; p=block", "broken: p is none of none, quarantine and reject", ""},
		{"v=DMARC1; p=", "broken: p is none of none, quarantine and reject", ""},
		{"v=DMARC1; p=reject; sp=block", "broken: sp is none of none, quarantine and reject", ""},
		{"v=DMARC1; p=reject; np=block", "broken: np is none of none, quarantine and reject", "p=reject sp= np="},
		{"v=DMARC1; p=reject; sp=block; rua=mailto:a@b.example", "p=none sp= np=", ""},
		{"v=DMARC1; p=block; rua=mailto:a@b.example", "p=none sp= np=", ""},
		{"v=DMARC1; p=block; rua=nobody", "broken: p is none of none, quarantine and reject", ""},
		{"v=DMARC1; p=reject\x00", "broken: p is none of none, quarantine and reject", ""},
		{long, "broken: longer than 4096 octets", ""},
		// none of ours
		{"", "no record", ""},
		{"v=DMARC2; p=reject", "no record", ""},
		{"v=dmarc1; p=reject", "no record", ""},
		{"v=DMARC1.0; p=reject", "no record", ""},
		{"v=DMARC1 p=reject", "no record", ""},
		{"v=DMARC1, p=reject", "no record", ""},
		{"p=reject; v=DMARC1", "no record", ""},
		{";v=DMARC1; p=reject", "no record", ""},
		{"v=spf1 -all", "no record", ""},
	} {
		psl := c.psl
		if psl == "" {
			psl = c.tree
		}
		if got := short(Parse(c.text, TreeWalk)); got != c.tree {
			t.Errorf("treewalk %q: %s, want %s", c.text, got, c.tree)
		}
		if got := short(Parse(c.text, PSL)); got != psl {
			t.Errorf("psl %q: %s, want %s", c.text, got, psl)
		}
		if r := Parse(c.text, PSL); r != nil && r.Text != c.text {
			t.Errorf("%q: the text is %q", c.text, r.Text)
		}
	}
}

func TestURIs(t *testing.T) {
	for _, c := range []struct {
		list string
		want []URI
	}{
		{"mailto:a@b.example", []URI{{"mailto:a@b.example", 0}}},
		{" mailto:a@b.example!10m , https://x.example/y!1k,ftp+x:z ", []URI{{"mailto:a@b.example", 10 << 20}, {"https://x.example/y", 1 << 10}, {"ftp+x:z", 0}}},
		{"mailto:a@b.example!7,mailto:c@d.example!2T", []URI{{"mailto:a@b.example", 7}, {"mailto:c@d.example", 2 << 40}}},
		{"a@b.example,mailto:,:x,1x:y,mailto:a b,mailto:a\x7f,mailto:x!,mailto:x!m,mailto:x!9999999999,mailto:x!1x", nil},
		{strings.Repeat("mailto:a@b.example,", 50), slicesRepeat(URI{"mailto:a@b.example", 0}, maxURIs)},
	} {
		r := Parse("v=DMARC1; p=none; fo=1:d; ruf="+c.list+"; rua="+c.list, TreeWalk)
		if !reflect.DeepEqual(r.Aggregate, c.want) || !reflect.DeepEqual(r.Failure, c.want) || r.Options != "1:d" {
			t.Errorf("%q: %v, %v, fo %q; want %v", c.list, r.Aggregate, r.Failure, r.Options, c.want)
		}
	}
}

func slicesRepeat(u URI, n int) (out []URI) {
	for range n {
		out = append(out, u)
	}
	return out
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{"Example.COM.": "example.com", "a_b.example": "a_b.example", "": "", ".": "", "a..b": "", ".a": "",
		"a.": "a", "a..": "", "bank.example\x00.evil.example": "", "bank.example evil": "", "bücher.example": "", "[192.0.2.1]": "",
		strings.Repeat("a", 63) + ".b": strings.Repeat("a", 63) + ".b", strings.Repeat("a", 64) + ".b": "", strings.Repeat("a.", 127) + "b": ""} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	for _, c := range [][3]string{{"a.b.c", "x.b.c", "b.c"}, {"a.c", "b.c", "c"}, {"a.b", "a.b", "a.b"}, {"b.c", "a.b.c", "b.c"}, {"ab.c", "b.c", "c"}, {"a.b", "c.d", ""}} {
		if got := common(c[0], c[1]); got != c[2] {
			t.Errorf("common(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
	if got := childOn("a.b.c.d", "c.d"); got != "b.c.d" {
		t.Errorf("childOn: %q", got)
	}
	for name, want := range map[string]string{"a.example.com": "example.com", "example.com": "example.com", "com": "com", "a.b.co.uk": "b.co.uk",
		"x.y.github.io": "y.github.io", "a.nosuchtld": "a.nosuchtld"} {
		if got := registered(name); got != want {
			t.Errorf("registered(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestWalk is the example of RFC 9989 section 4.10, and its edges.
func TestWalk(t *testing.T) {
	for domain, want := range map[string]string{
		"a.b.c.d.e.f.g.h.i.j.mail.example.com": "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com",
		"1.2.3.4.5.6.7.8.9":                    "1.2.3.4.5.6.7.8.9 3.4.5.6.7.8.9 4.5.6.7.8.9 5.6.7.8.9 6.7.8.9 7.8.9 8.9 9",
		"1.2.3.4.5.6.7.8":                      "1.2.3.4.5.6.7.8 2.3.4.5.6.7.8 3.4.5.6.7.8 4.5.6.7.8 5.6.7.8 6.7.8 7.8 8",
		"1.2.3.4.5.6.7":                        "1.2.3.4.5.6.7 2.3.4.5.6.7 3.4.5.6.7 4.5.6.7 5.6.7 6.7 7",
		"com":                                  "com",
	} {
		if got := strings.Join(walk(nil, domain), " "); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", domain, got, want)
		}
	}
}
