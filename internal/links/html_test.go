package links

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// all is a list as text: place, target and shown text of each.
func all(l *List) string {
	var out []string
	for _, k := range l.Links {
		s := string(k.Where) + " " + k.URI
		if k.Text != "" {
			s += " [" + k.Text + "]"
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

// TestHTML: each way in which a page leads somewhere is found, with what is shown for it.
func TestHTML(t *testing.T) {
	for _, c := range [][2]string{
		{`<a href="https://a.example/">click  <b>he&#114;e</b>&nbsp;now</a>`, "a https://a.example/ [click here now]"},
		{`<A HREF=https://a.example/x?a=1&amp;b=2>x</A>`, "a https://a.example/x?a=1&b=2 [x]"},
		{`<a href='&#104;ttps://a&#46;example'>x`, "a https://a.example [x]"},
		{`<a/href="https://a.example">x</a>`, "a https://a.example [x]"},
		{`<a href="https://a.example">one<a href="https://b.example">two</a>`, "a https://a.example [one]\na https://b.example [two]"},
		{`<a href="https://a.example"><img src="https://i.example/x.png" alt="https://bank.example"></a>`, "resource https://i.example/x.png\na https://a.example [https://bank.example]"},
		{`<a href="https://a.example">ba<span style="display: none">xx<span>yy</span>zz</span>nk.<i hidden>q</i>example</a>`, "a https://a.example [bank.example]"},
		{"<a href=\"https://a.example\">ba\u200bnk&shy;.example&#8203;</a>", "a https://a.example [bank.example]"},
		{`<a href="https://a.example"><p>one</p><p>two</p></a>`, "a https://a.example [one two]"},
		{`<area href="https://a.example" alt="map">`, "a https://a.example [map]"},
		{`<v:roundrect href="https://a.example">x</v:roundrect>`, "a https://a.example"},
		{`<base href="https://evil.example/p/"><a href="x">y</a>`, "base https://evil.example/p/\na https://evil.example/p/x [y]"},
		{`<a href="x">y</a><base href="https://evil.example/p/">`, "base https://evil.example/p/\na https://evil.example/p/x [y]"},
		{`<a href="x">y</a><a href="#z">z</a><a href="">e</a>`, ""},
		{`<a href="//a.example/x">y</a>`, "a https://a.example/x [y]"},
		{`<a href="\\a.example/x">y</a>`, "a \\\\a.example/x [y]\na https:\\\\a.example/x [y]"},
		{`<a href="mailto:a@b.example">y</a><a href="tel:123">z</a><img src="cid:1">`, ""},
		{`<form action="https://f.example/post"><input type=password><button formaction=https://g.example>`, "form https://f.example/post\nform https://g.example"},
		{`<meta http-equiv="Refresh" content="0; URL='https://r.example/'">`, "refresh https://r.example/"},
		{`<meta http-equiv=refresh content="0,https://r.example/">`, "refresh https://r.example/"},
		{`<link rel=stylesheet href=https://l.example/s.css><script src="https://s.example/x.js"></script><iframe src="https://f.example/"></iframe>`,
			"resource https://l.example/s.css\nresource https://s.example/x.js\nresource https://f.example/"},
		{`<td background="https://b.example/x.png" style="background: URL( 'https://c.example/y.png' )">`, "resource https://b.example/x.png\nresource https://c.example/y.png"},
		{`<style>@import "https://i.example/a.css"; p { background: url(https://j.example/b.png) }</style>`, "resource https://j.example/b.png\nresource https://i.example/a.css"},
		{`<img srcset="https://i.example/1.png 1x, https://i.example/2.png 2x">`, "resource https://i.example/1.png\nresource https://i.example/2.png"},
		{`<div onclick="window.location='https://o.example/'">x</div>`, "refresh https://o.example/"},
		{`<script>location.href = "https:\/\/o.example\/x"; var y = "http://k.example";</script>`, "refresh https://o.example/x\nresource http://k.example"},
		{`<a href="javascript:location='https://o.example/'">x</a>`, "refresh https://o.example/\na javascript:location='https://o.example/' [x]"},
		{"<a href=\"java\nscript:alert(1)\">x</a>", "a java\nscript:alert(1) [x]"},
		{`<a href="data:text/html;base64,PGEgaHJlZj0iaHR0cHM6Ly9pbi5leGFtcGxlIj55PC9hPg==">x</a>`,
			"a https://in.example [y]\na data:text/html;base64,PGEgaHJlZj0iaHR0cHM6Ly9pbi5leGFtcGxlIj55PC9hPg== [x]"},
		{`<img src="data:image/png;base64,AAAA"><a href="blob:https://b.example/1">x</a>`, "a blob:https://b.example/1 [x]"},
		{`<!--[if mso]><a href="https://a.example">x</a><![endif]--><!-- <a href="https://no.example">x</a> -->`, "a https://a.example [x]"},
		{`<noscript><a href="https://a.example">x</a></noscript>`, "a https://a.example [x]"},
		{`<svg><style><a href="https://a.example">x</a></style></svg>`, "a https://a.example [x]"},
		{`<title><a href="https://a.example">x</a></title>`, "a https://a.example [x]"},
		{`<iframe srcdoc="&lt;a href='https://a.example'&gt;x&lt;/a&gt;"></iframe>`, "a https://a.example [x]"},
		{`<svg><a xlink:href="https://a.example">x</a><image href="https://i.example/"/></svg>`, "a https://a.example [x]\nresource https://i.example/"},
		{`<script type="application/ld+json">{"url": "https://j.example/"}</script>`, ""},
		{`<p>see https://t.example/x &amp; www.example.org.</p>`, "text https://t.example/x\ntext http://www.example.org"},
		{`<a href="https://a.example"`, ""},
		{`<a href="https://a.example" x="`, ""},
	} {
		var l List
		l.HTML(3, c[0])
		if got := all(&l); got != c[1] {
			t.Errorf("%s\n%s\nnot\n%s", c[0], got, c[1])
		}
		for _, k := range l.Links {
			if k.Part != 3 {
				t.Errorf("%s: part %d", c[0], k.Part)
			}
		}
	}
}

// TestPage: what asks for something or acts by itself is told.
func TestPage(t *testing.T) {
	var l List
	p := l.HTML(0, `<base href="https://b.example/"><form action="post.php"><input name=p type=" PASSWORD "></form><meta http-equiv=refresh content="1;url=/x">
<iframe src="https://f.example"></iframe><svg onload="go()"><foreignObject></foreignObject></svg><script>one()</script><object data=x></object>`)
	if !p.Password || p.Form != "https://b.example/post.php" || p.Base != "https://b.example/" || p.Refresh != "/x" || p.Frame != "https://f.example" ||
		p.Handler != "onload=go()" || !p.Foreign || !p.Plugin || strings.Join(p.Code, "|") != "go()|one()" {
		t.Errorf("%+v", p)
	}
	l = List{}
	if p := l.HTML(0, `<p>hello <a href="https://a.example">x</a>`); p.Password || p.Form+p.Base+p.Refresh+p.Frame+p.Handler != "" || p.Foreign || p.Plugin || p.Code != nil {
		t.Errorf("%+v", p)
	}
}

// hostile are pages that are made to cost a lot.
func hostile() map[string]string {
	const n = 40_000
	var links strings.Builder
	for i := range n {
		fmt.Fprintf(&links, "<a href=https://a%d.example/>x</a>", i)
	}
	return map[string]string{
		"nested tags":     strings.Repeat("<div>", n),
		"nested links":    strings.Repeat("<a href=x>", n),
		"links":           links.String(),
		"attributes":      "<a " + strings.Repeat("href=https://a.example ", n) + ">",
		"styles":          strings.Repeat("<p style='background:url(https://a.example'>", n),
		"parentheses":     "<style>" + strings.Repeat("url(", n) + "</style>",
		"comments":        strings.Repeat("<!--[if x]>", n),
		"nested comments": strings.Repeat("<!--[if x]><!--[if x]>-->", n/4),
		"srcdoc":          strings.Repeat("<iframe srcdoc='<iframe srcdoc=\"x\">'>", n/4),
		"hidden":          strings.Repeat("<i hidden>", n) + "<a href=https://a.example>x",
		"imports":         "<style>" + strings.Repeat("@import '", n) + "</style>",
		"script":          "<script>" + strings.Repeat("http://", n) + "</script>",
		"entities":        "<a href=https://a.example>" + strings.Repeat("&#x41;", n),
		"data":            "<a href='data:text/html," + strings.Repeat("%3Cb%3E", n) + "'>x",
		"titles":          strings.Repeat("<title>href", n),
		"open":            strings.Repeat("<a href='", n),
		"less":            strings.Repeat("<", n),
		"text":            strings.Repeat("<http://x\n", n),
		"dots":            strings.Repeat("a.", n),
		"wide":            strings.Repeat("a\u3000.", n),
		"brackets":        "http://x" + strings.Repeat(")", n),
	}
}

// TestHostile: no page makes more work or keeps more memory than its length allows for. Quadratic work in a page of some megabytes would take minutes, and allocate more.
func TestHostile(t *testing.T) {
	for name, s := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var l List
		l.HTML(0, s)
		l.Text(0, s)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 64*uint64(len(s))+16<<20 {
			t.Errorf("%s: %d octets were allocated for %d", name, spent, len(s))
		}
		if len(l.Links) > Most {
			t.Errorf("%s: %d links", name, len(l.Links))
		}
	}
}

// FuzzHTML: nothing breaks it, and what it finds is bounded.
func FuzzHTML(f *testing.F) {
	for name, s := range hostile() {
		f.Add(s[:min(len(s), 200)] + name)
	}
	f.Add(`<base href=https://b><a href=x>y</a><form action=z><input type=password>`)
	f.Fuzz(func(t *testing.T, s string) {
		var l List
		p := l.HTML(0, s)
		if len(l.Links) > Most || len(p.Code) > maxCode {
			t.Errorf("%d links, %d pieces of code", len(l.Links), len(p.Code))
		}
		for _, k := range l.Links {
			if len(k.URI) > MaxURI || len(k.Text) > maxShown {
				t.Errorf("%d, %d octets", len(k.URI), len(k.Text))
			}
			Read(k.URI)
		}
	})
}

func BenchmarkHTML(b *testing.B) {
	row := `<tr><td style="padding:10px;font-family:Arial,sans-serif" align="left" valign="top" class="column"><p style="margin:0;color:#333333">` +
		`The offer of the week: three for two, only until Sunday, in all of our shops and online.</p><a href="https://click.example.org/track/abc?x=1&amp;y=2" ` +
		`target="_blank" style="color:#0066cc">See it now</a><img src="https://img.example.org/p/1234.png" width="200" height="100" alt="Product"></td></tr>` + "\r\n"
	s := "<html><body><table>" + strings.Repeat(row, 150) + "</table></body></html>"
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		var l List
		l.HTML(0, s)
	}
}
