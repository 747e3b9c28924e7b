package user

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/accounts/storetest"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

const good = "three green kettles"

// world is a surface over accounts in memory.
type world struct {
	*testing.T
	accounts *accounts.Accounts
	surface  *control.Surface
	audited  []control.Entry
	who      access.Actor
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, who: access.Actor{Name: "root (uid 0)", Role: access.Owner, Via: access.BySocket}}
	var err error
	w.accounts, err = accounts.New(accounts.Options{Store: &storetest.Memory{}, Key: make([]byte, accounts.KeySize), Params: accounts.Params{Memory: 64, Time: 1, Threads: 1}})
	w.must(err)
	w.surface = &control.Surface{Operations: (&Desk{Accounts: w.accounts}).Operations(), Who: func(*http.Request) (access.Actor, error) { return w.who, nil },
		Audit: func(_ context.Context, e control.Entry) { w.audited = append(w.audited, e) }}
	w.must(w.surface.Validate())
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// ask asks, and reads the answer into out.
func (w *world) ask(method, path, body string, want int, out any) {
	w.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	rec := httptest.NewRecorder()
	w.surface.Handler("").ServeHTTP(rec, r)
	if rec.Code != want {
		w.Fatalf("%s %s %s: %d %s, want %d", method, path, body, rec.Code, rec.Body, want)
	}
	if out != nil {
		reflect.ValueOf(out).Elem().SetZero()
		w.must(json.Unmarshal(rec.Body.Bytes(), out))
	}
}

// add makes a user with a session, and returns who he is in it.
func (w *world) add(name, role string, domains ...string) access.Actor {
	w.Helper()
	body, err := json.Marshal(map[string]any{"name": name, "role": role, "domains": domains})
	w.must(err)
	var in api.Invited
	w.ask("POST", "/users", string(body), 200, &in)
	step, err := w.accounts.Redeem(w.Context(), in.Code, good, accounts.Client{Agent: "a browser"})
	w.must(err)
	who, _, err := w.accounts.FromSession(w.Context(), step.Token, netip.Addr{})
	w.must(err)
	return who
}

// TestUsers shows what an owner does with users, and what the audit log is told of it.
func TestUsers(t *testing.T) {
	w := newWorld(t)
	w.add("anna", "owner")
	w.add("bert", "help-desk", "b.example", "A.example")
	var u api.User
	w.ask("GET", "/users/bert", "", 200, &u)
	if u.Role != access.HelpDesk || !slices.Equal(u.Domains, []string{"a.example", "b.example"}) || !u.Password || u.TOTP || u.Login.IsZero() {
		t.Errorf("%+v", u)
	}
	old := u.Version
	w.ask("PUT", "/users/bert/role", `{"role":"auditor"}`, 200, &u)
	w.ask("PUT", "/users/bert/role", `{"role":"king"}`, 400, nil)
	w.ask("PUT", "/users/bert/domains", `{}`, 400, nil)
	w.ask("PUT", "/users/bert/domains", `{"domains":["x.example"],"all":true}`, 400, nil)
	w.ask("PUT", "/users/bert/domains", `{"domains":["no domain"]}`, 400, nil)
	w.ask("PUT", "/users/bert/domains", `{"all":true}`, 200, &u)
	if u.Role != access.Auditor || u.Domains != nil {
		t.Errorf("%+v", u)
	}
	r := httptest.NewRequest("PATCH", "/users/bert", strings.NewReader(`{"display":"Bert"}`))
	r.Header.Set("If-Match", `"`+old+`"`)
	rec := httptest.NewRecorder()
	if w.surface.Handler("").ServeHTTP(rec, r); rec.Code != http.StatusPreconditionFailed {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	var after api.User
	w.ask("PATCH", "/users/bert", `{"display":"Bert B.","mail":"bert@example.org"}`, 200, &after)
	w.ask("PATCH", "/users/bert", `{"display":""}`, 200, &after)
	if after.Mail != "bert@example.org" || after.Display != "" || after.Role != access.Auditor {
		t.Errorf("%+v", after)
	}
	w.ask("POST", "/users/bert/disable", "", 200, &u)
	if !u.Disabled {
		t.Error("he is not disabled")
	}
	w.ask("POST", "/users/bert/enable", "", 200, nil)
	var in api.Invited
	w.ask("POST", "/users/bert/reset", `{"second":true}`, 200, &in)
	if in.Code == "" || in.User.Password || time.Until(in.Until) > accounts.CodeTime {
		t.Errorf("%+v", in)
	}
	w.ask("DELETE", "/users/bert", "", 200, nil)
	w.ask("GET", "/users/bert", "", 404, nil)
	w.ask("DELETE", "/users/anna", "", 409, nil)
	w.ask("POST", "/setup-code", "", 409, nil)
	var told []string
	for _, e := range w.audited {
		told = append(told, e.Operation+" "+e.Change.Object+map[bool]string{true: " failed"}[e.Error != ""])
		if text, _ := json.Marshal(e); bytes.Contains(text, []byte(in.Code)) {
			t.Errorf("a code is in the audit log: %s", text)
		}
	}
	for _, want := range []string{"user add bert", "user role bert", "user role  failed", "user domains bert", "user edit bert", "user edit  failed", "user disable bert", "user enable bert", "user reset bert", "user remove bert", "user remove  failed"} {
		if !slices.Contains(told, want) {
			t.Errorf("the audit log does not tell %q of %q", want, told)
		}
	}
}

// TestPages shows that each user is on one page of a list, whatever goes meanwhile.
func TestPages(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"e", "a", "d", "c", "b"} {
		w.add(name, "owner")
	}
	var page api.Users
	var got []string
	for path := "/users?limit=2"; ; path = "/users?limit=2&cursor=" + page.Next {
		page = api.Users{}
		w.ask("GET", path, "", 200, &page)
		for _, u := range page.Users {
			got = append(got, u.Name)
		}
		if page.Next == "" {
			break
		}
		if page.Next == "b" {
			w.ask("DELETE", "/users/b", "", 200, nil)
		}
	}
	if !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
		t.Error(got)
	}
	var tokens api.Tokens
	for _, n := range []string{"1", "2", "3"} {
		w.ask("POST", "/tokens", `{"user":"a","name":"`+n+`","expires":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`, 200, nil)
	}
	names := map[string]bool{}
	for path := "/tokens?limit=1"; path != ""; {
		tokens = api.Tokens{}
		w.ask("GET", path, "", 200, &tokens)
		names[tokens.Tokens[0].Name] = true
		if path = ""; tokens.Next != "" {
			path = "/tokens?limit=1&cursor=" + tokens.Next
		}
	}
	if len(names) != 3 {
		t.Error(names)
	}
}

// TestOwn shows that everybody sees and ends what is his, and nothing of another without the right.
func TestOwn(t *testing.T) {
	w := newWorld(t)
	anna := w.add("anna", "owner")
	bert := w.add("bert", "help-desk", "a.example")
	carl := w.add("carl", "auditor")
	later := time.Now().Add(time.Hour).Format(time.RFC3339)
	w.who = bert
	var made api.NewToken
	w.ask("POST", "/tokens", `{"name":"x","rights":["log.read"],"expires":"`+later+`"}`, 200, &made)
	if made.Token.User != "bert" || !strings.HasPrefix(made.Secret, "gp_") {
		t.Errorf("%+v", made)
	}
	w.ask("POST", "/tokens", `{"name":"y","rights":["users.change"],"expires":"`+later+`"}`, 403, nil)
	w.ask("POST", "/tokens", `{"user":"anna","name":"y","expires":"`+later+`"}`, 403, nil)
	var tokens api.Tokens
	w.ask("GET", "/tokens", "", 200, &tokens)
	if len(tokens.Tokens) != 1 || tokens.Tokens[0].ID != made.Token.ID {
		t.Errorf("%+v", tokens)
	}
	for _, path := range []string{"/tokens?user=anna", "/tokens?all=true", "/sessions?user=anna", "/sessions?all=true", "/users", "/users/anna", "/users/bert"} {
		w.ask("GET", path, "", 403, nil)
	}
	w.ask("GET", "/tokens?all=true&user=bert", "", 400, nil)
	w.ask("POST", "/sessions/end", `{"user":"anna","id":"`+anna.Session+`"}`, 403, nil)
	w.ask("POST", "/sessions/end", `{"user":"anna","all":true}`, 403, nil)
	w.ask("POST", "/sessions/end", `{}`, 400, nil)
	var sessions api.Sessions
	w.ask("GET", "/sessions", "", 200, &sessions)
	if len(sessions.Sessions) != 1 || !sessions.Sessions[0].Mine || sessions.Sessions[0].Agent != "a browser" {
		t.Errorf("%+v", sessions)
	}
	w.who = carl
	w.ask("GET", "/sessions?all=true", "", 200, &sessions)
	if len(sessions.Sessions) != 3 {
		t.Errorf("%+v", sessions)
	}
	w.ask("POST", "/sessions/end", `{"user":"bert","all":true}`, 403, nil)
	w.ask("DELETE", "/tokens/"+made.Token.ID, "", 404, nil)
	w.who = anna
	w.ask("DELETE", "/tokens/"+made.Token.ID, "", 200, nil)
	w.ask("POST", "/sessions/end", `{"user":"bert","id":"`+bert.Session+`"}`, 200, nil)
	w.who = access.Actor{Name: "anna", Role: access.Owner, Rights: []access.Right{access.LogRead}, Via: access.ByToken}
	w.ask("GET", "/sessions", "", 403, nil)
	w.who = access.Actor{Name: "root (uid 0)", Role: access.Owner, Via: access.BySocket}
	w.ask("POST", "/tokens", `{"name":"y","expires":"`+later+`"}`, 400, nil)
	w.ask("GET", "/sessions", "", 200, &sessions)
	if len(sessions.Sessions) != 2 {
		t.Errorf("%+v", sessions)
	}
}

// TestSetup shows that the code for the first owner can be asked for while there is no user.
func TestSetup(t *testing.T) {
	w := newWorld(t)
	var code api.SetupCode
	w.ask("POST", "/setup-code", "", 200, &code)
	if _, err := w.accounts.FirstOwner(t.Context(), code.Code, accounts.Profile{Name: "anna"}, good, accounts.Client{}); err != nil {
		t.Error(err)
	}
}
