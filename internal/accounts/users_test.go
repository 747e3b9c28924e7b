package accounts_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

// TestCovers holds the rule against its words, for each pair of roles: nobody gives a right or a domain that he does not have.
func TestCovers(t *testing.T) {
	bounds := [][]string{nil, {"a.example"}, {"b.example"}, {"a.example", "b.example"}}
	for _, mine := range access.Roles() {
		for _, my := range bounds {
			for _, his := range access.Roles() {
				for _, of := range bounds {
					for _, rights := range [][]access.Right{nil, {access.UsersChange}, {access.LogRead}} {
						who, u := access.Actor{Role: mine, Domains: my, Rights: rights}, accounts.User{Role: his, Domains: of}
						more := false
						for _, r := range access.Rights() {
							for _, d := range []string{"a.example", "b.example", "c.example"} {
								other := access.Actor{Role: his, Domains: of}
								more = more || other.May(r) && other.Sees(d) && !(who.May(r) && who.Sees(d))
							}
						}
						if err := accounts.Covers(who, u); (err != nil) != more {
							t.Errorf("%s of %v (%v) over %s of %v: %v", mine, my, rights, his, of, err)
						}
					}
				}
			}
		}
	}
}

// TestLastOwner shows that there is always somebody who may make users, whatever is done to owners and by whom.
func TestLastOwner(t *testing.T) {
	w := newWorld(t)
	w.add("bert", access.Operator)
	anna, _ := w.login("anna")
	_, err := w.Remove(t.Context(), root, "anna")
	w.refused(err, accounts.Conflict)
	_, _, err = w.Disable(t.Context(), root, "anna", true)
	w.refused(err, accounts.Conflict)
	_, _, err = w.changeTo(anna, accounts.Profile{Name: "anna", Role: access.Operator})
	w.refused(err, accounts.Conflict)
	_, _, err = w.changeTo(root, accounts.Profile{Name: "anna", Role: access.Owner, Domains: []string{"example.org"}})
	w.refused(err, accounts.Conflict)
	w.add("carl", access.Owner, "example.org")
	_, err = w.Remove(t.Context(), root, "anna")
	w.refused(err, accounts.Conflict)
	w.add("dora", access.Owner)
	_, err = w.Remove(t.Context(), anna, "anna")
	w.refused(err, accounts.Conflict) // nobody removes himself
	_, _, err = w.Disable(t.Context(), anna, "anna", true)
	w.refused(err, accounts.Conflict)
	_, err = w.Remove(t.Context(), root, "anna")
	w.ok(err)
	_, _, err = w.Disable(t.Context(), root, "dora", true)
	w.refused(err, accounts.Conflict)
	if _, err := w.User(t.Context(), "anna"); !accounts.Is(err, accounts.Missing) {
		t.Error(err)
	}
}

// TestProfiles shows what a user may be called.
func TestProfiles(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		p     accounts.Profile
		field string
	}{
		{accounts.Profile{Name: "", Role: access.Auditor}, "name"},
		{accounts.Profile{Name: "-x", Role: access.Auditor}, "name"},
		{accounts.Profile{Name: "b b", Role: access.Auditor}, "name"},
		{accounts.Profile{Name: "b\x00", Role: access.Auditor}, "name"},
		{accounts.Profile{Name: "änna", Role: access.Auditor}, "name"},
		{accounts.Profile{Name: strings.Repeat("a", 65), Role: access.Auditor}, "name"},
		{accounts.Profile{Name: "b", Role: "root"}, "role"},
		{accounts.Profile{Name: "b"}, "role"},
		{accounts.Profile{Name: "b", Role: access.Auditor, Display: "a\nb"}, "display"},
		{accounts.Profile{Name: "b", Role: access.Auditor, Display: "a\u202eb"}, "display"},
		{accounts.Profile{Name: "b", Role: access.Auditor, Display: "\xff"}, "display"},
		{accounts.Profile{Name: "b", Role: access.Auditor, Mail: "b"}, "mail"},
		{accounts.Profile{Name: "b", Role: access.Auditor, Mail: "B <b@example.org>"}, "mail"},
		{accounts.Profile{Name: "b", Role: access.Auditor, Domains: []string{""}}, "domains"},
		{accounts.Profile{Name: "b", Role: access.Auditor, Domains: []string{"a b.example"}}, "domains"},
	} {
		_, _, err := w.Add(t.Context(), root, c.p)
		r, ok := err.(*accounts.Refusal)
		if !ok || r.Kind != accounts.Bad || r.Field != c.field {
			t.Errorf("%+v: %v", c.p, err)
		}
	}
	u, _, err := w.Add(t.Context(), root, accounts.Profile{Name: " Bert@Example.org ", Role: access.HelpDesk, Domains: []string{"Example.ORG.", "bücher.example", "example.org"}})
	w.ok(err)
	if u.Name != "bert@example.org" || !slices.Equal(u.Domains, []string{"example.org", "xn--bcher-kva.example"}) {
		t.Errorf("%+v", u)
	}
	_, _, err = w.Add(t.Context(), root, accounts.Profile{Name: "BERT@example.org", Role: access.HelpDesk})
	w.refused(err, accounts.Conflict)
}

// TestTokens shows that a token has what it was given and its user still has, for as long as it was to live.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("bert", access.HelpDesk, "a.example", "b.example")
		bert, _ := w.login("bert")
		add := func(n accounts.NewToken) (string, error) {
			if n.Name == "" {
				n.Name = "export " + strings.Repeat("i", len(n.Rights)+len(n.Domains))
			}
			text, _, err := w.AddToken(t.Context(), bert, "bert", n)
			return text, err
		}
		soon := time.Now().Add(24 * time.Hour)
		for _, c := range []struct {
			n    accounts.NewToken
			kind accounts.Kind
		}{
			{accounts.NewToken{}, accounts.Bad},
			{accounts.NewToken{Expires: time.Now()}, accounts.Bad},
			{accounts.NewToken{Expires: time.Now().Add(367 * 24 * time.Hour)}, accounts.Bad},
			{accounts.NewToken{Name: "a\nb", Expires: soon}, accounts.Bad},
			{accounts.NewToken{Rights: []access.Right{"log.*"}, Expires: soon}, accounts.Bad},
			{accounts.NewToken{Rights: []access.Right{access.UsersChange}, Expires: soon}, accounts.Forbidden},
			{accounts.NewToken{Rights: []access.Right{access.QuarantineView}, Expires: soon}, accounts.Forbidden},
			{accounts.NewToken{Domains: []string{"c.example"}, Expires: soon}, accounts.Forbidden},
		} {
			_, err := add(c.n)
			w.refused(err, c.kind)
		}
		text, err := add(accounts.NewToken{Name: "narrow", Rights: []access.Right{access.LogRead}, Domains: []string{"A.example"}, Expires: soon})
		w.ok(err)
		_, err = add(accounts.NewToken{Name: "narrow", Expires: soon})
		w.refused(err, accounts.Conflict)
		from := func(text string) (access.Actor, error) {
			return w.FromToken(t.Context(), "Bearer "+text, netip.MustParseAddr("203.0.113.5"))
		}
		who, err := from(text)
		w.ok(err)
		if !who.May(access.LogRead) || who.May(access.QuarantineRead) || !who.Sees("a.example") || who.Sees("b.example") || who.Via != access.ByToken || who.Name != "bert" {
			t.Errorf("%+v", who)
		}
		for _, header := range []string{"", text, "Basic " + text, "Bearer", "Bearer " + text + "x", "Bearer " + strings.ToUpper(text), "Bearer gp_" + strings.Repeat("a", 52)} {
			_, err := w.FromToken(t.Context(), header, netip.Addr{})
			w.refused(err, accounts.Wrong)
		}
		all, err := w.Tokens(t.Context(), "bert")
		w.ok(err)
		if len(all) != 1 || all[0].UsedFrom != "203.0.113.5" || all[0].Used.IsZero() {
			t.Errorf("%+v", all)
		}
		if strings.Contains(text, all[0].ID) {
			t.Error("the name of a token tells of it")
		}
		_, _, err = w.Disable(t.Context(), root, "bert", true)
		w.ok(err)
		_, err = from(text)
		w.refused(err, accounts.Wrong)
		_, _, err = w.Disable(t.Context(), root, "bert", false)
		w.ok(err)
		_, _, err = w.changeTo(root, accounts.Profile{Name: "bert", Role: access.HelpDesk, Domains: []string{"b.example"}})
		w.ok(err)
		_, err = from(text) // a domain that both have is left no more, and none must not mean all
		w.refused(err, accounts.Wrong)
		_, _, err = w.changeTo(root, accounts.Profile{Name: "bert", Role: access.Auditor})
		w.ok(err)
		who, err = from(text)
		w.ok(err)
		if who.Role != access.Auditor || who.Sees("b.example") || who.May(access.UsersRead) {
			t.Errorf("%+v", who)
		}
		time.Sleep(24 * time.Hour)
		_, err = from(text)
		w.refused(err, accounts.Wrong)
	})
}

// TestRevoke shows who ends a token.
func TestRevoke(t *testing.T) {
	w := newWorld(t)
	w.add("bert", access.Operator)
	w.add("carl", access.Operator)
	anna, _ := w.login("anna")
	bert, _ := w.login("bert")
	carl, _ := w.login("carl")
	make := func(who access.Actor, name string) accounts.Token {
		t.Helper()
		_, tok, err := w.AddToken(t.Context(), who, who.Name, accounts.NewToken{Name: name, Expires: time.Now().Add(time.Hour)})
		w.ok(err)
		return tok
	}
	one, two, three := make(bert, "one"), make(bert, "two"), make(anna, "three")
	_, err := w.RevokeToken(t.Context(), carl, one.ID)
	w.refused(err, accounts.Missing)
	_, err = w.RevokeToken(t.Context(), bert, three.ID)
	w.refused(err, accounts.Missing)
	_, err = w.RevokeToken(t.Context(), bert, one.ID)
	w.ok(err)
	_, err = w.RevokeToken(t.Context(), anna, two.ID)
	w.ok(err)
	few := anna
	few.Rights = []access.Right{access.UsersChange}
	few.Via = access.ByToken
	w.add("dora", access.Owner)
	dora, _ := w.login("dora")
	four := make(dora, "four")
	_, err = w.RevokeToken(t.Context(), few, four.ID)
	w.refused(err, accounts.Forbidden)
	_, _, err = w.Add(t.Context(), few, accounts.Profile{Name: "x", Role: access.HelpDesk})
	w.refused(err, accounts.Forbidden) // a token to change users gives no right that it has not
	_, _, err = w.Reset(t.Context(), few, "bert", false)
	w.refused(err, accounts.Forbidden)
	for i := range 50 {
		make(carl, strings.Repeat("i", i+1))
	}
	_, _, err = w.AddToken(t.Context(), carl, "carl", accounts.NewToken{Name: "x", Expires: time.Now().Add(time.Hour)})
	w.refused(err, accounts.Conflict)
}

// TestPasswords shows which passwords are taken.
func TestPasswords(t *testing.T) {
	own := []string{"bert", "Bert Example", "bert.example@example.org"}
	for _, p := range []string{"", "short", "elevenchars", "password1234", "Passw0rd2026!", "aaaaaaaaaaaa", "abcabcabcabcabc", "123456789012", "0987654321098", "qwertyuiopas",
		"abcdefghijklmn", "passwordpassword", "letmeinletmein", "administrator", "Administrator1", "!!Sommer2026!!", "bertbertbert", "bert.example@example.org", "Bert Example 1234",
		"correcthorsebatterystaple", "iloveyou1234", strings.Repeat("ab1 x", 300), "\xff\xfe aaaa bbbb cccc", "changeme-2026", "000111222333x7", "ééé"} {
		if err := accounts.CheckPassword(p, own...); !accounts.Is(err, accounts.Bad) {
			t.Errorf("%.40q: %v", p, err)
		}
	}
	for _, p := range []string{good, other, "twelve chars", "пароль который длинный", "rZ9:kk2-!qPw", "bert likes herons", "mein sommer am see", "😀🎈🍕🚲🌂📎🔔🧵🪁🛶🥁🧊"} {
		if err := accounts.CheckPassword(p, own...); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// TestAccents shows that a password is the same however a keyboard writes its accents.
func TestAccents(t *testing.T) {
	w := newWorld(t)
	_, code, err := w.Reset(t.Context(), root, "anna", false)
	w.ok(err)
	_, err = w.Redeem(t.Context(), code, "drei grüne Kessel", here)
	w.ok(err)
	_, err = w.Begin(t.Context(), "anna", "drei gru\u0308ne Kessel", here)
	w.ok(err)
}

// TestRehash shows that a password of other parameters is hashed anew at login, and that one that is no PHC string lets nobody in.
func TestRehash(t *testing.T) {
	w := newWorld(t)
	u := mustUser(w, "anna")
	_, err := w.store.SetPassword(t.Context(), u.ID, "$argon2id$v=19$m=32,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	w.ok(err)
	_, err = w.Begin(t.Context(), "anna", good, here)
	w.refused(err, accounts.Wrong)
	strong, err := accounts.New(accounts.Options{Store: w.store, Key: make([]byte, accounts.KeySize), Params: accounts.Params{Memory: 128, Time: 2, Threads: 1}})
	w.ok(err)
	_, code, err := strong.Reset(t.Context(), root, "anna", false)
	w.ok(err)
	_, err = strong.Redeem(t.Context(), code, good, here)
	w.ok(err)
	before, err := w.store.Secrets(t.Context(), u.ID)
	w.ok(err)
	step, err := w.Begin(t.Context(), "anna", good, here)
	w.ok(err)
	after, err := w.store.Secrets(t.Context(), u.ID)
	w.ok(err)
	if !strings.Contains(before.Password, "m=128,t=2") || !strings.Contains(after.Password, "m=64,t=1") {
		t.Errorf("%s, %s", before.Password, after.Password)
	}
	w.actor(step.Token) // hashing anew ends no session
	for _, broken := range []string{"x", "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"} {
		_, err = w.store.SetPassword(t.Context(), u.ID, broken)
		w.ok(err)
		_, err = w.Begin(t.Context(), "anna", good, there)
		w.refused(err, accounts.Wrong)
	}
}

// TestKey shows that a secret sealed with another key is an error that says so, and no wrong code.
func TestKey(t *testing.T) {
	w := newWorld(t)
	who, _ := w.login("anna")
	secret, _, _ := w.enrol(who)
	key := make([]byte, accounts.KeySize)
	key[0] = 1
	another, err := accounts.New(accounts.Options{Store: w.store, Key: key, Params: cheap})
	w.ok(err)
	step, err := another.Begin(t.Context(), "anna", good, here)
	w.ok(err)
	_, err = another.Second(t.Context(), step.Pending, now(secret), here)
	if err == nil || accounts.Is(err, accounts.Wrong) || !strings.Contains(err.Error(), "another key") {
		t.Error(err)
	}
	if _, err := accounts.New(accounts.Options{Store: w.store}); err == nil {
		t.Error("no key was taken for one")
	}
}

// TestStale shows that a change of what somebody else changed meanwhile is refused, and that a version tells of each thing.
func TestStale(t *testing.T) {
	w := newWorld(t)
	w.add("bert", access.HelpDesk)
	seen := map[string]bool{}
	for _, p := range []accounts.Profile{
		{Role: access.HelpDesk}, {Role: access.Auditor}, {Role: access.Auditor, Display: "x"}, {Role: access.Auditor, Mail: "x@example.org"},
		{Role: access.Auditor, Domains: []string{"x.example"}}, {Role: access.Auditor, Domains: []string{"x.example", "y.example"}},
	} {
		p.Name = "bert"
		_, u, err := w.changeTo(root, p)
		w.ok(err)
		if seen[u.Version()] {
			t.Errorf("%+v has the version of another", p)
		}
		seen[u.Version()] = true
	}
	same := func(p accounts.Profile) (accounts.Profile, error) { return p, nil }
	u := mustUser(w, "bert")
	_, _, err := w.Change(t.Context(), root, "bert", u.Version(), same)
	w.ok(err)
	_, _, err = w.Disable(t.Context(), root, "bert", true)
	w.ok(err)
	_, _, err = w.Change(t.Context(), root, "bert", u.Version(), same)
	w.refused(err, accounts.Stale)
	_, _, err = w.Change(t.Context(), root, "nobody", "", same)
	w.refused(err, accounts.Missing)
}
