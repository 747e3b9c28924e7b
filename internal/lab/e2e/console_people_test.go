package e2e

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The first owner of every console, and the password of all operators.
const (
	ownerName        = "olga"
	operatorPassword = "seven quiet herons beside a canal"
)

// tells runs a command, which must do what it is asked, and returns what it prints.
func (w *world) tells(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := w.command(t, 0, args...)
	return strings.TrimSpace(out)
}

// setupCode is the code by which the first owner comes in, once the control data is open.
func (w *world) setupCode(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		out, complaints, code, err := w.daemon.Command(t.Context(), "user", "setup-code")
		if err == nil && code == 0 {
			return strings.TrimSpace(out)
		}
		if time.Now().After(end) {
			t.Fatalf("setup-code: %v, %s%s", err, out, complaints)
		}
	}
}

// browserOf is a client of the console as a browser is one: with cookies, and without going where a redirect leads.
type browserOf struct {
	t    *testing.T
	base string
	http.Client
}

func (w *world) visitor(t *testing.T) *browserOf {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 4, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &browserOf{t: t, base: "https://" + w.consoleAddr(t),
		Client: http.Client{Jar: jar, Transport: tr, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// pageSaid is an answer that was read.
type pageSaid struct {
	code   int
	header http.Header
	body   string
}

// ask asks for a path; header fields are names and values, one behind the other. A form is posted.
func (b *browserOf) ask(method, path string, form url.Values, header ...string) pageSaid {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
		header = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", b.base, "Sec-Fetch-Site", "same-origin"}, header...)
	}
	return b.send(method, path, body, header...)
}

func (b *browserOf) send(method, path string, body io.Reader, header ...string) pageSaid {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	a, err := b.Do(r)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(io.LimitReader(a.Body, 8<<20))
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return pageSaid{a.StatusCode, a.Header, string(text)}
}

// session is the token that the browser was given; "" for none.
func (b *browserOf) session() string {
	u, _ := url.Parse(b.base)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == "__Host-gatepost" {
			return c.Value
		}
	}
	return ""
}

// owner makes the first owner, and returns his browser.
func (w *world) owner(t *testing.T) *browserOf {
	t.Helper()
	b := w.visitor(t)
	a := b.ask("POST", "/setup", url.Values{"code": {w.setupCode(t)}, "name": {ownerName}, "password": {operatorPassword}, "again": {operatorPassword}})
	if a.code != http.StatusSeeOther || b.session() == "" {
		t.Fatalf("the first owner: %d %s", a.code, a.body)
	}
	return b
}

// operator makes an operator who has set his password, and returns his browser.
func (w *world) operator(t *testing.T, name, role string, domains ...string) *browserOf {
	t.Helper()
	args := []string{"user", "add", name, "--role", role}
	for _, d := range domains {
		args = append(args, "--domain", d)
	}
	return w.redeem(t, name, w.tells(t, args...))
}

// redeem has an operator set his password by a code, and returns his browser.
func (w *world) redeem(t *testing.T, name, code string) *browserOf {
	t.Helper()
	b := w.visitor(t)
	a := b.ask("POST", "/redeem", url.Values{"code": {code}, "password": {operatorPassword}, "again": {operatorPassword}})
	if a.code != http.StatusSeeOther || b.session() == "" {
		t.Fatalf("%s: %d %s", name, a.code, a.body)
	}
	return b
}

// token makes a token of the API for a user.
func (w *world) token(t *testing.T, user string, more ...string) string {
	t.Helper()
	return w.tells(t, append([]string{"token", "add", "test", "--user", user}, more...)...)
}
