package portal

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// desk counts releases of the token "good".
type desk struct {
	released int
	asked    []string
	answer   Answer
}

func (d *desk) Look(_ context.Context, token string) Answer {
	d.asked = append(d.asked, token)
	if !strings.HasPrefix(token, "good") {
		return Answer{}
	}
	a := d.answer
	if d.released > 0 {
		a.State = Released
	}
	return a
}

func (d *desk) Release(ctx context.Context, token string) Answer {
	a := d.Look(ctx, token)
	if a.State == Ready {
		d.released++
		a.State = Released
	}
	return a
}

func ready() Answer {
	return Answer{State: Ready, Reference: "REF", Rcpt: "bob@served.test", From: `"<script>x</script>"@example.org`, Author: "<i>x</i>@example.org", Arrived: "yesterday", Why: "spam"}
}

func ask(h http.Handler, method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://q.served.test"+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestOnlyPost: nothing but a POST of the form releases: not GET, HEAD, other methods, a POST to the link or from another site;
// a second POST says what the first did.
func TestOnlyPost(t *testing.T) {
	d := &desk{answer: ready()}
	h := (&Portal{Desk: d}).Handler()
	form := url.Values{"token": {"good"}}
	for _, c := range []struct {
		method, path string
		form         url.Values
		header       []string
		status       int
	}{
		{"GET", "/release/good", nil, nil, 200},
		{"HEAD", "/release/good", nil, nil, 200},
		{"GET", "/release/good?token=good", nil, nil, 200},
		{"GET", "/release?token=good", nil, nil, 405},
		{"OPTIONS", "/release", nil, nil, 405},
		{"PUT", "/release", form, nil, 405},
		{"DELETE", "/release/good", nil, nil, 405},
		{"POST", "/release/good", form, nil, 405},
		{"POST", "/release?token=good", url.Values{}, nil, 404}, // in the address, it is none
		{"POST", "/release", form, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", "/release", form, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"POST", "/release", form, []string{"Origin", "https://evil.test"}, 403},
		{"POST", "/release", url.Values{"token": {"bad"}}, nil, 404},
		{"POST", "/release", url.Values{"token": {"good" + strings.Repeat("x", maxToken)}}, nil, 404},
		{"POST", "/release", url.Values{"token": {"good"}, "x": {strings.Repeat("x", maxBody)}}, nil, 400},
		{"GET", "/", nil, nil, 404},
		{"GET", "/release/", nil, nil, 404},
		{"GET", "/release/good/x", nil, nil, 404},
	} {
		w := ask(h, c.method, c.path, c.form, c.header...)
		if w.Code != c.status || d.released != 0 {
			t.Errorf("%s %s %v: %d, %d released", c.method, c.path, c.header, w.Code, d.released)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Set-Cookie": "",
			"Content-Security-Policy": policy()} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s %s: %s is %q", c.method, c.path, name, got)
			}
		}
	}
	for range 3 {
		w := ask(h, "POST", "/release", form, "Sec-Fetch-Site", "same-origin", "Origin", "null") // as a browser that is told no-referrer
		if w.Code != 200 || d.released != 1 || !strings.Contains(w.Body.String(), "has been released") || strings.Contains(w.Body.String(), "<form") {
			t.Errorf("%d, %d released: %s", w.Code, d.released, w.Body)
		}
	}
	if w := ask(h, "GET", "/release/good", nil); strings.Contains(w.Body.String(), "<form") {
		t.Errorf("afterwards: %s", w.Body)
	}
}

// TestPage: each state has its words, in both languages; a button only what can be done; and of strangers nothing but text.
func TestPage(t *testing.T) {
	status := map[State]int{Unknown: 404, Ready: 200, Released: 200, Expired: 410, Forbidden: 403, Gone: 410, Busy: 409, Failed: 503}
	for s := Unknown; s <= Failed; s++ {
		for _, language := range []string{"en", "de"} {
			a := ready()
			a.State, a.Language = s, language
			w := ask((&Portal{Desk: &desk{answer: a}}).Handler(), "GET", `/release/good"><b>`, nil)
			text := w.Body.String()
			if w.Code != status[s] || !strings.Contains(text, `<html lang="`+language+`">`) || textsOf(language).say[s] == "" || !strings.Contains(text, textsOf(language).say[s]) {
				t.Errorf("%d, %s: %d\n%s", s, language, w.Code, text)
			}
			if button := s == Ready || s == Busy || s == Failed; strings.Contains(text, "<form") != button {
				t.Errorf("%d: a button, %v\n%s", s, !button, text)
			}
			if regexp.MustCompile(`<script|<b>|<i>|<img|style=|src=|url\(|@import`).MatchString(text) || strings.Contains(text, "@example.org") != (s != Unknown && s != Expired) {
				t.Errorf("%d:\n%s", s, text)
			}
		}
	}
}

// TestStyle: the one style of the page is the one that browsers are told to apply, and it fetches nothing.
func TestStyle(t *testing.T) {
	w := ask((&Portal{Desk: &desk{answer: ready()}}).Handler(), "GET", "/release/good", nil)
	found := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllStringSubmatch(w.Body.String(), -1)
	if len(found) != 1 {
		t.Fatalf("%d styles", len(found))
	}
	sum := sha256.Sum256([]byte(found[0][1]))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if got := w.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if regexp.MustCompile(`url|import|image|[<&\\]`).MatchString(found[0][1]) {
		t.Errorf("style %s", found[0][1])
	}
}

// slow is a Desk that answers when it is told to stop.
type slow struct{}

func (slow) Look(ctx context.Context, _ string) Answer    { <-ctx.Done(); return Answer{} }
func (slow) Release(ctx context.Context, _ string) Answer { <-ctx.Done(); return Answer{} }

// TestSlowDesk: what takes too long is answered, with the same headers, and told to stop.
func TestSlowDesk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		h := (&Portal{Desk: slow{}}).Handler()
		for _, w := range []*httptest.ResponseRecorder{ask(h, "GET", "/release/good", nil), ask(h, "POST", "/release", url.Values{"token": {"good"}})} {
			if w.Code != 503 || w.Header().Get("Content-Security-Policy") != policy() || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d, %v", w.Code, w.Header())
			}
		}
		if took := time.Since(begun); took != 2*Longest() {
			t.Errorf("took %s", took)
		}
	})
}

// TestRate: one client has a bound in a minute, an IPv6 client of its /64, and takes nothing from another.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Portal{Desk: &desk{answer: ready()}}
		h := p.Handler()
		from := func(remote string) int {
			r := httptest.NewRequest("GET", "https://q.served.test/release/good", nil)
			r.RemoteAddr = remote
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		for i := range perClient {
			if c := from("[2001:db8::1]:1"); c != 200 {
				t.Fatalf("request %d: %d", i, c)
			}
		}
		for range 2 * perClient { // a proxy on the host itself speaks for many
			if c := from("127.0.0.1:1"); c != 200 {
				t.Fatalf("loopback: %d", c)
			}
		}
		if c := from("[2001:db8::2]:9"); c != 429 {
			t.Errorf("the same /64: %d", c)
		}
		if c := from("[2001:db8:0:1::1]:1"); c != 200 {
			t.Errorf("another: %d", c)
		}
		time.Sleep(minute)
		if c := from("[2001:db8::1]:1"); c != 200 {
			t.Errorf("a minute later: %d", c)
		}
		if got := p.Counts(); got[Count{"GET", 200}] != 3*perClient+2 || got[Count{"GET", 429}] != 1 {
			t.Errorf("%v", got)
		}
	})
}
