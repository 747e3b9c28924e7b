package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wantedHeaders stand in each answer of the console, whatever it is.
var wantedHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	"Strict-Transport-Security": "max-age=", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}

// guarded fails unless an answer has the fields that bound what browsers do with it, and tells no secret where addresses are kept.
func guarded(t *testing.T, what string, a pageSaid, secrets ...string) {
	t.Helper()
	for name, begin := range wantedHeaders {
		if !strings.HasPrefix(a.header.Get(name), begin) {
			t.Errorf("%s: %d with %s %q", what, a.code, name, a.header.Get(name))
		}
	}
	if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") && !strings.Contains(csp, "sandbox") || strings.Contains(csp, "unsafe") {
		t.Errorf("%s: policy %q", what, csp)
	}
	if to := a.header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
		t.Errorf("%s leads to %q", what, to)
	}
	for _, secret := range secrets {
		if strings.Contains(a.header.Get("Location"), secret) || regexp.MustCompile(`(href|action|src)="[^"]*`+regexp.QuoteMeta(secret)).MatchString(a.body) {
			t.Errorf("%s has a session in an address", what)
		}
	}
	for _, c := range a.header["Set-Cookie"] {
		if !strings.HasPrefix(c, "__Host-") || !strings.Contains(c, "; Secure") || !strings.Contains(c, "; HttpOnly") || !strings.Contains(c, "SameSite=Strict") || !strings.Contains(c, "Path=/") || strings.Contains(c, "Domain") {
			t.Errorf("%s: cookie %q", what, regexp.MustCompile(`=[^;]*`).ReplaceAllString(c, "=…"))
		}
	}
}

// TestConsoleAnswers: what is asked for in any wrong way is answered with the same bounds for browsers as any page, and no path
// leads to a file.
func TestConsoleAnswers(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	owner, nobody := w.owner(t), w.visitor(t)
	for _, c := range []struct {
		method, path string
		body         string
		want         []int
	}{
		{"GET", "/", "", []int{200}}, {"GET", "/log", "", []int{200}}, {"GET", "/log?q=form:x", "", []int{400}}, {"GET", "/log?range=%00", "", []int{200, 400}},
		{"GET", "/nowhere", "", []int{404}}, {"GET", "/setup", "", []int{404}}, {"GET", "/log/m/none", "", []int{404}}, {"GET", "/log/m/1M8DZ-QVB10-0009", "", []int{404}},
		{"PUT", "/log", "", []int{403, 404, 405}}, {"TRACE", "/", "", []int{403, 404, 405}}, {"OPTIONS", "/", "", []int{404, 405}}, {"CONNECT", "/x", "", []int{400, 403, 404, 405}},
		{"GET", "/log?q=" + strings.Repeat("x", 5000), "", []int{414}}, {"POST", "/login", strings.Repeat("x=y&", 30000), []int{400, 413}}, {"POST", "/login", "%zz", []int{400}},
		{"GET", "/api/v1/openapi.json", "", []int{200}}, {"GET", "/api/v1/nowhere", "", []int{404}}, {"GET", "/api/v1/log?limit=x", "", []int{400}}, {"GET", "/api/v1/log?limit=100000", "", []int{400}},
		{"GET", "/api/v1/log?cursor=" + strings.Repeat("%FF", 200), "", []int{400}}, {"POST", "/api/v1/users", "{}", []int{403}},
		{"GET", "/assets/", "", []int{404}}, {"GET", "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd", "", []int{404}}, {"GET", "/assets/%2e%2e/%2e%2e/etc/passwd", "", []int{301, 307, 404}},
		{"GET", "/assets/../../../../etc/passwd", "", []int{301, 307, 404}}, {"GET", "/assets/..%5c..%5cgatepost.toml", "", []int{404}}, {"GET", "/assets/console.css%00.png", "", []int{404}},
		{"GET", "//evil.example/%2e%2e", "", []int{301, 307, 404}}, {"GET", "/log/m/..%2f..%2fetc%2fpasswd", "", []int{404}}, {"GET", "/log/m/%2e%2e%2fx", "", []int{404}},
	} {
		for who, b := range map[string]*browserOf{"the owner": owner, "nobody": nobody} {
			var body io.Reader
			header := []string{"Origin", b.base, "Sec-Fetch-Site", "same-origin"}
			if c.body != "" {
				body = strings.NewReader(c.body)
				header = append(header, "Content-Type", "application/x-www-form-urlencoded")
			}
			a := b.send(c.method, c.path, body, header...)
			what := fmt.Sprintf("%s %.60s by %s", c.method, c.path, who)
			guarded(t, what, a, owner.session())
			ok := who == "nobody" && (a.code == 401 || a.code == 303) // before anything else of it
			for _, code := range c.want {
				ok = ok || a.code == code
			}
			if !ok || strings.Contains(a.body, "root:") || strings.Contains(a.body, "state_dir") {
				t.Errorf("%s: %d %.200s", what, a.code, a.body)
			}
		}
	}
	// The session is taken of the cookie alone.
	if a := nobody.ask("GET", "/?__Host-gatepost="+owner.session(), nil); a.code != http.StatusSeeOther {
		t.Errorf("a session in an address: %d", a.code)
	}
	for _, to := range []string{"//evil.example/", "https://evil.example/", `/\evil.example`, "/%5cevil.example", "javascript:alert(1)", "/\tx", "/login"} {
		a := w.visitor(t).ask("POST", "/login", url.Values{"name": {ownerName}, "password": {operatorPassword}, "to": {to}})
		guarded(t, "login with to="+to, a)
		if at := a.header.Get("Location"); a.code != http.StatusSeeOther || strings.Contains(at, "evil") && !strings.HasPrefix(at, "/%5c") || at == "/login" {
			t.Errorf("login with to=%q: %d to %q", to, a.code, at)
		}
	}
}

var (
	formOf  = regexp.MustCompile(`(?s)<form [^>]*method="post"[^>]*>.*?</form>`)
	actOf   = regexp.MustCompile(`action="([^"]*)"`)
	inputOf = regexp.MustCompile(`<input [^>]*name="([^"]*)"[^>]*?(?: value="([^"]*)")?[^>]*>`)
)

// TestConsoleForgery: each form of every page that changes something is refused without its session's token, with another
// session's, and from another site, though the browser brings the cookie; and so are changes by the API in a browser.
func TestConsoleForgery(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	owner := w.owner(t)
	other := w.operator(t, "other", "owner")
	field := regexp.MustCompile(`name="form" value="([^"]+)"`)
	mine, foreign := field.FindStringSubmatch(owner.ask("GET", "/", nil).body), field.FindStringSubmatch(other.ask("GET", "/", nil).body)
	if mine == nil || foreign == nil || mine[1] == foreign[1] {
		t.Fatal("the forms of two sessions have no tokens of their own")
	}
	elsewhere := [][]string{{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, {"Origin", "null", "Sec-Fetch-Site", "cross-site"},
		{"Origin", owner.base + ".evil.example", "Sec-Fetch-Site", ""}, {"Origin", "https://evil.example", "Sec-Fetch-Site", "same-site"}}
	n := 0
	for _, path := range owner.pages(t) {
		for _, form := range formOf.FindAllString(owner.ask("GET", path, nil).body, -1) {
			action := actOf.FindStringSubmatch(form)
			if action == nil || action[1] == "/theme" { // light or dark, in the browser's own cookie
				continue
			}
			n++
			fields := url.Values{}
			for _, in := range inputOf.FindAllStringSubmatch(form, -1) {
				fields.Set(in[1], in[2])
			}
			for _, token := range []string{"", "x", foreign[1], strings.ToUpper(mine[1]), mine[1][:len(mine[1])-1]} {
				fields.Set("form", token)
				a := owner.ask("POST", action[1], fields)
				if a.code != http.StatusForbidden && (action[1] != "/logout" || a.code != http.StatusSeeOther) {
					t.Errorf("form %s with the token %.4q…: %d", action[1], token, a.code)
				}
			}
			fields.Set("form", mine[1])
			for _, header := range elsewhere {
				if a := owner.ask("POST", action[1], fields, header...); a.code != http.StatusForbidden {
					t.Errorf("form %s from %v: %d", action[1], header, a.code)
				}
			}
		}
	}
	if n == 0 {
		t.Fatal("no page has a form")
	}
	for _, header := range append(elsewhere, []string{}, []string{"Gatepost-Form", foreign[1]}, []string{"Gatepost-Form", "x"}) {
		header = append([]string{"Content-Type", "application/json"}, header...)
		a := owner.send("POST", "/api/v1/users", strings.NewReader(`{"name":"mallory","role":"owner"}`), header...)
		if a.code != http.StatusForbidden {
			t.Errorf("a change by the API with %v: %d %.200s", header, a.code, a.body)
		}
	}
	// What a form of another site can send without being asked: no JSON, and no field of the header.
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		a := owner.send("POST", "/api/v1/users", strings.NewReader(`{"name":"mallory","role":"owner"}`), "Content-Type", kind)
		if a.code < 400 {
			t.Errorf("a change by the API as %s: %d", kind, a.code)
		}
	}
	for _, b := range []*browserOf{owner, other} {
		if a := b.ask("GET", "/", nil); a.code != 200 {
			t.Errorf("a session is over: %d", a.code)
		}
	}
	if list := w.tells(t, "user", "list"); strings.Contains(list, "mallory") {
		t.Errorf("users: %s", list)
	}
}

// TestConsoleSessions: a login makes a session that nobody knew before, and ends that which the browser had; a logout ends it at
// once, for whoever kept it too; and so does a change of the user's role.
func TestConsoleSessions(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	owner := w.owner(t)
	planted := &http.Cookie{Name: "__Host-gatepost", Value: "planted-by-somebody-else", Path: "/", Secure: true}
	victim := w.visitor(t)
	base, _ := url.Parse(victim.base)
	victim.Jar.SetCookies(base, []*http.Cookie{planted})
	in := url.Values{"name": {ownerName}, "password": {operatorPassword}}
	if a := victim.ask("POST", "/login", in); a.code != http.StatusSeeOther || victim.session() == planted.Value || victim.session() == "" {
		t.Fatalf("login over a planted session: %d", a.code)
	}
	with := func(session string) int {
		b := w.visitor(t)
		b.Jar.SetCookies(base, []*http.Cookie{{Name: "__Host-gatepost", Value: session, Path: "/", Secure: true}})
		return b.ask("GET", "/", nil).code
	}
	if code := with(planted.Value); code != http.StatusSeeOther {
		t.Errorf("the planted session: %d", code)
	}
	first := victim.session()
	if code := with(first); code != 200 {
		t.Fatalf("its own session: %d", code)
	}
	if a := victim.ask("POST", "/login", in); a.code != http.StatusSeeOther || victim.session() == first {
		t.Fatalf("a second login: %d", a.code)
	}
	if code := with(first); code != http.StatusSeeOther {
		t.Errorf("the session before a second login: %d", code)
	}
	second := victim.session()
	form := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(victim.ask("GET", "/", nil).body)
	if a := victim.ask("POST", "/logout", url.Values{"form": {form[1]}}); a.code != http.StatusSeeOther || victim.session() != "" {
		t.Errorf("logout: %d, %q", a.code, victim.session())
	}
	if code := with(second); code != http.StatusSeeOther {
		t.Errorf("the session after logout: %d", code)
	}
	if code := with(owner.session()); code != 200 {
		t.Errorf("the session of another browser: %d", code)
	}
	helper := w.operator(t, "helper", "help-desk")
	w.tells(t, "user", "role", "helper", "auditor")
	if a := helper.ask("GET", "/", nil); a.code != http.StatusSeeOther {
		t.Errorf("a session of another role: %d", a.code)
	}
	again := w.operator(t, "again", "help-desk")
	w.tells(t, "user", "disable", "again")
	if a := again.ask("GET", "/", nil); a.code != http.StatusSeeOther {
		t.Errorf("a session of who is let in no more: %d", a.code)
	}
}

// TestConsoleGuessing: whoever guesses waits longer and longer, is not let in meanwhile even by the right password, learns nothing
// about who exists, and keeps nobody out who comes from elsewhere.
func TestConsoleGuessing(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	w.owner(t)
	from := func(ip string) *browserOf {
		b := w.visitor(t)
		b.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext
		return b
	}
	// One address each, so that neither counts for the other.
	guess := func(b *browserOf, name string) (said []string, until time.Time) {
		for range 14 { // the last wait is longer than any machine is slow
			asked := time.Now()
			a := b.ask("POST", "/login", url.Values{"name": {name}, "password": {"not the right one"}})
			if a.code == http.StatusTooManyRequests {
				left, err := strconv.Atoi(regexp.MustCompile(`[0-9]+`).FindString(a.header.Get("Retry-After")))
				if err != nil {
					t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
				}
				return said, asked.Add(time.Duration(left-1) * time.Second) // it was rounded up
			}
			if a.code != http.StatusUnauthorized || b.session() != "" {
				t.Errorf("a guess for %s: %d", name, a.code)
			}
			said = append(said, regexp.MustCompile(`(?s)<p class="msg err".*?</p>`).FindString(a.body))
		}
		t.Errorf("guessing at %s is not held up", name)
		return said, time.Time{}
	}
	bad := from("127.0.0.2")
	known, until := guess(bad, ownerName)
	a := bad.ask("POST", "/login", url.Values{"name": {ownerName}, "password": {operatorPassword}})
	if a.code != http.StatusTooManyRequests && time.Now().Before(until) {
		t.Errorf("the right password, while it is held: %d", a.code)
	}
	unknown, _ := guess(from("127.0.0.3"), "nobody")
	if known[0] == "" || known[0] != unknown[0] {
		t.Errorf("guessing at a user is told %q; at nobody, %q", known, unknown)
	}
	good := from("127.0.0.4")
	if a := good.ask("POST", "/login", url.Values{"name": {ownerName}, "password": {operatorPassword}}); a.code != http.StatusSeeOther {
		t.Errorf("the owner from elsewhere: %d %.300s", a.code, a.body)
	}
}

// TestConsoleSlow: clients that say nothing, half of something, or a body that does not come hold no place for long, however many
// they are, and what is too much is not read.
func TestConsoleSlow(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	owner, at := w.owner(t), w.consoleAddr(t)
	open := func(secure bool) net.Conn {
		conn, err := net.DialTimeout("tcp", at, clientTime)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if !secure {
			return conn
		}
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		_ = c.SetDeadline(time.Now().Add(2 * clientTime))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ends := func(what string, c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(2 * clientTime))
		text, err := io.ReadAll(c)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Errorf("%s: the connection is kept: %.100q", what, text)
		}
	}
	slow := map[string]net.Conn{"no hello": open(false), "no request": open(true)}
	for what, octets := range map[string]string{"half a request": "GET / HTTP/1.1\r\nHost: x\r\n", "half a body": "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nname=a",
		"a header without end": "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10)} {
		c := open(true)
		_, _ = io.WriteString(c, octets) // it may be closed within
		slow[what] = c
	}
	for what, c := range slow {
		ends(what, c)
	}
	var all []net.Conn
	for range 300 { // more than there are places
		all = append(all, open(false))
	}
	for end := time.Now().Add(2 * clientTime); ; time.Sleep(100 * time.Millisecond) {
		b := w.visitor(t)
		r, _ := http.NewRequestWithContext(t.Context(), "GET", owner.base+"/login", nil)
		a, err := b.Do(r)
		if err == nil {
			a.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the console is shut by those who say nothing: %v", err)
		}
	}
	for _, c := range all {
		c.Close()
	}
	if a := owner.send("POST", "/api/v1/users", io.LimitReader(endless{}, 64<<20), "Content-Type", "application/json"); a.code < 400 {
		t.Errorf("64 MiB of JSON: %d", a.code)
	}
	token := w.token(t, ownerName)
	if a := w.visitor(t).send("POST", "/api/v1/users", io.LimitReader(endless{}, 8<<20), "Content-Type", "application/json", "Authorization", "Bearer "+token); a.code != http.StatusRequestEntityTooLarge && a.code != http.StatusBadRequest {
		t.Errorf("8 MiB of JSON: %d", a.code)
	}
}

// endless is blanks, as JSON may have between its parts.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
