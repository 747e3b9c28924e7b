package e2e

import (
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/cookiejar"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// browse asks as a browser that keeps cookies and follows where it is sent, and returns status, path and text.
func (u *user) browse(method, path string, form url.Values) (int, string, string) {
	u.t.Helper()
	r, err := http.NewRequestWithContext(u.t.Context(), method, portalURL+path, strings.NewReader(form.Encode()))
	if err != nil {
		u.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", portalURL)
	}
	a, err := u.Do(r)
	if err != nil {
		u.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	return a.StatusCode, a.Request.URL.Path, string(text)
}

// loginLink is what the newest mail that arrived leads to.
func (w *world) loginLink(t *testing.T, to, page string) string {
	t.Helper()
	all := w.hop(t).Accepted()
	if len(all) == 0 {
		t.Fatal("no mail arrived")
	}
	m, err := mail.ReadMessage(strings.NewReader(string(all[len(all)-1].Body)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(regexp.QuoteMeta(portalURL) + `(` + page + `[\w-]+)`).FindStringSubmatch(string(text))
	if link == nil || m.Header.Get("To") != "<"+to+">" || m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Fatalf("%v\n%s", m.Header, text)
	}
	return link[1]
}

// TestPortalLogin: a user asks for a link with his address, gets it by mail, logs in with it once, sees what is kept for him and
// nothing of others, releases what he may, links a further address, and logs out; strangers' addresses get nothing.
func TestPortalLogin(t *testing.T) {
	t.Parallel()
	w, u := digestWorld(t, "[portal]\nlogin = true\n")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	u.Jar = jar
	mine, other := w.quarantined(t, "bob@served.test"), w.quarantined(t, "eve@served.test")
	if status, path, _ := u.browse("GET", "/mine", nil); status != 200 || path != "/" {
		t.Fatalf("without a login: %d at %s", status, path)
	}
	for _, address := range []string{"bob@elsewhere.test", "not an address@", "bob@served.test"} {
		if status, _, text := u.browse("POST", "/login", url.Values{"address": {address}}); status != 200 || !strings.Contains(text, "a link is on its way") {
			t.Fatalf("%s: %d\n%s", address, status, text)
		}
	}
	if err := eventually(labtest.Context(t), func() (string, bool) { return "no link arrived", len(w.hop(t).Accepted()) == 1 }); err != nil {
		t.Fatal(err)
	}
	link := w.loginLink(t, "bob@served.test", "/login/")
	for range 2 { // whoever looks at it uses none up
		if status, _, text := u.browse("GET", link, nil); status != 200 || !strings.Contains(text, "bob@served.test") {
			t.Fatalf("the link: %d\n%s", status, text)
		}
	}
	token := url.Values{"link": {strings.TrimPrefix(link, "/login/")}}
	status, path, text := u.browse("POST", "/session", token)
	if status != 200 || path != "/mine" || !strings.Contains(text, mine) || strings.Contains(text, other) || strings.Contains(text, "eve@") {
		t.Fatalf("logged in: %d at %s\n%s", status, path, text)
	}
	if status, _, _ := u.browse("POST", "/session", token); status != 404 {
		t.Errorf("the link can be used again: %d", status)
	}
	before := len(w.hop(t).Accepted())
	if status, _, text := u.browse("POST", "/mine/release", url.Values{"reference": {other}}); status != 410 || len(w.hop(t).Accepted()) != before {
		t.Errorf("another's message: %d\n%s", status, text)
	}
	if status, _, text := u.browse("POST", "/mine/release", url.Values{"reference": {mine}}); status != 200 || !strings.Contains(text, "has been released") || len(w.hop(t).Accepted()) != before+1 {
		t.Errorf("his own: %d, %d arrived\n%s", status, len(w.hop(t).Accepted())-before, text)
	}
	if err := eventually(labtest.Context(t), func() (string, bool) {
		log := w.daemon.Log()
		return log, strings.Contains(log, `"by":"bob@served.test (by the portal)"`)
	}); err != nil {
		t.Errorf("the journal does not tell who released it: %v", err)
	}
	w.blocks(t, u)
	w.looksAtPortal(t, u)
	w.linkedAddress(t, u, other)
	held := jar.Cookies(&url.URL{Scheme: "https", Host: "quarantine.served.test:8444", Path: "/"})
	if status, path, _ := u.browse("POST", "/logout", url.Values{}); status != 200 || path != "/" {
		t.Errorf("logout: %d at %s", status, path)
	}
	jar.SetCookies(&url.URL{Scheme: "https", Host: "quarantine.served.test:8444", Path: "/"}, held) // who kept a copy of it
	if _, path, _ := u.browse("GET", "/mine", nil); path != "/" {
		t.Errorf("a session that was ended leads to %s", path)
	}
}

// looksAtPortal has eve, for whom a message is held back, log in with Chromium and look at each page of hers.
func (w *world) looksAtPortal(t *testing.T, u *user) {
	t.Helper()
	before := len(w.hop(t).Accepted())
	if status, _, _ := u.browse("POST", "/login", url.Values{"address": {"eve@served.test"}}); status != 200 {
		t.Fatalf("asked: %d", status)
	}
	if err := eventually(labtest.Context(t), func() (string, bool) { return "no link arrived", len(w.hop(t).Accepted()) > before }); err != nil {
		t.Fatal(err)
	}
	b := labtest.StartBrowser(t, lab.BrowserOptions{Base: portalURL, Width: 390, Hosts: "MAP quarantine.served.test " + w.portal(t)})
	var path string
	b.Step("portal.login", map[string]any{"link": w.loginLink(t, "eve@served.test", "/login/"), "look": "portal-link"}, &path)
	if path != "/mine" {
		t.Errorf("the link leads to %s", path)
	}
	var told []string
	b.Step("portal.tour", map[string]any{"paths": []string{"/mine", "/lists", "/addresses"}, "look": "portal"}, &told)
	if len(told) != 3 || !strings.Contains(told[0], "win now") || !strings.Contains(told[1], "Senders you want") || !strings.Contains(told[2], "Further addresses") {
		t.Errorf("her pages: %q", told)
	}
}

// blocks has the user who is logged in block a sender: from then on mail of it to him is refused, and to others it is not.
func (w *world) blocks(t *testing.T, u *user) {
	t.Helper()
	if status, path, text := u.browse("POST", "/lists/add", url.Values{"kind": {"block"}, "sender": {"Alice@Example.org"}}); status != 200 || path != "/lists" || !strings.Contains(text, "alice@example.org") {
		t.Fatalf("block: %d at %s\n%s", status, path, text)
	}
	send := func(to string) string {
		c := w.hello(t)
		c.want("250", "MAIL FROM:<alice@example.org>")
		c.want("250", "RCPT TO:<"+to+">")
		c.want("354", "DATA")
		c.send(keptMail + ".\r\n")
		reply := c.reply()
		c.want("221", "QUIT")
		return reply
	}
	if err := eventually(labtest.Context(t), func() (string, bool) {
		reply := send("bob@served.test")
		return reply, strings.HasPrefix(reply, "550 5.7.1 ")
	}); err != nil {
		t.Errorf("to him who blocks: %v", err)
	}
	if reply := send("eve@served.test"); !strings.HasPrefix(reply, "250 ") {
		t.Errorf("to another: %s", reply)
	}
	if status, _, text := u.browse("POST", "/lists/remove", url.Values{"kind": {"block"}, "sender": {"alice@example.org"}}); status != 200 || strings.Contains(text, "alice@example.org") {
		t.Errorf("remove: %d\n%s", status, text)
	}
}

// linkedAddress has bob, who is logged in, link eve's address by a mail to it: he sees and releases what is kept for her until an admin
// takes it away, both are told, and the audit log has it all.
func (w *world) linkedAddress(t *testing.T, u *user, hers string) {
	t.Helper()
	arrived := func(n int) {
		t.Helper()
		if err := eventually(labtest.Context(t), func() (string, bool) { return "no mail arrived", len(w.hop(t).Accepted()) >= n }); err != nil {
			t.Fatal(err)
		}
	}
	before := len(w.hop(t).Accepted())
	if status, path, text := u.browse("POST", "/addresses/add", url.Values{"address": {"eve@served.test"}}); status != 200 || path != "/addresses" || !strings.Contains(text, "a link is on its way") {
		t.Fatalf("asked: %d at %s\n%s", status, path, text)
	}
	arrived(before + 1)
	link := w.loginLink(t, "eve@served.test", "/link/")
	for range 2 {
		if status, _, text := u.browse("GET", link, nil); status != 200 || !strings.Contains(text, "eve@served.test") {
			t.Fatalf("the link: %d\n%s", status, text)
		}
	}
	proof := url.Values{"link": {strings.TrimPrefix(link, "/link/")}}
	if status, path, text := u.browse("POST", "/addresses/link", proof); status != 200 || path != "/addresses" || !strings.Contains(text, "eve@served.test") {
		t.Fatalf("linked: %d at %s\n%s", status, path, text)
	}
	if status, _, _ := u.browse("POST", "/addresses/link", proof); status != 422 {
		t.Errorf("the link can be used again: %d", status)
	}
	arrived(before + 3) // both are told
	if status, _, text := u.browse("GET", "/mine", nil); status != 200 || !strings.Contains(text, hers) || !strings.Contains(text, "<bdi>eve@served.test</bdi></td>") {
		t.Errorf("hers is not there: %d\n%s", status, text)
	}
	if status, _, text := u.browse("POST", "/mine/release", url.Values{"reference": {hers}, "for": {"eve@served.test"}}); status != 200 || !strings.Contains(text, "has been released") {
		t.Errorf("hers: %d\n%s", status, text)
	}
	arrived(before + 4)
	out, _ := w.command(t, 0, "portal", "links")
	number := regexp.MustCompile(`^(\d+) +bob@served\.test +sees +eve@served\.test `).FindStringSubmatch(out)
	if number == nil {
		t.Fatalf("the admin sees %q", out)
	}
	w.command(t, 0, "portal", "unlink", number[1])
	if _, _, text := u.browse("GET", "/mine", nil); strings.Contains(text, "eve@served.test") {
		t.Errorf("it is taken away, and still there:\n%s", text)
	}
	arrived(before + 6)
	out, _ = w.command(t, 0, "audit", "list")
	for _, want := range []string{"bob@served.test", "portal link", "portal unlink", "bob@served.test sees eve@served.test"} {
		if !strings.Contains(out, want) {
			t.Errorf("the audit log has not %q:\n%s", want, out)
		}
	}
}
