package console

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// issuer is an Outside: who has the ticket "t" and comes back with state=s is anna, with more=1 before her second factor.
type issuer struct {
	doors   Doors
	fail    error
	carried string
	again   bool
	ended   []string
}

func (i *issuer) Doors() Doors { return i.doors }

func (i *issuer) Start(_ context.Context, origin, path, carry string, again bool) (string, string, error) {
	i.carried, i.again = carry, again
	return "https://id.test/auth?back=" + url.QueryEscape(origin+path), "t", i.fail
}

func (i *issuer) Finish(_ context.Context, query url.Values, ticket string, _ netip.Addr, _ string) (Login, string, error) {
	switch {
	case i.fail != nil:
		return Login{}, "", i.fail
	case ticket != "t" || query.Get("state") != "s":
		return Login{}, "", ErrLogin
	case query.Get("more") != "":
		return Login{Token: "half-anna", More: true}, i.carried, nil
	}
	return Login{Token: "session-anna"}, i.carried, nil
}

// ending are accounts that note which sessions were ended.
type ending struct {
	Accounts
	is *issuer
}

func (e ending) Logout(_ context.Context, token string) error {
	e.is.ended = append(e.is.ended, token)
	return nil
}

func outsideSite(t *testing.T) (*site, *issuer) {
	s := newSite(t)
	i := &issuer{doors: Doors{Directory: true, Issuer: "Example <Inc>", Origins: []string{"https://mx.served.test", "https://mx.served.test:8443"}}}
	s.Outside, s.Accounts = i, ending{s.Accounts, i}
	return s, i
}

// TestIssuer walks through a login at an issuer: out with a cookie, back with it, in by a page of ours, and the session of before ended.
func TestIssuer(t *testing.T) {
	s, i := outsideSite(t)
	has(t, s.ask("", "GET", "/login?to=/log", nil), 200, "Sign in with Example &lt;Inc&gt;", `href="/login/oidc?to=%2Flog"`, "or of your directory", "!does not answer")
	out := s.ask("helper", "GET", "/login/oidc?to=/log%3Fq%3Dx&again=1", nil)
	if to := out.Header().Get("Location"); out.Code != 303 || to != "https://id.test/auth?back=https%3A%2F%2Fmx.served.test%2Flogin%2Foidc%2Fback" || !i.again || i.carried != "/log?q=x\nsession-helper" {
		t.Fatalf("%d %s %q %v", out.Code, to, i.carried, i.again)
	}
	k := out.Result().Cookies()
	if len(k) != 1 || k[0].Name != issuerCookie || k[0].Value != "t" || !k[0].HttpOnly || !k[0].Secure || k[0].SameSite != http.SameSiteLaxMode || k[0].Path != "/" || k[0].MaxAge != issuerTime {
		t.Errorf("%+v", k)
	}
	in := s.ask("", "GET", "/login/oidc/back?state=s&code=c", nil, "Cookie", issuerCookie+"=t")
	has(t, in, 200, "You are signed in", `href="/log?q=x"`, "!<form method=\"post\" action=\"/login\"")
	if in.Header().Get("Refresh") != "0; url=/log?q=x" {
		t.Errorf("%v", in.Header())
	}
	got := map[string]*http.Cookie{}
	for _, k := range in.Result().Cookies() {
		got[k.Name] = k
	}
	if got[issuerCookie] == nil || got[issuerCookie].MaxAge >= 0 || got[sessionCookie] == nil || got[sessionCookie].Value != "session-anna" || got[sessionCookie].SameSite != http.SameSiteStrictMode {
		t.Errorf("%v", got)
	}
	if strings.Join(i.ended, " ") != "session-helper" {
		t.Errorf("ended %q", i.ended)
	}
	more := s.ask("", "GET", "/login/oidc/back?state=s&more=1", nil, "Cookie", issuerCookie+"=t")
	has(t, more, 200, "Code of your authenticator", "half-anna")
	if strings.Contains(strings.Join(more.Header().Values("Set-Cookie"), " "), sessionCookie+"=") {
		t.Error("a session before the second factor")
	}
}

// TestIssuerAgain shows that whoever has no password here is shown how he proves himself, and is offered none to change.
func TestIssuerAgain(t *testing.T) {
	s, _ := pageSite(t)
	s.Accounts = proving{users{"anna": {Name: "anna", Role: access.Owner}}}
	fields := []string{"id", "a", "word", "stay", "etag", "7", "confirm", "yes"}
	has(t, s.ask("anna", "POST", "/thing/do", formOf("anna", fields...)), 403, "Confirm that it is you", "!again=1")
	s.Outside = &issuer{doors: Doors{Issuer: "Example"}}
	has(t, s.ask("anna", "POST", "/thing/do", formOf("anna", fields...)), 403, "Confirm that it is you", `href="/login/oidc?again=1&amp;to=%2Fthing"`, "sign in with Example again")
	s.Own = &own{kept: Proofs{}}
	s.handler = s.Handler()
	has(t, s.ask("anna", "GET", "/account/security", nil), 200, "Your password is not kept here", `!name="present_password"`)
}

// TestIssuerRefuses shows what a login at an issuer says that does not come to its end, and that nobody is sent elsewhere by it.
func TestIssuerRefuses(t *testing.T) {
	s, i := outsideSite(t)
	for _, x := range [][2]string{{"?state=s", ""}, {"?state=s", "x"}, {"?state=x", "t"}, {"", "t"}} {
		w := s.ask("", "GET", "/login/oidc/back"+x[0], nil, "Cookie", issuerCookie+"="+x[1])
		has(t, w, 401, "proves nobody", `name="password"`)
		if strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), " "), sessionCookie+"=") {
			t.Errorf("%v lets in", x)
		}
	}
	for _, to := range []string{"https://evil.test/", "//evil.test", "/login/oidc", "/x\r\ny", "/" + strings.Repeat("x", 500)} {
		s.ask("", "GET", "/login/oidc?to="+url.QueryEscape(to), nil)
		if i.carried != "/\n" {
			t.Errorf("%q: %q", to, i.carried)
		}
	}
	i.carried = "https://evil.test/\n" // whatever comes back
	if w := s.ask("", "GET", "/login/oidc/back?state=s", nil, "Cookie", issuerCookie+"=t"); w.Header().Get("Refresh") != "0; url=/" {
		t.Errorf("%v", w.Header())
	}
	i.fail = &control.Fault{Status: http.StatusForbidden, Message: "no group of this account may sign in here"}
	has(t, s.ask("", "GET", "/login/oidc/back?state=s", nil), 403, "No group of this account may sign in here")
	has(t, s.ask("", "GET", "/login/oidc", nil), 403, "No group")
	i.fail = errors.New("the secret of the client is x")
	has(t, s.ask("", "GET", "/login/oidc/back?state=s", nil), 500, "!secret")
	i.fail, i.doors.Away = nil, []string{"The directory", "Example"}
	has(t, s.ask("", "GET", "/login", nil), 200, "The directory does not answer. Accounts of this host sign in as ever.", "Example does not answer")

	i.doors.Origins = []string{"https://console.served.test:8443"}
	w := s.ask("", "GET", "/login/oidc?to=/log", nil)
	if w.Code != 303 || w.Header().Get("Location") != "https://console.served.test:8443/login/oidc?to=%2Flog" {
		t.Errorf("by another name: %d %v", w.Code, w.Header())
	}
	i.doors.Issuer = ""
	has(t, s.ask("", "GET", "/login/oidc", nil), 404)
	has(t, s.ask("", "GET", "/login/oidc/back?state=s", nil), 404)
	has(t, s.ask("", "GET", "/login", nil), 200, "!/login/oidc")
	s.Outside = nil
	has(t, s.ask("", "GET", "/login/oidc", nil), 404)
	has(t, s.ask("", "GET", "/login/oidc/back", nil), 404)
}
