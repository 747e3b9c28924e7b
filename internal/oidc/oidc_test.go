package oidc

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab/issuer"
)

const back = "https://console.example.org:8443/login/oidc/back"

// anna is somebody as an issuer knows her.
func anna() map[string]any {
	return map[string]any{"preferred_username": "anna", "name": "Anna A.", "email": "anna@example.org", "email_verified": true, "groups": []string{"staff", "postmasters"}, "amr": []string{"pwd", "mfa"}, "acr": "gold"}
}

func start(t *testing.T, change func(*Config)) (*Client, *issuer.Server) {
	t.Helper()
	s, err := issuer.Start(map[string]map[string]any{"u1": anna(), "u2": {"preferred_username": "bert", "email": "bert@example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := Config{Issuer: s.URL, ClientID: issuer.ClientID, Secret: func() (string, error) { return issuer.Secret, nil }, Scopes: []string{"openid", "profile"},
		Name: "preferred_username", Mail: "email", Groups: "groups", Key: bytes.Repeat([]byte{7}, KeySize), Timeout: 5 * time.Second}
	if change != nil {
		change(&c)
	}
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client, s
}

// login is one, in one browser.
func login(t *testing.T, c *Client, s *issuer.Server, subject string) (*Person, error) {
	t.Helper()
	q, ticket := come(t, c, s, subject)
	return c.Finish(t.Context(), q, ticket)
}

// come is what a browser has that comes back.
func come(t *testing.T, c *Client, s *issuer.Server, subject string) (url.Values, string) {
	t.Helper()
	address, ticket, err := c.Start(t.Context(), Request{Redirect: back, Carry: "/log"})
	if err != nil {
		t.Fatal(err)
	}
	q, err := s.Login(address, subject)
	if err != nil {
		t.Fatal(err)
	}
	return q, ticket
}

func TestLogin(t *testing.T) {
	c, s := start(t, func(c *Config) { c.SecondAMR = []string{"mfa"} })
	p, err := login(t, c, s, "u1")
	if err != nil {
		t.Fatal(err)
	}
	if p.Subject != "u1" || p.Name != "anna" || p.Display != "Anna A." || !slices.Equal(p.Mail, []string{"anna@example.org"}) || !slices.Equal(p.Groups, []string{"staff", "postmasters"}) ||
		!p.Second || p.Carry != "/log" || time.Since(p.Proved) > time.Minute {
		t.Errorf("%+v", p)
	}
	if slices.Contains(s.Asked(), "/userinfo") {
		t.Error("userinfo was asked although the ID token says all")
	}
	p, err = login(t, c, s, "u2") // whose ID token has no groups
	if err != nil || p.Name != "bert" || len(p.Mail) > 0 || len(p.Groups) > 0 || p.Second {
		t.Errorf("%+v, %v", p, err)
	}
	if !slices.Contains(s.Asked(), "/userinfo") {
		t.Error("userinfo was not asked for the groups")
	}
	if asked, err := c.State(); !asked || err != nil {
		t.Errorf("%v, %v", asked, err)
	}
}

// TestClaims shows how names of claims lead to values, and who is not proved by them.
func TestClaims(t *testing.T) {
	nested := map[string]any{"preferred_username": "carl", "realm_access": map[string]any{"roles": []string{"a", "b"}}, "email": "carl@example.org", "acr": "gold"}
	c, s := start(t, func(c *Config) { c.Groups, c.SecondACR, c.MailTrusted = "realm_access.roles", []string{"gold"}, true })
	s.Put("u3", nested)
	p, err := login(t, c, s, "u3")
	if err != nil || !slices.Equal(p.Groups, []string{"a", "b"}) || !p.Second || len(p.Mail) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, odd := range []any{7, "", strings.Repeat("x", 300), []string{"anna"}, nil} {
		s.Put("u3", map[string]any{"preferred_username": odd, "realm_access": "none"})
		if p, err := login(t, c, s, "u3"); !errors.Is(err, ErrRefused) {
			t.Errorf("%v: %+v, %v", odd, p, err)
		}
	}
	many := make([]string, 5000)
	for i := range many {
		many[i] = "g"
	}
	s.Put("u3", map[string]any{"preferred_username": "carl", "realm_access": map[string]any{"roles": many}})
	if p, err = login(t, c, s, "u3"); err != nil || len(p.Groups) != mostGroups {
		t.Errorf("%v", err)
	}
}

// TestForged shows that an ID token proves nobody where anything in it is not as it must be.
func TestForged(t *testing.T) {
	c, s := start(t, nil)
	set := func(key string, value any) func(map[string]any) { return func(m map[string]any) { m[key] = value } }
	for name, change := range map[string]func(map[string]any){
		"wrong audience":    set("aud", "another"),
		"another party":     set("azp", "another"),
		"two, and no party": set("aud", []string{issuer.ClientID, "another"}),
		"wrong issuer":      set("iss", "http://127.0.0.1:1"),
		"wrong nonce":       set("nonce", "x"),
		"no nonce":          func(m map[string]any) { delete(m, "nonce") },
		"too old":           set("exp", time.Now().Add(-time.Minute).Unix()),
		"no subject":        set("sub", ""),
		"long subject":      set("sub", strings.Repeat("x", 300)),
		"another token":     set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
	} {
		s.Change(change)
		if p, err := login(t, c, s, "u1"); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	s.Change(nil)
	s.Forge(true)
	if p, err := login(t, c, s, "u1"); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "signature") {
		t.Errorf("forged: %+v, %v", p, err)
	}
	s.Forge(false)
	if _, err := login(t, c, s, "u1"); err != nil {
		t.Error(err)
	}
	s.Answer("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"sub":"u1","groups":["owners"]}`))
	})
	if p, err := login(t, c, s, "u2"); !errors.Is(err, ErrRefused) {
		t.Errorf("userinfo of another: %+v, %v", p, err)
	}
}

// TestBound shows that a login ends once, in the browser where it began, in time, and that no other answer is taken for its own.
func TestBound(t *testing.T) {
	c, s := start(t, nil)
	refused := func(what string, q url.Values, ticket string) {
		t.Helper()
		if p, err := c.Finish(t.Context(), q, ticket); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
	with := func(q url.Values, key, value string) url.Values {
		out := url.Values{}
		for k, v := range q {
			out[k] = v
		}
		out.Set(key, value)
		return out
	}
	q, ticket := come(t, c, s, "u1")
	_, others := come(t, c, s, "u2")
	refused("another browser", q, others)
	refused("no ticket", q, "")
	refused("changed ticket", q, ticket[:len(ticket)-2]+"AA")
	refused("long ticket", q, strings.Repeat("A", MaxTicket+4))
	refused("another state", with(q, "state", "x"), ticket)
	refused("no state", with(q, "state", ""), ticket)
	if _, err := c.Finish(t.Context(), q, ticket); err != nil {
		t.Fatal(err)
	}
	refused("replayed", q, ticket)

	q, ticket = come(t, c, s, "u1")
	refused("another issuer", with(q, "iss", "https://evil.example"), ticket)
	q, ticket = come(t, c, s, "u1")
	refused("the issuer says no", with(q, "error", "access_denied\r\nx"), ticket)
	q, ticket = come(t, c, s, "u1")
	refused("made-up code", with(q, "code", "x"), ticket)
	q, ticket = come(t, c, s, "u1")
	refused("long code", with(q, "code", strings.Repeat("x", maxCode+1)), ticket)

	other, _ := start(t, func(o *Config) { o.Issuer, o.ClientID = s.URL, "another" })
	_, ticket = come(t, c, s, "u1")
	if _, err := other.Finish(t.Context(), q, ticket); !errors.Is(err, ErrRefused) {
		t.Errorf("a ticket of another client is taken: %v", err)
	}
	old, err := c.seal(attempt{State: "s", Began: time.Now().Add(-LoginTime - time.Second).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	refused("too late", url.Values{"state": {"s"}, "code": {"x"}}, old)
}

// TestAgain shows that a login which is to prove somebody anew wants to hear that it did.
func TestAgain(t *testing.T) {
	c, s := start(t, nil)
	for _, x := range []struct {
		proved any
		ok     bool
	}{{time.Now().Unix(), true}, {time.Now().Add(-time.Hour).Unix(), false}, {"now", false}, {nil, false}} {
		s.Change(func(m map[string]any) { m["auth_time"] = x.proved })
		address, ticket, err := c.Start(t.Context(), Request{Redirect: back, Again: true})
		if err != nil || !strings.Contains(address, "max_age=0") || !strings.Contains(address, "prompt=login") {
			t.Fatal(address, err)
		}
		q, err := s.Login(address, "u1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Finish(t.Context(), q, ticket); (err == nil) != x.ok {
			t.Errorf("%v: %v", x.proved, err)
		}
	}
}

// TestAway shows that an issuer that is gone, slow, broken or endless is told as away, within the time, and believed again.
func TestAway(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"x":"`))
		for range 64 << 10 {
			if _, err := w.Write(bytes.Repeat([]byte("a"), 1024)); err != nil {
				return
			}
		}
	}
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	says := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	c, s := start(t, func(c *Config) { c.Timeout = time.Second })
	for name, how := range map[string]http.HandlerFunc{"endless": endless, "hangs": hangs, "500": says(500, "x"), "not JSON": says(200, "<html>"),
		"another issuer": says(200, `{"issuer":"https://evil.example"}`), "elsewhere": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) },
		"in clear": says(200, `{"issuer":"`+s.URL+`","authorization_endpoint":"`+s.URL+`","token_endpoint":"http://192.0.2.1/token","jwks_uri":"`+s.URL+`"}`)} {
		s.Answer("/.well-known/openid-configuration", how)
		if err := c.Check(t.Context()); !errors.Is(err, ErrAway) || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := c.Start(t.Context(), Request{Redirect: back}); !errors.Is(err, ErrAway) {
			t.Errorf("%s: Start: %v", name, err)
		}
		if asked, err := c.State(); !asked || err == nil {
			t.Errorf("%s: state %v", name, err)
		}
	}
	s.Answer("/.well-known/openid-configuration", nil)
	for _, path := range []string{"/token", "/keys"} {
		for name, how := range map[string]http.HandlerFunc{"endless": endless, "hangs": hangs, "500": says(500, "x"), "not JSON": says(200, "<html>")} {
			q, ticket := come(t, c, s, "u1")
			s.Answer(path, how)
			if p, err := c.Finish(t.Context(), q, ticket); err == nil {
				t.Errorf("%s %s: %+v", path, name, p)
			}
			s.Answer(path, nil)
		}
	}
	if _, err := login(t, c, s, "u1"); err != nil {
		t.Error(err)
	}
	if asked, err := c.State(); !asked || err != nil {
		t.Errorf("state: %v", err)
	}
	wrong, s2 := start(t, func(c *Config) { c.Secret = func() (string, error) { return "wrong", nil } })
	if _, err := login(t, wrong, s2, "u1"); !errors.Is(err, ErrAway) {
		t.Errorf("our secret is wrong: %v", err)
	}
}

// TestCrowd shows that no more than so many ask at once, and that whoever waits does not wait for ever.
func TestCrowd(t *testing.T) {
	c, _ := start(t, nil)
	for range callsAtOnce {
		c.places <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Start(ctx, Request{Redirect: back}); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
}

// TestUsed shows that states are remembered until they are over, and that no login ends while there is no room.
func TestUsed(t *testing.T) {
	var u used
	now := time.Now()
	for i := range mostUsed {
		if !u.take(string(rune('a'+i%26))+rand.Text(), now) {
			t.Fatal("there is room")
		}
	}
	if u.take("one more", now) {
		t.Error("there is no room")
	}
	if later := now.Add(LoginTime + 3*time.Minute); !u.take("one more", later) || u.take("one more", later) || len(u.till) != 1 {
		t.Error("what is over was not forgotten")
	}
}

func TestNew(t *testing.T) {
	good := Config{Issuer: "https://id.example.org", ClientID: "x", Scopes: []string{"openid"}, Key: make([]byte, KeySize)}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for _, break_ := range []func(*Config){func(c *Config) { c.Issuer = "" }, func(c *Config) { c.ClientID = "" }, func(c *Config) { c.Scopes = nil }, func(c *Config) { c.Key = nil }} {
		c := good
		break_(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%+v", c)
		}
	}
}
