package portal

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// userLinks are those of bob@served.test, who was sent the link "proof" to info@served.test.
type userLinks struct {
	further, seenBy []string
	fault           Fault
	did             []string
}

func (l *userLinks) Of(context.Context, string) ([]string, []string, Fault) {
	if l.fault == Away {
		return nil, nil, Away
	}
	return l.further, l.seenBy, Fine
}
func (l *userLinks) Ask(_ context.Context, user, address string) Fault {
	l.did = append(l.did, "ask "+user+" "+address)
	return l.fault
}
func (l *userLinks) May(_ context.Context, link string) (string, string, bool) {
	if link == "anns" {
		return "ann@served.test", "info@served.test", true
	}
	return "bob@served.test", "info@served.test", link == "proof"
}
func (l *userLinks) Prove(_ context.Context, user, link string) Fault {
	if link == "anns" {
		return NotYours
	}
	l.did = append(l.did, "prove "+user+" "+link)
	return l.fault
}
func (l *userLinks) End(_ context.Context, by, owner, address string) Fault {
	l.did = append(l.did, "end "+by+" "+owner+" "+address)
	return l.fault
}

// TestFurtherAddresses: a user sees what is kept for each of his addresses, and for which; he releases it and changes lists for those
// and for no others, be they his on no page but in a form; while his further addresses cannot be read the pages say so, and show his own.
func TestFurtherAddresses(t *testing.T) {
	for _, language := range []string{"en", "de"} {
		w := userWordsOf(language)
		links := &userLinks{further: []string{"info@served.test"}}
		l := &lists{allow: []string{"@partner.test"}}
		u := &users{language: language, state: Released, links: links, lists: l, items: []Item{{Reference: "REF", For: "info@served.test", State: Ready}}}
		h := (&Portal{Desk: &desk{}, Users: u}).Handler()
		text := ask(h, "GET", "/mine", nil, "Cookie", as).Body.String()
		if !slices.Equal(u.listed, []string{"bob@served.test", "info@served.test"}) || !strings.Contains(text, `<th scope="row">`+w.For+`</th><td><bdi>info@served.test</bdi>`) ||
			!strings.Contains(text, `name="for" value="info@served.test"`) || strings.Contains(text, w.Link().Part) {
			t.Errorf("%v\n%s", u.listed, text)
		}
		form := func(address string) url.Values {
			return url.Values{"reference": {"REF"}, "for": {address}, "kind": {"block"}, "sender": {"eve@evil.test"}}
		}
		for _, c := range []struct {
			address     string
			let, change int
		}{{"info@served.test", 200, 303}, {"Bob@Served.test", 200, 303}, {"", 200, 303}, {"eve@served.test", 410, 400}} {
			if got := ask(h, "POST", "/mine/release", form(c.address), "Cookie", as).Code; got != c.let {
				t.Errorf("release for %q: %d", c.address, got)
			}
			for _, path := range []string{"/lists/add", "/lists/remove"} {
				if got := ask(h, "POST", path, form(c.address), "Cookie", as).Code; got != c.change {
					t.Errorf("%s for %q: %d", path, c.address, got)
				}
			}
		}
		if want := "bob@served.test info@served.test REF|bob@served.test bob@served.test REF|bob@served.test bob@served.test REF"; strings.Join(u.let, "|") != want {
			t.Errorf("%q", u.let)
		}
		if len(l.did) != 6 || l.did[0] != "put info@served.test block eve@evil.test" || strings.Contains(strings.Join(l.did, "|"), "eve@served.test") {
			t.Errorf("%q", l.did)
		}
		text = ask(h, "GET", "/lists", nil, "Cookie", as).Body.String()
		for _, want := range []string{`(` + w.For + ` <bdi>info@served.test</bdi>)`, `(` + w.For + ` <bdi>bob@served.test</bdi>)`, `<select id="block-for" name="for">`, `<option>info@served.test</option>`} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
		}
		links.fault, u.items = Away, nil
		for path, want := range map[string]int{"/mine": 200, "/lists": 200, "/addresses": 503} {
			got := ask(h, "GET", path, nil, "Cookie", as)
			if say := w.Link().Part; got.Code != want || want == 200 && !strings.Contains(got.Body.String(), say) || strings.Contains(got.Body.String(), "info@") {
				t.Errorf("%s while they are away: %d\n%s", path, got.Code, got.Body)
			}
		}
		if !slices.Equal(u.listed, []string{"bob@served.test"}) {
			t.Errorf("listed is %v", u.listed)
		}
		if got := ask(h, "POST", "/mine/release", form("info@served.test"), "Cookie", as).Code; got != 503 {
			t.Errorf("release while it is not known whether it is his: %d", got)
		}
		if got := ask(h, "POST", "/lists/add", form("info@served.test"), "Cookie", as).Code; got != 503 || len(l.did) != 6 {
			t.Errorf("change while it is not known whether it is his: %d, %q", got, l.did)
		}
		u.err = errors.New("disk")
		if got := ask(h, "GET", "/mine", nil, "Cookie", as); got.Code != 503 || !strings.Contains(got.Body.String(), w.Failed) {
			t.Errorf("%d", got.Code)
		}
	}
}

// TestAddressPages: addresses are linked by POST alone, by a link of a mail that does nothing when it is looked at, by who asked for
// it and nobody else; either side ends it; each fault is told, and what strangers wrote is text.
func TestAddressPages(t *testing.T) {
	l := &userLinks{further: []string{`"<script>"@served.test`}, seenBy: []string{"ann@served.test"}}
	u := &users{links: l}
	h := (&Portal{Desk: &desk{}, Users: u}).Handler()
	words := userWordsOf("en").Link()
	add, proof := url.Values{"address": {" info@served.test "}}, url.Values{"link": {"proof"}}
	ends := func(owner, address string) url.Values { return url.Values{"owner": {owner}, "address": {address}} }
	for _, c := range []struct {
		method, path string
		form         url.Values
		header       []string
		status       int
		says         string
	}{
		{"GET", "/addresses", nil, nil, 303, ""},
		{"POST", "/addresses/add", add, nil, 303, ""},
		{"POST", "/addresses/end", ends("bob@served.test", "info@served.test"), nil, 303, ""},
		{"POST", "/addresses/link", proof, nil, 403, words.LogIn},
		{"POST", "/addresses/link", url.Values{"link": {"anns"}}, []string{"Cookie", as}, 403, words.LogIn},
		{"POST", "/addresses/link", url.Values{"link": {"none"}}, nil, 404, words.BadLink},
		{"POST", "/addresses/link", proof, []string{"Cookie", as, "Origin", "https://evil.test"}, 403, ""},
		{"POST", "/addresses/add", add, []string{"Cookie", as, "Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"GET", "/addresses/link?link=proof", nil, []string{"Cookie", as}, 405, ""},
		{"POST", "/link/proof", url.Values{}, []string{"Cookie", as}, 405, ""},
		{"GET", "/link/proof", nil, nil, 200, words.ProveButton},
		{"GET", "/link/proof", nil, []string{"Cookie", as}, 200, "info@served.test"},
		{"GET", "/link/" + strings.Repeat("x", maxToken+1), nil, []string{"Cookie", as}, 404, words.BadLink},
		{"POST", "/addresses/end", ends("ann@served.test", "info@served.test"), []string{"Cookie", as}, 400, ""},
		{"GET", "/addresses", nil, []string{"Cookie", as}, 200, "&#34;&lt;script&gt;&#34;@served.test"},
	} {
		w := ask(h, c.method, c.path, c.form, c.header...)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), "<script") || len(l.did) > 0 {
			t.Errorf("%s %s: %d, %v\n%s", c.method, c.path, w.Code, l.did, w.Body)
		}
	}
	for _, c := range []struct {
		path, to, did string
		form          url.Values
	}{
		{"/addresses/add", "/addresses?asked", "ask bob@served.test info@served.test", add},
		{"/addresses/link", "/addresses?made", "prove bob@served.test proof", proof},
		{"/addresses/end", "/addresses?ended", "end bob@served.test bob@served.test info@served.test", ends("bob@served.test", "info@served.test")},
		{"/addresses/end", "/addresses?ended", "end bob@served.test ann@served.test bob@served.test", ends("ann@served.test", "bob@served.test")},
	} {
		l.did = nil
		if w := ask(h, "POST", c.path, c.form, "Cookie", as); w.Code != 303 || w.Header().Get("Location") != c.to || !slices.Equal(l.did, []string{c.did}) {
			t.Errorf("%s: %d to %s, %q", c.path, w.Code, w.Header().Get("Location"), l.did)
		}
	}
	for fault, say := range map[Fault]string{BadAddress: words.BadAddress, Already: words.Already, Full: words.TooMany, BadLink: words.BadLink, Often: words.Often, Away: words.Away} {
		l.fault = fault
		want := map[Fault]int{Often: 429, Away: 503}[fault]
		if want == 0 {
			want = 422
		}
		if w := ask(h, "POST", "/addresses/add", add, "Cookie", as); w.Code != want || !strings.Contains(w.Body.String(), say) {
			t.Errorf("%d: %d\n%s", fault, w.Code, w.Body)
		}
	}
	for query, say := range map[string]string{"asked": words.Asked, "made": words.Made, "ended": words.Ended} {
		l.fault = Fine
		if w := ask(h, "GET", "/addresses?"+query, nil, "Cookie", as); !strings.Contains(w.Body.String(), say) {
			t.Errorf("%s:\n%s", query, w.Body)
		}
	}
}
