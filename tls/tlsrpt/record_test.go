package tlsrpt

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestFind: which records count, and where they ask reports to be sent to.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		texts []string
		rua   string
		bad   string // what is not used, or the error
	}{
		{[]string{"v=TLSRPTv1; rua=mailto:reports@example.com"}, "reports@example.com", ""}, // RFC 8460 section 3.1.1
		{[]string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, "https://reporting.example.com/v1/tlsrpt", ""},
		{[]string{"v=TLSRPTv1;rua=mailto:a@b.example,https://b.example/x?y=z%2C , MAILTO:C@B.example;"}, "a@b.example https://b.example/x?y=z%2C C@b.example", ""},
		{[]string{"v=TLSRPTv1 ;\trua=mailto:a@b.example ; ext=1; rua=mailto:c@b.example"}, "a@b.example c@b.example", ""},
		{[]string{"v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@b.example", "v=TLSRPTv2;rua=mailto:c@b.example", "V=TLSRPTv1;rua=mailto:c@b.example"}, "a@b.example", ""},
		{[]string{"v=TLSRPTv1;rua=mailto:a@b.example", "v=TLSRPTv1;rua=mailto:a@b.example"}, "", "several"},
		{[]string{"v=TLSRPTv1"}, "", "no TLSRPT record"},
		{[]string{"v=TLSRPTv1x; rua=mailto:a@b.example"}, "", "no TLSRPT record"},
		{[]string{" v=TLSRPTv1; rua=mailto:a@b.example"}, "", "no TLSRPT record"},
		{[]string{"rua=mailto:a@b.example; v=TLSRPTv1;"}, "", "no TLSRPT record"},
		{nil, "", "no TLSRPT record"},
		{[]string{"v=TLSRPTv1;"}, "", "no address"},
		{[]string{"v=TLSRPTv1; RUA=mailto:a@b.example"}, "", "no address"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.example; junk"}, "", "no list"},
		{[]string{"v=TLSRPTv1; =x; rua=mailto:a@b.example"}, "", "no list"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.example" + strings.Repeat("; a=b", 50)}, "", "no list"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.example" + strings.Repeat(" ", 8<<10)}, "", "no list"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.example,http://b.example/,ftp:x,a@b.example"}, "a@b.example", "only mailto: and https: are known"},
		{[]string{"v=TLSRPTv1; rua=mailto:a%40c.example@b.example"}, "", "plain address"},
		{[]string{"v=TLSRPTv1; rua=mailto:a%21b@b.example"}, "a!b@b.example", ""},
		{[]string{"v=TLSRPTv1; rua=mailto:a%0d%0aBcc:%20v@b.example"}, "", "plain address"},
		{[]string{"v=TLSRPTv1; rua=mailto:a%zz@b.example"}, "", "percent"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.example?bcc=v@victim.example"}, "a@b.example", ""},
		{[]string{"v=TLSRPTv1; rua=mailto:a@localhost"}, "", "plain address"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@[192.0.2.1]"}, "", "plain address"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@192.0.2.1"}, "", "plain address"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b\u00fccher.example"}, "a@xn--bcher-kva.example", ""},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.example,mailto:a@B.example"}, "a@b.example", ""},
		{[]string{"v=TLSRPTv1; rua=https://127.0.0.1/"}, "", "no https address"},
		{[]string{"v=TLSRPTv1; rua=https://[::1]/"}, "", "no https address"},
		{[]string{"v=TLSRPTv1; rua=https://10.1/"}, "", "no https address"}, // some read it as 10.0.0.1
		{[]string{"v=TLSRPTv1; rua=https://0x7f.0.0.1/"}, "", "no https address"},
		{[]string{"v=TLSRPTv1; rua=https://localhost/"}, "", "no https address"},
		{[]string{"v=TLSRPTv1; rua=https://u:p@b.example/"}, "", "no https address"},
		{[]string{"v=TLSRPTv1; rua=https:b.example"}, "", "no https address"},
		{[]string{"v=TLSRPTv1; rua=https://B.Example:8443/X#f"}, "https://b.example:8443/X", ""},
		{[]string{"v=TLSRPTv1; rua=https://b.example:0/"}, "", "no https address"},
		{[]string{"v=TLSRPTv1; rua=https://b.example:99999/"}, "", "no https address"},
		{[]string{"v=TLSRPTv1; rua=https://b.example/" + strings.Repeat("a", 1000)}, "", "no https address"},
	} {
		r, err := Find(c.texts)
		var rua []string
		for _, d := range r.RUA {
			rua = append(rua, d.String())
			if again, ok := ReadDestination(d.String()); !ok || again != d || !ValidDomain(d.Host()) {
				t.Errorf("%q reads as %+v, %v; host %q", d, again, ok, d.Host())
			}
		}
		bad := fmt.Sprint(err, r.Bad)
		if strings.Join(rua, " ") != c.rua || !strings.Contains(bad, c.bad) || (err == nil) != (c.rua != "") || c.bad == "" && len(r.Bad) > 0 {
			t.Errorf("%q: %q, %s", c.texts, rua, bad)
		}
	}
}

// TestFindMany: a list has no end that matters.
func TestFindMany(t *testing.T) {
	var b strings.Builder
	b.WriteString("v=TLSRPTv1;rua=")
	for i := range 200 {
		fmt.Fprintf(&b, "mailto:a%d@b.example,", i)
	}
	r, err := Find([]string{b.String()})
	if err != nil || len(r.RUA) != MaxDestinations || len(r.Bad) != MaxDestinations || !errors.Is(r.Bad[0].Err, errMore) {
		t.Errorf("%v %+v", err, r)
	}
	if _, ok := ReadDestination("http://b.example/"); ok {
		t.Error("http is no destination")
	}
}

// FuzzFind: whatever a record holds, what is used can stand in a header field and in RCPT TO, or be asked by https, and what
// is not used can be shown.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"v=TLSRPTv1;rua=mailto:a%21@b.example?x=y,https://b.example:443/%2c?x", "v=TLSRPTv1;rua=https://%62.example/", "v=TLSRPTv1;rua=mailto:%", "v=TLSRPTv1; rua=https://b.example\\@c.example/", "v=TLSRPTv1;rua=https://xn--0.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Find([]string{text})
		if len(r.RUA) > MaxDestinations || len(r.Bad) > MaxDestinations || (err == nil) != (len(r.RUA) > 0) {
			t.Fatalf("%+v %v", r, err)
		}
		for _, d := range r.RUA {
			if (d.Mailbox == "") == (d.URL == "") || !ValidDomain(d.Host()) || len(d.String()) > maxURL || strings.ContainsFunc(d.String(), func(c rune) bool { return c <= ' ' || c > '~' }) {
				t.Errorf("%q of %q", d, text)
			}
			if again, ok := ReadDestination(d.String()); !ok || again != d {
				t.Errorf("%q reads as %q, %v", d, again, ok)
			}
		}
		for _, b := range r.Bad {
			if len(b.URI) > 100 || strings.ContainsAny(b.URI, "\r\n\x00") {
				t.Errorf("%q", b.URI)
			}
		}
	})
}
