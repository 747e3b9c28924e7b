package console

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"gatepost/gateway"
)

// hostile are what mail brings to be taken for markup, to turn what stands around it, or to be too much.
func hostile() []string {
	return []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' autofocus onfocus=alert(1) x='`, `</title></textarea></bdi><svg onload=alert(1)>`,
		"\u202egpj.exe", "a\u2066b\u2069\u200f\u061c", "nul\x00here", "\xff\xfe broken", "line\r\nSet-Cookie: x=1", "{{.Actor.Name}}", "javascript:alert(1)",
		`<a data-act="theme" hx-get="/logout" data-href="/logout" href="javascript:alert(1)">`, "\x1b[31mred", strings.Repeat("W", 60_000), strings.Repeat("<b>", 20_000), "\u0430\u200bpple.com",
	}
}

// TestHostile shows that whatever a stranger chooses is text in every page, list, drawer and live row, whole and turned to nobody.
func TestHostile(t *testing.T) {
	for i, x := range hostile() {
		e := refused(5, "one@served.test")
		r := e.Record
		e.Subject, r.Helo, r.HeaderFrom, e.Session.Reverse, e.MessageID = x, x, x+" <x@example.org>", x, x
		r.From = gateway.Address{Text: x + "@example.org"}
		e.Reply.Text = x
		e.Relayed = &gateway.Relayed{Result: gateway.RefusedByHop, NextHop: "10.0.0.1:25", Said: "550 " + x}
		e.Evidence[0] = []gateway.Evidence{{Name: "TXT " + x, Text: x}}
		r.Findings[0].Args, r.Findings[0].Measures = []string{x, x}, []gateway.Measure{{Name: "listed", Value: 1, Text: x}}
		e.Verdict.Priced[0].Text, e.Session.Refused = x, []string{x}
		s := newSite(t, e)
		plainMail := refused(5, "one@served.test")
		plainMail.Record.HeaderFrom = "Somebody <x@example.org>"
		clean := newSite(t, plainMail)
		id := r.ID.String()
		for _, path := range []string{"/", "/log", "/log?q=" + url.QueryEscape(cutText(x, 100)), "/log/m/" + id} {
			w := s.ask("anna", "GET", path, nil)
			page := w.Body.String()
			if w.Code != 200 && w.Code != 400 {
				t.Errorf("%d %s: %d", i, path, w.Code)
			}
			if !utf8.ValidString(page) || strings.ContainsFunc(page, func(c rune) bool { return c != '\n' && c != '\t' && hidden(c) }) {
				t.Errorf("%d %s: what has no shape is in the page", i, path)
			}
			for _, bad := range []string{"<script>alert", "<img", "<b>W", "<svg onload", "onerror=alert(1)>", "href=\"javascript:", "<b><b>", "<a data-act=\"theme\" hx-"} {
				if strings.Contains(page, bad) {
					t.Errorf("%d %s: %q is markup", i, path, bad)
				}
			}
			if n, want := tags(page), tags(clean.ask("anna", "GET", path, nil).Body.String()); path == "/log" && n != want {
				t.Errorf("%d: the page has %d tags, and %d with harmless mail", i, n, want)
			}
		}
		if w := s.ask("anna", "GET", "/log/m/"+id, nil); len(x) > 50_000 && !strings.Contains(w.Body.String(), "show all") {
			t.Errorf("%d: a long text is not cut", i)
		}
		row := rowOf(e)
		text, err := s.rowText(rowView{Row: &row, may: true})
		if err != nil || strings.ContainsAny(string(text), "\r\n") {
			t.Errorf("%d: a live row has lines: %v", i, err)
		}
		var back string
		if json.Unmarshal(text, &back) != nil || strings.Contains(back, "<script>alert") || len(back) > 20_000 {
			t.Errorf("%d: live row: %.200s", i, back)
		}
		if w := s.ask("anna", "GET", "/api/v1/log/"+id, nil); w.Header().Get("Content-Type") != "application/json" || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d: API: %v", i, w.Header())
		}
	}
}

func tags(page string) int { return strings.Count(page, "<") }

// TestPlain shows that no text that is shown moves another, and that what is shown stands for one text only.
func TestPlain(t *testing.T) {
	for in, want := range map[string]string{"": "", "a b": "a b", "\u202ex": "⟨U+202E⟩x", "\x00": "␀", "\xff": "\ufffd", "ä 日本": "ä 日本", "a\r\nb": "a␍\nb"} {
		if got := plain(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
