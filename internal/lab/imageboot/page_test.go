package main

import (
	"maps"
	"net/url"
	"strings"
	"testing"
)

// TestFormsOf reads a page as the console makes them.
func TestFormsOf(t *testing.T) {
	page := `<!doctype html><html><body><svg><use href="#i"/></svg><form method="post" action="/a"><input type="hidden" name="form" value="t&#43;1"><br>
<label>Server<input name="host" value="" required maxlength="3"><small class="bad">not that</small></label>
<input type="checkbox" name="rights" value="all"><select name="tls"><option value="no">No</option><option value="yes" selected>Yes</option></select>
<select name="ways"><option value="">Ask</option><option value="none">None</option></select><button name="do" value="save">Go</button></form>
<p class="secret" tabindex="0">gp_1</p><form action="/b"></form></body></html>`
	forms, texts, err := formsOf(page)
	if err != nil || len(forms) != 2 || texts["secret"] != "gp_1" || texts["bad"] != "not that" {
		t.Fatalf("%+v, %q, %v", forms, texts, err)
	}
	f, err := formOf(page, "/a")
	want := url.Values{"form": {"t+1"}, "host": {""}, "tls": {"yes"}, "ways": {""}}
	if err != nil || !maps.EqualFunc(f.fields, want, func(a, b []string) bool { return strings.Join(a, ",") == strings.Join(b, ",") }) {
		t.Errorf("%v, want %v, %v", f.fields, want, err)
	}
	if _, err := formOf(page, "/c"); err == nil {
		t.Error("a form that is not there")
	}
}

// TestScreenOf reads what the screen showed last.
func TestScreenOf(t *testing.T) {
	shown := func(code, pair string) string {
		line := "  " + strings.TrimSuffix(strings.Repeat(pair+":", 16), ":") + "\r\n"
		return "\r\nThe browser must show this certificate (SHA-256):\r\n" + line + line + "\r\nNobody owns this gateway yet. The first owner comes in by this code:\r\n  " + code + "\r\n"
	}
	code, digits, err := screenOf(shown("old", "00") + "[ OK ] Started something\r\n" + shown("new-1", "AB"))
	if err != nil || code != "new-1" || digits != strings.Repeat("ab", 32) {
		t.Errorf("%q, %q, %v", code, digits, err)
	}
	if _, _, err := screenOf("The gateway is starting, or does not answer.\r\n"); err == nil {
		t.Error("nothing was shown")
	}
}
