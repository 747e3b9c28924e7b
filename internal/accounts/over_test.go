package accounts_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

// TestOver shows, for each role, with and without bounds, in a session and by a token with few rights or all, that whoever acts
// upon another user may change users and has all that the other has, and that everybody else gets nothing: no token in another's
// name, no code, no end of his sessions.
func TestOver(t *testing.T) {
	w := newWorld(t)
	w.add("other", access.Owner) // so that no refusal is for the last owner
	n := 0
	var whos []access.Actor
	for _, role := range access.Roles() {
		for _, domains := range [][]string{nil, {"a.example"}} {
			for _, rights := range [][]access.Right{nil, {access.UsersChange, access.UsersRead, access.Own}, {access.LogRead}} {
				n++
				who := access.Actor{Name: fmt.Sprint("who", n), Role: role, Domains: domains, Rights: rights, Via: access.ByToken}
				w.add(who.Name, role, domains...)
				whos = append(whos, who)
				who.Via = access.BySocket // of an account of the system that has the name of a user
				who.Name = "anna"
				whos = append(whos, who)
			}
		}
	}
	for _, who := range whos {
		for _, role := range access.Roles() {
			for _, domains := range [][]string{nil, {"a.example"}} {
				n++
				name := fmt.Sprint("u", n)
				w.add(name, role, domains...)
				_, token := w.login(name)
				u := mustUser(w, name)
				want := who.May(access.UsersChange) && accounts.Covers(who, u) == nil
				for what, do := range acts(w, who, u) {
					if err := do(); (err == nil) != want || err != nil && !accounts.Is(err, accounts.Forbidden) {
						t.Errorf("%+v: %s upon %s of %v: %v", who, what, role, domains, err)
					}
				}
				if _, _, err := w.FromSession(t.Context(), token, netip.Addr{}); (err == nil) == want {
					t.Errorf("%+v: the session of %s: %v", who, role, err)
				}
				w.ok(w.store.ChangeUsers(t.Context(), func([]accounts.User) ([]accounts.User, []string, error) { return nil, []string{u.ID}, nil }))
			}
		}
	}
}

// acts are what is done to a user, so that it can be done again.
func acts(w world, who access.Actor, u accounts.User) map[string]func() error {
	ctx := w.t.Context()
	p := accounts.Profile{Name: u.Name, Role: u.Role, Domains: u.Domains}
	all := map[string]func() error{
		"change":  func() error { _, _, err := w.changeTo(who, p); return err },
		"disable": func() error { _, _, err := w.Disable(ctx, who, u.Name, false); return err },
		"reset":   func() error { _, _, err := w.Reset(ctx, who, u.Name, true); return err },
		"end":     func() error { _, err := w.EndSession(ctx, who, u.Name, ""); return err },
		"add": func() error {
			p := p
			p.Name += "-more"
			_, _, err := w.Add(ctx, who, p)
			return err
		},
	}
	if who.Via != access.ByToken { // which makes none
		all["token"] = func() error {
			_, _, err := w.AddToken(ctx, who, u.Name, accounts.NewToken{Name: "x", Expires: time.Now().Add(time.Hour)})
			return err
		}
	}
	return all
}

// TestOfAnother shows that a user with the same role makes no token in another's name and ends no session of his, and that a
// token that was not given what is of its user's own ends none of them.
func TestOfAnother(t *testing.T) {
	w := newWorld(t)
	w.add("bert", access.Operator)
	w.add("carl", access.Operator)
	bert, _ := w.login("bert")
	carl, _ := w.login("carl")
	_, _, err := w.AddToken(t.Context(), bert, "carl", accounts.NewToken{Name: "x", Expires: time.Now().Add(time.Hour)})
	w.refused(err, accounts.Forbidden)
	for _, id := range []string{"", carl.Session} {
		_, err = w.EndSession(t.Context(), bert, "carl", id)
		w.refused(err, accounts.Forbidden)
	}
	few := access.Actor{Name: "bert", Role: access.Operator, Rights: []access.Right{access.LogRead}, Via: access.ByToken}
	_, err = w.EndSession(t.Context(), few, "bert", bert.Session)
	w.refused(err, accounts.Forbidden)
	_, token, err := w.AddToken(t.Context(), bert, "bert", accounts.NewToken{Name: "x", Expires: time.Now().Add(time.Hour)})
	w.ok(err)
	_, err = w.RevokeToken(t.Context(), few, token.ID)
	w.refused(err, accounts.Forbidden)
}
