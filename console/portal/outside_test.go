package portal

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// prover is a directory that knows one password, and an issuer that gives one ticket.
type prover struct {
	ways  Ways
	fault Fault
	asked []string
}

func (o *prover) Ways() Ways { return o.ways }
func (o *prover) Password(_ context.Context, _ netip.Addr, name, password string) (string, time.Time, Fault) {
	o.asked = append(o.asked, name+" "+password)
	return "session", time.Now().Add(time.Hour), o.fault
}
func (o *prover) Depart(context.Context) (string, string, Fault) {
	return "https://id.test/auth?x=y", "ticket", o.fault
}
func (o *prover) Arrive(_ context.Context, q url.Values, ticket string) (string, time.Time, Fault) {
	o.asked = append(o.asked, q.Get("code")+" "+ticket)
	return "session", time.Now().Add(time.Hour), o.fault
}

// TestOutsidePages: ways that are off are not there at all; a password is taken by POST of ours alone, and an answer of the issuer with
// the ticket that this browser was given; each refusal is told and leaves no session; what was proved is all his.
func TestOutsidePages(t *testing.T) {
	for _, language := range []string{"en", "de"} {
		w := userWordsOf(language)
		o := &prover{}
		u := &users{language: language, outside: o, proved: []string{"alias@served.test"}, links: &userLinks{further: []string{"alias@served.test", "info@served.test"}}}
		h := (&Portal{Desk: &desk{}, Users: u}).Handler()
		typed := url.Values{"name": {"bob"}, "password": {" of bob "}}
		const held = ticketCookie + "=ticket"
		status := func(method, path string, form url.Values, header ...string) int {
			t.Helper()
			a := ask(h, method, path, form, header...)
			if strings.Contains(strings.Join(a.Header().Values("Set-Cookie"), "|"), "__Host-portal=session") {
				t.Errorf("%s %s begins a session", method, path)
			}
			return a.Code
		}
		for path, method := range map[string]string{"/login/password": "POST", "/issuer": "GET", "/issuer/back?code=c": "GET"} {
			if got := status(method, path, typed, "Cookie", held); got != 404 {
				t.Errorf("%s while it is off: %d", path, got)
			}
		}
		if text := ask(h, "GET", "/", nil).Body.String(); strings.Contains(text, `type="password"`) || strings.Contains(text, "/issuer") {
			t.Errorf("off:\n%s", text)
		}
		o.ways = Ways{Directory: true, Issuer: "<Example>"}
		if text := ask(h, "GET", "/", nil).Body.String(); !strings.Contains(text, `action="/login/password"`) || !strings.Contains(text, w.Out.Issuer+" &lt;Example&gt;") || strings.Contains(text, "<Example") {
			t.Errorf("on:\n%s", text)
		}
		if got := status("POST", "/login/password", typed, "Origin", "https://evil.test"); got != 403 {
			t.Errorf("of another site: %d", got)
		}
		if got := status("GET", "/login/password?name=bob&password=x", nil); got == 200 && len(o.asked) > 0 {
			t.Errorf("by GET: %d", got)
		}
		if got := status("GET", "/issuer/back?code=c", nil); got != 403 {
			t.Errorf("without a ticket: %d", got)
		}
		if len(o.asked) > 0 {
			t.Fatalf("asked: %q", o.asked)
		}
		for fault, want := range map[Fault]struct {
			status int
			say    string
		}{Wrong: {403, w.Out.Wrong}, Often: {429, w.Out.Often}, NoMailbox: {403, w.Out.NoMailbox}, Away: {503, w.Out.Away}} {
			o.fault = fault
			for path, method := range map[string]string{"/login/password": "POST", "/issuer/back?code=c": "GET"} {
				a := ask(h, method, path, typed, "Cookie", held)
				if a.Code != want.status || !strings.Contains(a.Body.String(), want.say) || strings.Contains(a.Body.String(), "of bob") || strings.Contains(strings.Join(a.Header().Values("Set-Cookie"), "|"), "portal=session") {
					t.Errorf("%s: %d, %v\n%s", path, a.Code, a.Header(), a.Body)
				}
			}
		}
		o.fault, o.asked = Fine, nil
		if a := ask(h, "GET", "/issuer", nil); a.Code != 303 || a.Header().Get("Location") != "https://id.test/auth?x=y" || a.Header().Get("Set-Cookie") != held+"; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax" {
			t.Errorf("%d, %v", a.Code, a.Header())
		}
		a := ask(h, "POST", "/login/password", typed, "Cookie", as)
		if a.Code != 303 || a.Header().Get("Location") != "/mine" || !strings.Contains(a.Header().Get("Set-Cookie"), "SameSite=Strict") || len(u.left) != 1 {
			t.Errorf("%d, %v, %v", a.Code, a.Header(), u.left)
		}
		a = ask(h, "GET", "/issuer/back?code=c&state=s", nil, "Cookie", held)
		if a.Code != 200 || a.Header().Get("Refresh") != "0; url=/mine" || !strings.Contains(a.Body.String(), w.Out.Arrived) || !strings.Contains(strings.Join(a.Header().Values("Set-Cookie"), "|"), ticketCookie+"=; Path=/; Max-Age=0") {
			t.Errorf("%d, %v\n%s", a.Code, a.Header(), a.Body)
		}
		if want := []string{"bob  of bob ", "c ticket"}; !slices.Equal(o.asked, want) {
			t.Errorf("%q, want %q", o.asked, want)
		}
		ask(h, "GET", "/mine", nil, "Cookie", as)
		if want := []string{"bob@served.test", "alias@served.test", "info@served.test"}; !slices.Equal(u.listed, want) {
			t.Errorf("%q", u.listed)
		}
	}
}
