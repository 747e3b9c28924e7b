package gateway

import (
	"strings"
	"testing"
)

// TestDomainIsTheMostSpecific shows which entry of policy a domain is served by.
func TestDomainIsTheMostSpecific(t *testing.T) {
	p := &Policy{Domains: map[string]*Domain{}}
	for _, d := range []*Domain{{Name: "a.example"}, {Name: "*.a.example"}, {Name: "x.a.example", Subdomains: true}, {Name: "*.y.a.example"}, {Name: "b.example", Subdomains: true},
		{Name: "*.c.example"}} {
		p.Domains[strings.TrimPrefix(d.Name, "*")] = d
	}
	for name, want := range map[string]string{"a.example": "a.example", "k.a.example": "*.a.example", "l.k.a.example": "*.a.example", "x.a.example": "x.a.example",
		"k.x.a.example": "x.a.example", "y.a.example": "*.a.example", "k.y.a.example": "*.y.a.example", "l.k.y.a.example": "*.y.a.example", "b.example": "b.example", "l.k.b.example": "b.example",
		"c.example": "", "k.c.example": "*.c.example", "xc.example": "", "example": "", "": "", ".c.example": "", "a.example.org": "", "ka.example": ""} {
		got := ""
		if d := p.Domain(name); d != nil {
			got = d.Name
		}
		if got != want {
			t.Errorf("%q is served by %q, want %q", name, got, want)
		}
	}
}

// TestIn shows how an address is written in another domain: its local part exactly as it was.
func TestIn(t *testing.T) {
	for _, c := range []struct {
		in   Address
		want Address
	}{
		{Address{"ann@old.example", "ann", "old.example", false}, Address{"ann@new.example", "ann", "new.example", false}},
		{Address{`"a@b c"@old.example`, "a@b c", "old.example", false}, Address{`"a@b c"@new.example`, "a@b c", "new.example", false}},
		{Address{"ann@bücher.example", "ann", "xn--bcher-kva.example", true}, Address{"ann@new.example", "ann", "new.example", false}},
		{Address{"ü@bücher.example", "ü", "xn--bcher-kva.example", true}, Address{"ü@new.example", "ü", "new.example", true}},
	} {
		if got := c.in.In("new.example"); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.in.Text, got, c.want)
		}
	}
}

// TestBase shows what the detail of a local part is.
func TestBase(t *testing.T) {
	plus := &Domain{Subaddress: "+"}
	for in, want := range map[string]string{"a+b": "a", "a+b+c": "a", "+a": "+a", "a": "a", "a+": "a", "": ""} {
		if got := plus.Base(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if got := new(Domain).Base(in); got != in {
			t.Errorf("%q without sub-addresses: %q", in, got)
		}
	}
}
