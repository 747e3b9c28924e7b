package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// pageSite is a site with a page of its own, at /thing, whose form asks an operation that wants a proof of the careful.
func pageSite(t *testing.T) (*site, *int) {
	s, done := newSite(t), 0
	s.Surface.Operations = append(s.Surface.Operations, control.Define(control.Operation{Name: "thing do", Method: "POST", Path: "/thing/{id}", Doc: "Do it", Right: access.LogRead},
		func(ctx context.Context, in *struct {
			ID    string `path:"id" json:"-" doc:"Of it"`
			Match string `header:"If-Match" json:"-" doc:"Its version"`
			Word  string `json:"word" doc:"One" enum:"go|stay"`
			Times int    `json:"times" doc:"How often" min:"1" max:"3" default:"1"`
		}) (int, error) {
			if in.Word == "stay" && access.Of(ctx).Session != "proved" {
				return 0, &control.Fault{Status: http.StatusForbidden, Message: "this wants your password again", Field: proofField}
			}
			if in.Match != "7" {
				return 0, &control.Fault{Status: http.StatusPreconditionFailed, Message: "another changed it meanwhile"}
			}
			done += in.Times
			return done, nil
		}))
	mux := http.NewServeMux()
	s.page(mux, "GET /thing", access.LogRead, func(w http.ResponseWriter, r *http.Request) {
		s.show(w, r, http.StatusOK, "problem", "Thing", problem{Head: "A thing"})
	})
	s.page(mux, "POST /thing/do", access.LogRead, func(w http.ResponseWriter, r *http.Request) {
		if !s.confirmed(w, r, question{Head: "Do it <b>?", Text: "It cannot be undone.", Button: "Do it", Danger: true}) {
			return
		}
		if _, err := ask[int](s.Console, r, "thing do", posted(r, "id", "word", "times")); err != nil {
			s.again(w, r, "problem", "Thing", problem{Head: "A thing"}, err)
			return
		}
		s.done(w, r, back(r, "/thing"), "It was done to "+r.PostFormValue("id")+".")
	})
	s.handler = s.guard(mux)
	return s, &done
}

func formOf(who string, pairs ...string) url.Values {
	v := url.Values{formField: {formToken("session-" + who)}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// TestForms shows how a change goes: asked about, with the version that was seen, done, and told once, on the page that it leads to.
func TestForms(t *testing.T) {
	s, done := pageSite(t)
	w := s.ask("anna", "POST", "/thing/do", formOf("anna", "id", `"><i>`, "times", "2", "etag", "7", "password", "hidden"))
	has(t, w, 200, "Do it &lt;b&gt;?", `name="confirm" value="yes"`, `name="id" value="&#34;&gt;&lt;i&gt;"`, `name="times" value="2"`, `name="etag" value="7"`, `action="/thing/do"`, `href="/thing"`, `!value="hidden"`, "!<i>")
	if *done != 0 {
		t.Fatal("done before it was confirmed")
	}
	w = s.ask("anna", "POST", "/thing/do", formOf("anna", "id", "<x>", "times", "2", "etag", "7", "confirm", "yes"))
	if w.Code != 303 || w.Header().Get("Location") != "/thing" || *done != 2 {
		t.Fatalf("%d to %q, done %d: %s", w.Code, w.Header().Get("Location"), *done, w.Body)
	}
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	w = s.ask("anna", "GET", "/thing", nil, "Cookie", sessionCookie+"=session-anna; "+cookie)
	has(t, w, 200, "It was done to &lt;x&gt;.", `role="status"`)
	if k := w.Header().Get("Set-Cookie"); !strings.HasPrefix(k, flashCookie+"=;") || !strings.Contains(k, "Max-Age=0") {
		t.Errorf("it is told again: %q", k)
	}
	has(t, s.ask("both", "GET", "/thing", nil, "Cookie", sessionCookie+"=session-both; "+cookie), 200, "!It was done")
	w = s.ask("anna", "POST", "/thing/do", formOf("anna", "id", "a", "times", "2", "etag", "7", "confirm", "yes", "back", "https://evil.test/"))
	if w.Header().Get("Location") != "/" {
		t.Errorf("it goes on to %q", w.Header().Get("Location"))
	}
	has(t, s.ask("anna", "POST", "/thing/do", formOf("anna", "id", "a", "etag", "6", "confirm", "yes")), 412, "another changed it meanwhile", `role="alert"`, "A thing")
	has(t, s.ask("anna", "POST", "/thing/do", formOf("anna", "id", "a", "times", "9", "confirm", "yes")), 400, "times: is at most 3")
	has(t, s.ask("anna", "POST", "/thing/do", formOf("both", "id", "a", "etag", "7", "confirm", "yes")), 403, "This form is of another session")
	if *done != 4 {
		t.Errorf("done %d times", *done)
	}
}

// TestProof shows that an operation that wants the password again gets it with the same form, under a session of another token.
func TestProof(t *testing.T) {
	s, done := pageSite(t)
	all := users{"anna": {Name: "anna", Role: access.Owner}, "new": {Name: "anna", Role: access.Owner, Session: "proved"}}
	s.Accounts = proving{all}
	fields := []string{"id", "a", "word", "stay", "etag", "7", "confirm", "yes"}
	has(t, s.ask("anna", "POST", "/thing/do", formOf("anna", fields...)), 403, "Confirm that it is you", `name="word" value="stay"`, `name="confirm" value="yes"`, `name="proof" type="password"`)
	has(t, s.ask("anna", "POST", "/thing/do", formOf("anna", append(fields, "proof", "wrong")...)), 401, "The password is wrong.", `name="word" value="stay"`, `!value="wrong"`)
	if *done != 0 {
		t.Fatal("done without a proof")
	}
	w := s.ask("anna", "POST", "/thing/do", formOf("anna", append(fields, "proof", "anna")...))
	if w.Code != 303 || *done != 1 || !strings.HasPrefix(w.Header().Values("Set-Cookie")[0], sessionCookie+"=session-new;") {
		t.Errorf("%d, done %d, %q: %s", w.Code, *done, w.Header(), w.Body)
	}
}

type proving struct{ users }

func (p proving) Prove(ctx context.Context, a access.Actor, proof string) (string, error) {
	if _, err := p.users.Prove(ctx, a, proof); err != nil {
		return "", err
	}
	return "session-new", nil
}

// TestSetup shows that while there is no user, every page leads to the first, which lets in by the code of the machine, once; and
// that afterwards there is no such page.
func TestSetup(t *testing.T) {
	s, all := newSite(t, refused(5, "one@served.test")), users{}
	s.Accounts = all
	for _, path := range []string{"/", "/log", "/log/m/" + s.log.events[0].Record.ID.String(), "/login", "/redeem"} {
		if w := s.ask("anna", "GET", path, nil); w.Code != 303 || w.Header().Get("Location") != "/setup" {
			t.Errorf("%s: %d to %q", path, w.Code, w.Header().Get("Location"))
		}
	}
	has(t, s.ask("anna", "GET", "/log", nil, "X-Partial", "results"), 401, "!one@served.test")
	has(t, s.ask("", "GET", "/api/v1/log", nil, "Authorization", "Bearer token-anna"), 401)
	has(t, s.ask("", "GET", "/setup", nil), 200, `name="code"`, `name="name"`, `autocomplete="new-password"`)
	ask := func(path, code, name, again string) *httptest.ResponseRecorder {
		return s.ask("", "POST", path, url.Values{"code": {code}, "name": {name}, "password": {"a long password"}, "again": {again}})
	}
	has(t, ask("/setup", "1111", "anna", "another"), 400, "not the same", `value="1111"`, "!a long password")
	has(t, ask("/setup", "9999", "anna", "a long password"), 401, "The code is wrong")
	has(t, ask("/setup", strings.Repeat("1", 65), "anna", "a long password"), 401, "The code is wrong")
	w := ask("/setup", "1111", "anna", "a long password")
	if w.Code != 303 || !strings.HasPrefix(w.Header().Get("Set-Cookie"), sessionCookie+"=session-anna;") {
		t.Fatalf("%d %q %s", w.Code, w.Header(), w.Body)
	}
	has(t, s.ask("anna", "GET", "/log", nil), 200, "one@served.test")
	has(t, s.ask("", "GET", "/setup", nil), 404)
	has(t, ask("/setup", "1111", "anna", "a long password"), 404)
	has(t, s.ask("", "GET", "/redeem", nil), 200, `name="code"`, `!name="name"`)
	has(t, ask("/redeem", "3333", "", "a long password"), 401, "The code is wrong")
	if w := ask("/redeem", "2222", "", "a long password"); w.Code != 303 || w.Header().Get("Set-Cookie") == "" {
		t.Errorf("redeem: %d", w.Code)
	}
}
