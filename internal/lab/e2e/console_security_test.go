package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// part is the first thing in a page that a pattern finds.
func (a pageSaid) part(t *testing.T, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no %s in the page: %d %s", pattern, a.code, a.body)
	}
	return m[1]
}

// post sends a form of the session, as the page that has it would.
func (b *browserOf) post(page, path string, form url.Values) pageSaid {
	b.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	form.Set("form", b.ask("GET", page, nil).part(b.t, `name="form" value="([^"]+)"`))
	return b.ask("POST", path, form)
}

// appCode is what an authenticator app shows (RFC 6238).
func appCode(t *testing.T, secret string, steps int64) string {
	t.Helper()
	key, err := base32.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30+steps)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// TestConsoleAccount: the first owner sets up an app, gets in with a code once and with a recovery code once,
// and ends the sessions that he does not know; a program asks by a token until that is revoked.
func TestConsoleAccount(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0"})
	b := w.owner(t)
	const page = "/account/security"
	a := b.post(page, page+"/app", nil)
	secret := a.part(t, `<code id="secret">([A-Z2-7]+)</code>`)
	a.part(t, `<path fill="#000" d="(M[^"]+)"`)
	form := url.Values{"ticket": {a.part(t, `name="ticket" value="([^"]+)"`)}, "secret": {secret}, "uri": {strings.ReplaceAll(a.part(t, `name="uri" value="([^"]+)"`), "&amp;", "&")}}
	form.Set("code", "000000")
	if a = b.post(page, page+"/app/confirm", form); !strings.Contains(a.body, "code is wrong") {
		t.Errorf("a wrong code: %d %s", a.code, a.body)
	}
	before := b.session()
	form.Set("code", appCode(t, secret, 0))
	a = b.post(page, page+"/app/confirm", form)
	recovery := a.part(t, `<li><code>([a-z2-7-]+)</code></li>`)
	if b.session() == before {
		t.Error("the session kept its token when the second factor changed")
	}
	login := func(second url.Values) (*browserOf, pageSaid) {
		t.Helper()
		v := w.visitor(t)
		a := v.ask("POST", "/login", url.Values{"name": {ownerName}, "password": {operatorPassword}})
		if v.session() != "" {
			t.Fatal("the password alone let in")
		}
		second.Set("token", a.part(t, `name="token" value="([^"]+)"`))
		return v, v.ask("POST", "/login", second)
	}
	code := appCode(t, secret, 1) // the present one was used by the confirmation
	other, a := login(url.Values{"code": {code}})
	if a.code != http.StatusSeeOther || other.session() == "" {
		t.Fatalf("with a code: %d %s", a.code, a.body)
	}
	if again, a := login(url.Values{"code": {code}}); again.session() != "" {
		t.Errorf("a code let in twice: %d", a.code)
	}
	third, a := login(url.Values{"code": {recovery}})
	if third.session() == "" {
		t.Errorf("with a recovery code: %d %s", a.code, a.body)
	}
	if again, a := login(url.Values{"code": {recovery}}); again.session() != "" {
		t.Errorf("a recovery code let in twice: %d", a.code)
	}
	w.sessionsEnd(t, other, third)
	if a := b.ask("GET", page, nil); a.code != http.StatusSeeOther {
		t.Errorf("a session that another ended: %d", a.code)
	}
}

// sessionsEnd has one browser end all others, and the terminal the last, and a token revoked.
func (w *world) sessionsEnd(t *testing.T, left, gone *browserOf) {
	t.Helper()
	token := w.token(t, ownerName, "--right", "users.read", "--right", "own")
	bearer := []string{"Authorization", "Bearer " + token}
	if a := w.visitor(t).ask("GET", "/api/v1/users", nil, bearer...); a.code != http.StatusOK || !strings.Contains(a.body, `"totp":true`) {
		t.Errorf("a token: %d %s", a.code, a.body)
	}
	if a := w.visitor(t).ask("GET", "/api/v1/log", nil, bearer...); a.code != http.StatusForbidden {
		t.Errorf("what the token was not given: %d %s", a.code, a.body)
	}
	formToken := left.ask("GET", "/account/security", nil).part(t, `name="form" value="([^"]+)"`)
	a := left.send("POST", "/api/v1/sessions/end", strings.NewReader(`{"all":true}`), "Content-Type", "application/json", "Gatepost-Form", formToken, "Origin", left.base, "Sec-Fetch-Site", "same-origin")
	if a.code != http.StatusOK {
		t.Errorf("ending sessions: %d %s", a.code, a.body)
	}
	if a := gone.ask("GET", "/account/security", nil); a.code != http.StatusSeeOther {
		t.Errorf("a session that was ended: %d", a.code)
	}
	if a := left.ask("GET", "/account/security", nil); a.code != http.StatusOK {
		t.Errorf("one's own session: %d", a.code)
	}
	var list struct {
		Tokens []struct{ ID string } `json:"tokens"`
	}
	if err := json.Unmarshal([]byte(w.tells(t, "token", "list", "--json")), &list); err != nil || len(list.Tokens) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	w.tells(t, "token", "revoke", list.Tokens[0].ID)
	if a := w.visitor(t).ask("GET", "/api/v1/users", nil, bearer...); a.code != http.StatusUnauthorized {
		t.Errorf("a token that was revoked: %d %s", a.code, a.body)
	}
	w.tells(t, "session", "end", "--user", ownerName, "--all")
	if a := left.ask("GET", "/account/security", nil); a.code != http.StatusSeeOther {
		t.Errorf("a session that the terminal ended: %d", a.code)
	}
}
