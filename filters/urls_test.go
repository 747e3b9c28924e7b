package filters

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/mime"
	"gatepost/internal/unpack"
	"gatepost/rbl"
)

// urlsOf runs the check over a message, after findings of earlier rows, and prices it as policy does.
func urlsOf(t *testing.T, policy, text string, found ...gateway.Finding) (gateway.Finding, float64) {
	t.Helper()
	d := &Deps{}
	pl := build(t, policy, d)
	e := dataOf(t, strings.ReplaceAll(text, "\n", "\r\n"))
	f := impersonation(t, d, pl, "urls", "198.51.100.7", e, found...)
	e.Findings = []gateway.Finding{f}
	return f, d.Policy.Suspicion(e.Session, e)
}

// page is a message of one page.
func page(html string) string {
	return "From: a@b.example\nTo: anna@served.example\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n" + html + "\n"
}

// TestURLs: what links hide is told, and nothing else.
func TestURLs(t *testing.T) {
	for _, c := range []struct{ html, measures, reason, evidence string }{
		{`<p>hello <a href="https://www.example.net/">our site</a>`, "", "", ""},
		{`<a href="https://evil.test/">https://www.bank.test/login</a>`, "disguised", "urls.disguised", `the text: "https://www.bank.test/login" leads to https://evil.test/: the text names www.bank.test`},
		{`<a href="https://evil.test/">www.bank.test</a>`, "disguised", "urls.disguised", ""},
		{`<a href="https://evil.test/">Log in: https://www.bank.test/login</a>`, "disguised", "urls.disguised", ""},
		{`<a href="https://evil.test/">bank.com</a>`, "mentions", "", ""},
		{`<a href="https://evil.test/">bank.com/login</a>`, "disguised", "urls.disguised", ""},
		{`<a href="https://x.googleapis.com/bucket">www.bank.test</a>`, "disguised", "urls.disguised", ""},
		{`<a href="https://login.bank.test/x">https://www.bank.test/login</a>`, "", "", ""},
		{`<a href="https://bank.de/">https://www.bank.com/login</a>`, "", "", ""},
		{`<a href="https://evil.test/">Node.js, ASP.NET and others</a>`, "", "", ""},
		{`<a href="https://evil.test/">anna@bank.com</a>`, "", "", ""},
		{`<a href="https://evil.test/">report.pdf</a>`, "", "", ""},
		{`<a href="https://us1.list-manage.com/track/click?u=1">https://www.shop.test/</a>`, "", "", ""},
		{`<a href="https://us1.list-manage.com/track/click?u=1">https://www.paypal.com/</a>`, "disguised", "urls.disguised", ""},
		{`<a href="https://goto.test/?to=https%3A%2F%2Fwww.shop.test%2F">https://www.shop.test/</a>`, "", "", ""},
		{`<a href="https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fwww.shop.test%2F">https://www.shop.test/</a>`, "", "", ""},
		{`<a href="https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.test%2F">https://www.shop.test/</a>`, "disguised", "urls.disguised", ""},
		{`<a href="https://5erved.example/">x</a>`, "lookalike", "urls.lookalike", `"x" leads to https://5erved.example/: can be taken for served.example, by letters`},
		{`<a href="https://www.served.example.evil.test/">x</a>`, "lookalike", "urls.lookalike", ""},
		{`<a href="https://paypa1.com/">x</a>`, "lookalike", "urls.lookalike", ""},
		{`<a href="https://xn--pypal-4ve.com/">x</a>`, "mixed lookalike", "urls.lookalike", ""},
		{`<a href="https://paypal-support.test/">x</a>`, "addition", "urls.lookalike", ""},
		{`<a href="https://served-portal.test/">x</a>`, "addition", "urls.lookalike", ""},
		{`<a href="https://served.com/">x</a>`, "other_end", "", ""},
		{`<a href="https://served.example/">x</a><a href="https://www.paypal.com">x</a><a href="https://amazon.co.uk">x</a>`, "", "", ""},
		{`<a href="http://192.0.2.7/x">x</a>`, "literal", "urls.odd", ""},
		{`<a href="http://192.168.1.1/x">x</a>`, "", "", ""},
		{`<a href="http://0xC0000207/x">x</a>`, "notation literal", "urls.odd", ""},
		{`<a href="https://bank.test@evil.test/">x</a>`, "user", "urls.odd", ""},
		{`<a href="https:\\evil.test/">x</a><a href="https:///sloppy.test">y</a>`, "hidden", "urls.odd", ""},
		{`<a href="https://%65vil.test/">x</a>`, "hidden", "urls.odd", ""},
		{`<a href="data:text/html,hello">x</a>`, "content", "urls.odd", ""},
		{`<a href="file://evil.test/share/a.docx">x</a>`, "opens", "urls.odd", ""},
		{`<a href="file://///evil.test/share">x</a>`, "opens", "urls.odd", ""},
		{`<a href="file:\\evil.test\share\x.exe">x</a>`, "opens", "urls.odd", ""},
		{`<a href="\\evil.test\share">x</a>`, "opens hidden", "urls.odd", `"x" leads to \\evil.test\share`},
		{`<img src="\\192.0.2.7\x.png">`, "opens", "urls.odd", ""},
		{`<img src="FILE://192.0.2.7/x.png">`, "opens", "urls.odd", ""},
		{`<a href="search-ms:query=x&crumb=location:\\evil.test">x</a>`, "opens", "urls.odd", ""},
		{`<a href="file:///C:/Users/me/a.docx">x</a><a href="file://localhost/a">x</a><a href="file:a">x</a><a href="\a">x</a>`, "", "", ""},
		{`<a href="javascript:void(0);">x</a>`, "", "", ""},
		{`<a href="javascript:window.location='https://evil.test/'">x</a>`, "script", "urls.odd", ""},
		{`<form action="https://evil.test/"><input type=password>`, "password", "urls.odd", "the text: : asks for a password"},
		{`<form action="https://evil.test/"><input name=x>`, "form", "", ""},
		{`<base href="https://evil.test/"><a href="x">https://www.bank.test/</a>`, "base disguised", "urls.disguised", ""},
		{`<a href="https://bit.ly/x">x</a>`, "shortener", "", ""},
		{`<img src="http://192.0.2.7/pixel.gif"><img src="https://5erved.example/">`, "", "", ""},
	} {
		f, points := urlsOf(t, "", page(c.html))
		if got := strings.Join(measured(f), " "); got != c.measures || string(f.Reason) != c.reason || (f.Result == gateway.Fail) != (c.reason != "") {
			t.Errorf("%s: %s %s, %s; %v", c.html, f.Result, f.Reason, got, f.Evidence)
		}
		if c.evidence != "" && !strings.Contains(evidence(f, "link"), strings.TrimPrefix(c.evidence, "the text: :")) {
			t.Errorf("%s: evidence %v", c.html, f.Evidence)
		}
		if (points > 0) != (c.measures != "") {
			t.Errorf("%s: %v points", c.html, points)
		}
	}
}

// TestURLsOptions: what the operator names is protected, or let be.
func TestURLsOptions(t *testing.T) {
	link := page(`<a href="https://evil.test/">https://www.bank.test/</a> <a href="https://partnar.example/">x</a> <a href="https://paypa1.com/">x</a>`)
	for policy, want := range map[string]string{
		"": "disguised lookalike",
		"[checks.urls]\nallow = [\"evil.test\", \"paypa1.com\"]\n":                         "",
		"[checks.urls]\nwell_known = false\n":                                              "disguised",
		"[checks.urls]\nwell_known = false\nprotect = [\"partner.example\"]\n":             "disguised lookalike",
		"[checks.urls]\nallow = [\"bank.test\"]\nwell_known = false\n":                     "disguised",
		"[checks.urls]\naction = \"quarantine\"\nreasons = { \"urls.odd\" = \"score\" }\n": "disguised lookalike",
	} {
		if f, _ := urlsOf(t, policy, link); strings.Join(measured(f), " ") != want {
			t.Errorf("%s: %v", policy, measured(f))
		}
	}
	own := gateway.Passed().Says(gateway.AuthResult{Method: "dmarc", Result: "pass"}).
		Says(gateway.AuthResult{Method: "dkim", Result: "pass", Props: []gateway.AuthProp{{Type: "header", Name: "d", Value: "mailer.example"}}})
	for html, want := range map[string]string{
		`<a href="https://track.strange.example/1">https://www.b.example/</a>`:     "", // its own name
		`<a href="https://click.mailer.example/1">https://www.other.example/</a>`:  "", // a link of who sent it
		`<a href="https://click.mailer.example/1">https://www.paypal.com/</a>`:     "disguised",
		`<a href="https://track.strange.example/1">https://www.other.example/</a>`: "disguised",
	} {
		if f, _ := urlsOf(t, "", page(html), own); strings.Join(measured(f), " ") != want {
			t.Errorf("%s: %v", html, measured(f))
		}
	}
}

// TestURLsPrices: files of typical fraud cost 3 points at least, and typical newsletters nothing.
func TestURLsPrices(t *testing.T) {
	files, err := filepath.Glob("testdata/urls/*.eml")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, points := urlsOf(t, "", string(text))
		fraud := strings.Contains(name, "phish")
		if fraud && points < 3 || !fraud && points != 0 {
			t.Errorf("%s: %v points, %v", name, points, f.Evidence)
		}
	}
}

// TestURLsFact: texts, pages and attached texts are looked at, each link with its part.
func TestURLsFact(t *testing.T) {
	e := dataOf(t, strings.ReplaceAll(`From: a@b.example
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain

see https://one.example/
--x
Content-Type: text/html
Content-Transfer-Encoding: base64

PGEgaHJlZj0iaHR0cHM6Ly90d28uZXhhbXBsZSI+dGV4dDwvYT4=
--x
Content-Type: text/plain
Content-Disposition: attachment; filename=notes.txt

https://three.example/
--x--
`, "\n", "\r\n"))
	l := (&Deps{}).linksIn(t.Context(), input(from("198.51.100.7", "x.example"), e))
	var got []string
	for i := range l.Links {
		got = append(got, l.place(&l.Links[i])+" "+l.ends[i].Host+" "+l.Links[i].Text)
	}
	want := []string{"part 1 one.example ", "part 2 two.example text", "part 3 (notes.txt) three.example "}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if l := (&Deps{}).linksIn(t.Context(), &gateway.Input{Session: e.Session}); len(l.Links) != 0 {
		t.Errorf("%+v", l)
	}
}

// unpacker is a process of the test, that says one thing of all parts.
type unpacker struct {
	links []unpack.Link
	err   error
}

func (u unpacker) UnpackShowing(_ context.Context, pieces []unpack.Piece, _ func([][]byte)) (r unpack.Report, err error) {
	for _, p := range pieces {
		r.Objects = append(r.Objects, unpack.Object{Parent: -1, Part: p.Part, Links: u.links})
	}
	return r, u.err
}

// TestURLsUnpacked: links of attachments and of codes in pictures are looked at, and where nobody could tell that is said.
func TestURLsUnpacked(t *testing.T) {
	text := "From: a@b.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nhello https://one.example/\n--x\n" +
		"Content-Type: application/pdf; name=invoice.pdf\n\n%PDF-1.4 and more\n--x--\n"
	for _, c := range []struct {
		u    unpacker
		want string
	}{
		{unpacker{}, "pass  "},
		{unpacker{links: []unpack.Link{{URI: "https://evil.test/", Text: "https://www.bank.test/", Where: "a"}}}, "fail urls.disguised disguised"},
		{unpacker{links: []unpack.Link{{URI: "paypa1.com/x", Where: "qr"}}}, "fail urls.lookalike qr lookalike"},
		{unpacker{links: []unpack.Link{{URI: "WIFI:x", Where: "qr"}, {URI: "https://www.example.net/", Where: "document"}}}, "pass  "},
		{unpacker{err: &unpack.Failure{Kind: unpack.Crashed, Err: context.Canceled}}, "unknown unpack.failed "},
		{unpacker{err: &unpack.Failure{Kind: unpack.Busy, Err: context.Canceled}}, "unknown scanner.failed "},
	} {
		d := &Deps{Unpack: c.u}
		pl := build(t, "", d)
		f := impersonation(t, d, pl, "urls", "198.51.100.7", dataOf(t, strings.ReplaceAll(text, "\n", "\r\n")))
		if got := f.Result.String() + " " + string(f.Reason) + " " + strings.Join(measured(f), " "); got != c.want {
			t.Errorf("%+v: %s, not %s; %v", c.u, got, c.want, f.Evidence)
		}
		if f.Result == gateway.Fail && (!slices.Equal(f.Parts, []int{2}) || !strings.Contains(evidence(f, "link"), "part 2 (invoice.pdf)")) {
			t.Errorf("parts %v, %v", f.Parts, f.Evidence)
		}
	}
}

// later is a body that can be read until it is gone.
type later struct {
	gateway.Body
	gone *bool
}

func (l later) ReadAt(p []byte, at int64) (int, error) {
	if *l.gone {
		return 0, io.ErrUnexpectedEOF
	}
	return l.Body.ReadAt(p, at)
}

// TestURLsOfLongText: a text that is too long to be kept is looked at as well, and where it cannot be read again its links
// are unknown.
func TestURLsOfLongText(t *testing.T) {
	text := "From: a@b.example\r\nContent-Type: text/html\r\n\r\n" + strings.Repeat("<p>words\r\n", 30_000) +
		`<a href="https://evil.test/">https://www.bank.test/</a>` + "\r\n"
	for _, c := range []struct {
		gone bool
		want gateway.Result
	}{{false, gateway.Fail}, {true, gateway.Unknown}} {
		d := &Deps{}
		pl := build(t, "", d)
		e := dataOf(t, text)
		gone := false
		e.Body = later{e.Body, &gone}
		if tree(&gateway.Input{Envelope: e}) == nil {
			t.Fatal("no tree")
		}
		gone = c.gone
		if f := impersonation(t, d, pl, "urls", "198.51.100.7", e); f.Result != c.want {
			t.Errorf("gone %t: %s %s %v", c.gone, f.Result, f.Reason, f.Evidence)
		}
	}
}

// TestRBLURL: hosts of links are asked about, by what each list has, and cost points; well-known ones are not.
func TestRBLURL(t *testing.T) {
	lab := dnslab.New(t, dnslab.Text(`
test.hosts.example. A 127.0.0.2
test.domains.example. A 127.0.0.2
bad.evil.test.hosts.example. A 127.0.0.2
evil.test.domains.example. A 127.0.0.2
7.2.0.192.domains.example. A 127.0.0.2
b.example.domains.example. A 127.0.0.2
`))
	hosts := ownList(t, "hosts", rbl.Link, "127.0.0.2=9")
	domains := ownList(t, "domains", rbl.Link|rbl.LinkIPv4|rbl.From, "127.0.0.2=4")
	domains.List.Registered = true
	lists, err := rbl.NewSupervisor([]rbl.Entry{hosts, domains}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ html, want, clear string }{
		{`<a href="https://bad.evil.test/x">x</a>`, "hosts:127.0.0.2 code 2 domains:127.0.0.2 code 2", ""},
		{`<a href="https://good.evil.test/x">x</a>`, "domains:127.0.0.2 code 2", "hosts"},
		{`<img src="https://evil.test/x">`, "domains:127.0.0.2 code 2", "hosts"},
		{`<a href="http://0300.0.2.7/x">x</a>`, "domains:127.0.0.2 code 2", ""},
		{`<a href="https://www.google.com/url?q=https://evil.test/">x</a>`, "domains:127.0.0.2 code 2", "hosts"},
		{`<a href="https://www.b.example/">x</a>`, "", "hosts"}, // priced with the author
		{`<a href="https://clear.test/">x</a>`, "", "hosts, domains"},
	} {
		d := &Deps{Resolver: patient(t, lab), Lists: lists}
		pl := build(t, "", d)
		lists.Probe(t.Context(), ListDNS(d.Resolver), time.Now())
		e := dataOf(t, strings.ReplaceAll(page(c.html), "\n", "\r\n"))
		impersonation(t, d, pl, "rbl.author", "198.51.100.7", e)
		f := impersonation(t, d, pl, "rbl.url", "198.51.100.7", e)
		var got []string
		for _, m := range f.Measures {
			got = append(got, m.Text)
		}
		if strings.Join(got, " ") != c.want || evidence(f, "not listed by") != c.clear && c.clear != "" {
			t.Errorf("%s: %s %v %v", c.html, f.Result, got, f.Evidence)
		}
	}
	d := &Deps{Resolver: patient(t, lab), Lists: lists}
	pl := build(t, "", d)
	for _, html := range []string{`<p>no link`, `<a href="https://www.google.com/">x</a><a href="https://served.example">y</a><a href="http://10.0.0.1">z</a><img src="https://fonts.gstatic.com/x">`} {
		if f := impersonation(t, d, pl, "rbl.url", "198.51.100.7", dataOf(t, strings.ReplaceAll(page(html), "\n", "\r\n"))); f.Result != gateway.NotRun {
			t.Errorf("%s: %+v", html, f)
		}
	}
}

// TestRBLURLBound: of many links some are asked about, those that look worst among them.
func TestRBLURLBound(t *testing.T) {
	lists, err := rbl.NewSupervisor([]rbl.Entry{ownList(t, "hosts", rbl.Link|rbl.LinkIPv4, "127.0.0.2=9")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &Deps{Lists: lists}
	build(t, "", d)
	c := &urlLister{names: d.imitated(nil, nil, true)}
	if c.lister, err = d.newLister(&ListsOptions{Refuse: 10}, rbl.Link|rbl.LinkIPv4); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range 300 {
		b.WriteString(`<a href="https://x` + strings.Repeat("y", i%60) + `.a` + strings.Repeat("z", i/10) + `.test/">x</a>`)
	}
	b.WriteString(`<a href="https://bank.test@evil.test/">x</a>`)
	asked := c.choose((&Deps{}).linksIn(t.Context(), input(from("198.51.100.7", "x.example"), dataOf(t, strings.ReplaceAll(page(b.String()), "\n", "\r\n")))))
	if len(asked.Hosts) != mostListed || asked.Hosts[0] != "evil.test" {
		t.Errorf("%d hosts: %v", len(asked.Hosts), asked.Hosts)
	}
}

// BenchmarkURLs: what the check adds to a message whose tree is known, without a link and with some.
func BenchmarkURLs(b *testing.B) {
	plain := "From: a@b.example\n\n" + strings.Repeat("The minutes of last week are ready. Tell me what you think of them, Anna.\n", 14)
	for name, text := range map[string]string{"1K": plain, "links": page(strings.Repeat(`<p>The offer of the week <a href="https://click.shop.example/1?x=2">See it now</a> <img src="https://img.shop.example/1.png"></p>`, 20))} {
		b.Run(name, func(b *testing.B) {
			c := &urlCheck{d: &Deps{}, names: (&Deps{Policy: servedPolicy()}).imitated(nil, nil, true)}
			in := input(from("198.51.100.7", "x.example"), dataOf(b, strings.ReplaceAll(text, "\n", "\r\n")))
			t := tree(in)
			b.ReportAllocs()
			for b.Loop() {
				in.Envelope.Facts = gateway.Facts{}
				gateway.Fact(&in.Envelope.Facts, factMIME, func() *mime.Tree { return t })
				c.run(b.Context(), in)
			}
		})
	}
}
