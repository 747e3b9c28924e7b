package portal

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// users knows one link, which can be used once, and one user.
type users struct {
	closed   bool
	language string
	asked    []string
	used     bool
	left     []string
	items    []Item
	err      error
	let      []string
	state    State
	lists    *lists
	links    *userLinks
	listed   []string
	proved   []string
	outside  Outside
}

func (u *users) Outside() Outside { return u.outside }

func (u *users) Links() Links {
	if u.links == nil {
		return nil
	}
	return u.links
}

func (u *users) Lists() Lists { return u.lists }

func (u *users) Open() (bool, string) { return !u.closed, u.language }
func (u *users) Ask(address string)   { u.asked = append(u.asked, address) }
func (u *users) May(_ context.Context, link string) (string, bool) {
	return "bob@served.test", link == "link" && !u.used
}
func (u *users) Enter(_ context.Context, link string) (string, time.Time, bool) {
	ok := link == "link" && !u.used
	u.used = u.used || ok
	return "session", time.Now().Add(time.Hour), ok
}
func (u *users) Who(_ context.Context, session string) ([]string, bool) {
	return append([]string{"bob@served.test"}, u.proved...), session == "session"
}
func (u *users) Leave(_ context.Context, session string) { u.left = append(u.left, session) }
func (u *users) Mine(_ context.Context, addresses []string, before string) ([]Item, string, error) {
	u.listed = addresses
	return u.items, "NEXT", u.err
}
func (u *users) Let(_ context.Context, user, address, reference string) Answer {
	u.let = append(u.let, user+" "+address+" "+reference)
	return Answer{State: u.state}
}

const as = "__Host-portal=session"

// TestUserPages: who is asked for a link, that only a POST uses one, what the cookie forbids, and that nothing is shown or
// released without a session.
func TestUserPages(t *testing.T) {
	u := &users{state: Released, items: []Item{{Reference: "REF", State: Ready, Subject: "hello"}}}
	h := (&Portal{Desk: &desk{}, Users: u}).Handler()
	for _, c := range []struct {
		method, path string
		form         url.Values
		header       []string
		status       int
		to           string
	}{
		{"GET", "/", nil, nil, 200, ""},
		{"POST", "/login", url.Values{"address": {"bob"}}, nil, 422, ""},
		{"POST", "/login", url.Values{"address": {""}}, nil, 422, ""},
		{"POST", "/login", url.Values{"address": {"a@b", strings.Repeat("x", maxBody)}}, nil, 400, ""},
		{"POST", "/login", url.Values{"address": {"bob@served.test"}}, []string{"Origin", "https://evil.test"}, 403, ""},
		{"GET", "/login?address=bob@served.test", nil, nil, 405, ""},
		{"GET", "/login/link", nil, nil, 200, ""},
		{"GET", "/login/other", nil, nil, 404, ""},
		{"POST", "/login/link", url.Values{}, nil, 405, ""},
		{"GET", "/mine", nil, nil, 303, "/"},
		{"GET", "/mine", nil, []string{"Cookie", "__Host-portal=other"}, 303, "/"},
		{"GET", "/mine?session=session", nil, nil, 303, "/"},
		{"POST", "/mine/release", url.Values{"reference": {"REF"}}, nil, 303, "/"},
		{"POST", "/mine/release", url.Values{"reference": {"REF"}}, []string{"Cookie", as, "Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"GET", "/mine/release?reference=REF", nil, []string{"Cookie", as}, 405, ""},
		{"POST", "/session", url.Values{"link": {"other"}}, nil, 404, ""},
	} {
		w := ask(h, c.method, c.path, c.form, c.header...)
		if w.Code != c.status || w.Header().Get("Location") != c.to || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s %s: %d to %q, %q", c.method, c.path, w.Code, w.Header().Get("Location"), w.Header().Get("Set-Cookie"))
		}
		if w.Header().Get("Content-Security-Policy") != policy() || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: headers %v", c.method, c.path, w.Header())
		}
	}
	if len(u.asked)+len(u.let)+len(u.left) > 0 || u.used {
		t.Fatalf("something was done: %+v", u)
	}
	known, unknown := ask(h, "POST", "/login", url.Values{"address": {"bob@served.test"}}), ask(h, "POST", "/login", url.Values{"address": {"no@else.test"}})
	if known.Code != 200 || known.Body.String() != unknown.Body.String() || len(u.asked) != 2 {
		t.Errorf("they can be told apart, %v", u.asked)
	}
	w := ask(h, "POST", "/session", url.Values{"link": {"link"}}, "Cookie", as)
	if got := w.Header().Get("Set-Cookie"); w.Code != 303 || !regexp.MustCompile(`^__Host-portal=session; Path=/; Max-Age=3\d\d\d; HttpOnly; Secure; SameSite=Strict$`).MatchString(got) {
		t.Errorf("%d, %q", w.Code, got)
	}
	if len(u.left) != 1 {
		t.Error("the session that the browser had goes on")
	}
	if w := ask(h, "POST", "/session", url.Values{"link": {"link"}}); w.Code != 404 {
		t.Errorf("a second time: %d", w.Code)
	}
	if w := ask(h, "GET", "/", nil, "Cookie", as); w.Code != 303 || w.Header().Get("Location") != "/mine" {
		t.Errorf("home of a user: %d", w.Code)
	}
	if w := ask(h, "POST", "/mine/release", url.Values{"reference": {"REF"}}, "Cookie", as); w.Code != 200 || len(u.let) != 1 || u.let[0] != "bob@served.test bob@served.test REF" || !strings.Contains(w.Body.String(), "has been released") {
		t.Errorf("release: %d, %v\n%s", w.Code, u.let, w.Body)
	}
	if w := ask(h, "POST", "/logout", url.Values{}, "Cookie", as); w.Code != 303 || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") || len(u.left) != 2 {
		t.Errorf("logout: %d %q", w.Code, w.Header().Get("Set-Cookie"))
	}
	u.closed = true
	for _, path := range []string{"/", "/mine", "/login/link"} {
		if w := ask(h, "GET", path, nil, "Cookie", as); w.Code != 404 {
			t.Errorf("%s while it is off: %d", path, w.Code)
		}
	}
}

// TestUserTexts: in both languages each state has its words, and what strangers wrote is text that has a direction of its own.
func TestUserTexts(t *testing.T) {
	hostile := `</bdi><script>alert(1)</script><img src=x onerror=y>"'` + "\u202e"
	for _, language := range []string{"en", "de"} {
		words := userWordsOf(language)
		u := &users{language: language, items: []Item{{Reference: "REF1", State: Ready, Subject: hostile, From: hostile, Author: hostile, Why: hostile, Arrived: hostile},
			{Reference: "REF2", State: Forbidden}, {Reference: "REF3", State: Released}, {Reference: "REF4", State: Busy}}}
		h := (&Portal{Desk: &desk{}, Users: u}).Handler()
		text := ask(h, "GET", "/mine", nil, "Cookie", as).Body.String()
		if regexp.MustCompile(`<script|<img|onerror=y>`).MatchString(strings.ReplaceAll(text, "&lt;img src=x onerror=y&gt;", "")) {
			t.Errorf("%s", text)
		}
		if n := strings.Count(text, `action="/mine/release"`); n != 1 {
			t.Errorf("%d can be released", n)
		}
		for _, want := range []string{`<html lang="` + language + `">`, words.Mine, words.AskAdmin, words.Released, words.Busy, `href="/mine?before=NEXT"`, "bob@served.test"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
		}
		u.items = nil
		if text := ask(h, "GET", "/mine", nil, "Cookie", as).Body.String(); !strings.Contains(text, words.Empty) {
			t.Errorf("empty:\n%s", text)
		}
		if text := ask(h, "GET", "/mine?before=X", nil, "Cookie", as).Body.String(); !strings.Contains(text, words.End) || strings.Contains(text, words.Empty) {
			t.Errorf("behind the end:\n%s", text)
		}
		u.err = errors.New("disk")
		w := ask(h, "GET", "/mine", nil, "Cookie", as)
		if text := w.Body.String(); w.Code != 503 || !strings.Contains(text, words.Failed) || strings.Contains(text, words.Empty) {
			t.Errorf("failed: %d\n%s", w.Code, text)
		}
		if text := ask(h, "GET", "/login/x", nil).Body.String(); !strings.Contains(text, words.NoLink) {
			t.Errorf("no link:\n%s", text)
		}
	}
}

// lists are those of one user.
type lists struct {
	allow []string
	block []string
	fault Fault
	did   []string
}

func (l *lists) Of(context.Context, string) ([]string, []string, Fault) {
	if l.fault == Away {
		return nil, nil, Away
	}
	return l.allow, l.block, Fine
}
func (l *lists) Put(_ context.Context, _, address, kind, sender string) Fault {
	l.did = append(l.did, "put "+address+" "+kind+" "+sender)
	return l.fault
}
func (l *lists) Remove(_ context.Context, _, address, kind, sender string) Fault {
	l.did = append(l.did, "remove "+address+" "+kind+" "+sender)
	return l.fault
}

// TestOwnListPages: a user changes his own lists and nobody else's, is told what cannot be taken, and that they cannot be read.
func TestOwnListPages(t *testing.T) {
	l := &lists{allow: []string{"@partner.test"}, block: []string{`<script>"x"@evil.test`}}
	u := &users{lists: l}
	h := (&Portal{Desk: &desk{}, Users: u}).Handler()
	add := url.Values{"kind": {"block"}, "sender": {" eve@evil.test "}, "address": {"other@served.test"}}
	for path, form := range map[string]url.Values{"/lists": nil, "/lists/add": add, "/lists/remove": add} {
		method := "POST"
		if form == nil {
			method = "GET"
		}
		if w := ask(h, method, path, form); w.Code != 303 || w.Header().Get("Location") != "/" || len(l.did) > 0 {
			t.Errorf("%s without a session: %d, %v", path, w.Code, l.did)
		}
	}
	if w := ask(h, "POST", "/lists/add", add, "Cookie", as, "Origin", "https://evil.test"); w.Code != 403 || len(l.did) > 0 {
		t.Errorf("of another site: %d, %v", w.Code, l.did)
	}
	if w := ask(h, "POST", "/lists/add", url.Values{"kind": {"drop"}, "sender": {"x@y.test"}}, "Cookie", as); w.Code != 400 || len(l.did) > 0 {
		t.Errorf("another kind: %d, %v", w.Code, l.did)
	}
	w := ask(h, "GET", "/lists", nil, "Cookie", as)
	for _, want := range []string{"@partner.test", "&lt;script&gt;&#34;x&#34;@evil.test", `name="kind" value="allow"`, `name="kind" value="block"`} {
		if !strings.Contains(w.Body.String(), want) || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%q is missing in\n%s", want, w.Body)
		}
	}
	if w := ask(h, "POST", "/lists/add", add, "Cookie", as); w.Code != 303 || len(l.did) != 1 || l.did[0] != "put bob@served.test block eve@evil.test" {
		t.Errorf("%d, %v", w.Code, l.did)
	}
	if w := ask(h, "POST", "/lists/remove", add, "Cookie", as); w.Code != 303 || len(l.did) != 2 || l.did[1] != "remove bob@served.test block eve@evil.test" {
		t.Errorf("%d, %v", w.Code, l.did)
	}
	words := userWordsOf("en")
	for fault, say := range map[Fault]string{BadSender: words.BadSender, Shared: words.SharedSender, Full: words.Full} {
		l.fault = fault
		if w := ask(h, "POST", "/lists/add", add, "Cookie", as); w.Code != 422 || !strings.Contains(w.Body.String(), say) || !strings.Contains(w.Body.String(), `value="eve@evil.test"`) {
			t.Errorf("%d: %d\n%s", fault, w.Code, w.Body)
		}
	}
	l.fault = Away
	for _, w := range []*httptest.ResponseRecorder{ask(h, "GET", "/lists", nil, "Cookie", as), ask(h, "POST", "/lists/add", add, "Cookie", as)} {
		if w.Code != 503 || !strings.Contains(w.Body.String(), words.ListsAway) || strings.Contains(w.Body.String(), words.None) {
			t.Errorf("away: %d\n%s", w.Code, w.Body)
		}
	}
}
