package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/accounts/storetest"
)

// dir is a directory of people with the password good, as Outside asks it.
type dir struct {
	people map[string]accounts.Person
	asked  []string
	away   error
}

func (d *dir) ask(_ context.Context, name, password string) (accounts.Person, error) {
	d.asked = append(d.asked, name+" "+password)
	p, there := d.people[name]
	switch {
	case d.away != nil:
		return accounts.Person{}, d.away
	case !there || password != good:
		return accounts.Person{}, fmt.Errorf("%w: no", accounts.ErrNone)
	}
	return p, nil
}

// outside is a world with a directory and an owner of our own.
func outside(t *testing.T) (world, *dir) {
	t.Helper()
	d := &dir{people: map[string]accounts.Person{
		"dora": {Subject: "d1", Name: "Dora", Display: "Dora D.", Mail: "dora@example.org", Groups: []string{"staff", "help-org"}},
		"emil": {Subject: "e1", Name: "emil", Groups: []string{"nothing"}},
	}}
	w := world{t: t, store: &storetest.Memory{}, events: &[]accounts.Event{}}
	var err error
	w.Accounts, err = accounts.New(accounts.Options{Store: w.store, Key: make([]byte, accounts.KeySize), Params: cheap, Site: site,
		Outside: accounts.Outside{Directory: d.ask, Session: 2 * time.Hour, Tokens: 24 * time.Hour, Grants: []accounts.Grant{
			{Group: "owners", Role: access.Owner}, {Group: "help-org", Role: access.HelpDesk, Domains: []string{"example.org"}}, {Group: "audit", Role: access.Auditor},
			{Group: "help-net", Role: access.HelpDesk, Domains: []string{"example.net", "example.org"}}, {Group: "help-all", Role: access.HelpDesk}}},
		Notice: func(_ context.Context, e accounts.Event) { *w.events = append(*w.events, e) }})
	w.ok(err)
	w.add("anna", access.Owner)
	return w, d
}

// heard reports whether an event was told of somebody.
func (w world) heard(what, user string) bool {
	return slices.ContainsFunc(*w.events, func(e accounts.Event) bool { return e.What == what && e.User == user })
}

// issued is a login by an issuer.
func (w world) issued(p accounts.Person) (accounts.Step, error) {
	return w.Issued(w.t.Context(), here, func(context.Context) (accounts.Person, error) { return p, nil })
}

// TestDirectory shows whom a directory lets in, as what, and that it is asked of nobody who has an account of ours.
func TestDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := outside(t)
		step, err := w.Begin(t.Context(), " DORA", good, here)
		w.ok(err)
		who := w.actor(step.Token)
		if who.Name != "dora" || who.Role != access.HelpDesk || !slices.Equal(who.Domains, []string{"example.org"}) {
			t.Errorf("%+v", who)
		}
		u, err := w.User(t.Context(), "dora")
		w.ok(err)
		if u.Source != accounts.FromDir || u.Subject != "d1" || u.Password || u.Display != "Dora D." || u.Mail != "dora@example.org" || !w.heard("account made by its groups", "dora") {
			t.Errorf("%+v", u)
		}
		all, err := w.Sessions(t.Context(), "dora")
		w.ok(err)
		if len(all) != 1 || all[0].Source != accounts.FromDir || all[0].How != "LDAP" {
			t.Errorf("%+v", all)
		}
		d.asked = nil
		for _, c := range [][2]string{{"anna", good}, {"anna", "wrong"}, {"", good}, {"two words", good}} {
			_, _ = w.Begin(t.Context(), c[0], c[1], there)
		}
		if len(d.asked) > 0 {
			t.Errorf("the directory heard %q", d.asked)
		}
	})
}

// TestDirectoryAnswers shows that wrong passwords, unknown names, people without a group, names of ours and a directory that is away
// get one answer, after the same time, and are slowed alike.
func TestDirectoryAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := outside(t)
		w.add("bert", access.Auditor)
		answers := map[string]bool{}
		try := func(name, password string) {
			t.Helper()
			began := time.Now()
			_, err := w.Begin(t.Context(), name, password, there)
			w.refused(err, accounts.Wrong)
			r, _ := errors.AsType[*accounts.Refusal](err)
			answers[fmt.Sprint(r.Message, r.Hint, r.Field, r.Wait, time.Since(began))] = true
			time.Sleep(time.Hour)
		}
		try("bert", "wrong")
		try("dora", "wrong")
		try("emil", good)
		try("nobody", good)
		d.away = errors.New("it is away")
		try("dora", good)
		try("anna", "wrong")
		if len(answers) != 1 {
			t.Errorf("%d answers: %v", len(answers), answers)
		}
		if _, err := w.Begin(t.Context(), "anna", good, here); err != nil {
			t.Errorf("an account of ours, while the directory is away: %v", err)
		}
		d.away = nil
		time.Sleep(25 * time.Hour)
		for range 4 {
			_, err := w.Begin(t.Context(), "dora", "wrong", there)
			w.refused(err, accounts.Wrong)
		}
		_, err := w.Begin(t.Context(), "dora", good, there)
		w.refused(err, accounts.Wait)
	})
}

// TestGroupsChange shows that what a group gives follows it at the next login, that sessions and tokens of before end with it, and that
// they come back with the group.
func TestGroupsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := outside(t)
		dora := d.people["dora"]
		step, err := w.Begin(t.Context(), "dora", good, here)
		w.ok(err)
		who := w.actor(step.Token)
		secret, _, err := w.AddToken(t.Context(), who, "dora", accounts.NewToken{Name: "t", Expires: time.Now().Add(30 * 24 * time.Hour)})
		w.ok(err)
		token := func(k bool) {
			t.Helper()
			if _, err := w.FromToken(t.Context(), "Bearer "+secret, here.Address); (err == nil) != k {
				t.Errorf("token: %v", err)
			}
		}
		token(true)
		dora.Groups = []string{"help-org", "audit", "help-net"} // the first that matches gives the role, others of it more domains
		d.people["dora"] = dora
		again, err := w.Begin(t.Context(), "dora", good, here)
		w.ok(err)
		if _, _, err := w.FromSession(t.Context(), step.Token, here.Address); err == nil {
			t.Error("the session of before goes on")
		}
		if who := w.actor(again.Token); who.Role != access.HelpDesk || !slices.Equal(who.Domains, []string{"example.net", "example.org"}) {
			t.Errorf("%+v", who)
		}
		same, err := w.Begin(t.Context(), "dora", good, here) // nothing changed: the session goes on
		w.ok(err)
		w.actor(again.Token)
		dora.Groups = nil
		d.people["dora"] = dora
		_, err = w.Begin(t.Context(), "dora", good, here)
		w.refused(err, accounts.Wrong)
		if _, _, err := w.FromSession(t.Context(), same.Token, here.Address); err == nil || !w.heard("account without a group", "dora") {
			t.Error("without a group the session goes on")
		}
		token(false)
		dora.Groups = []string{"help-all", "help-net"}
		d.people["dora"] = dora
		back, err := w.Begin(t.Context(), "dora", good, here)
		w.ok(err)
		if who := w.actor(back.Token); len(who.Domains) != 0 {
			t.Errorf("%+v", who)
		}
		token(true)
		_, _, err = w.Disable(t.Context(), root, "dora", true)
		w.ok(err)
		_, err = w.Begin(t.Context(), "dora", good, here)
		w.refused(err, accounts.Wrong)
		_, _, err = w.Disable(t.Context(), root, "dora", false)
		w.ok(err)
		time.Sleep(24 * time.Hour)
		token(false) // she was not there for so long
	})
}

// TestOutsideAge shows that a session of a directory ends by its own bound, however busy.
func TestOutsideAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := outside(t)
		step, err := w.Begin(t.Context(), "dora", good, here)
		w.ok(err)
		_, ours := w.login("anna")
		for range 11 {
			time.Sleep(10 * time.Minute)
			w.actor(step.Token)
			w.actor(ours)
		}
		time.Sleep(10 * time.Minute)
		w.actor(ours)
		_, _, err = w.FromSession(t.Context(), step.Token, here.Address)
		w.refused(err, accounts.Wrong)
	})
}

// TestNames shows that nobody gets the account of another by a name: not of ours, not of another source, not of one who had it there.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := outside(t)
		d.people["other"] = accounts.Person{Subject: "o1", Name: "anna", Groups: []string{"owners"}}
		_, err := w.Begin(t.Context(), "other", good, here)
		w.refused(err, accounts.Wrong)
		_, err = w.issued(accounts.Person{Subject: "s1", Name: "ANNA", Groups: []string{"owners"}})
		w.refused(err, accounts.Conflict)
		_, err = w.Begin(t.Context(), "dora", good, here)
		w.ok(err)
		_, err = w.issued(accounts.Person{Subject: "d1", Name: "dora", Groups: []string{"owners"}})
		w.refused(err, accounts.Conflict)
		d.people["dora"] = accounts.Person{Subject: "d2", Name: "dora", Groups: []string{"owners"}}
		_, err = w.Begin(t.Context(), "dora", good, here)
		w.refused(err, accounts.Wrong)
		_, _, err = w.Add(t.Context(), root, accounts.Profile{Name: "dora", Role: access.Auditor})
		w.refused(err, accounts.Conflict)
		step, err := w.issued(accounts.Person{Subject: "s2", Name: "frida", Groups: []string{"audit"}})
		w.ok(err)
		moved, err := w.issued(accounts.Person{Subject: "s2", Name: "frida.new", Groups: []string{"audit"}})
		w.ok(err)
		if w.actor(step.Token).Name != "frida.new" || moved.User.ID != step.User.ID {
			t.Error("who has another name at the issuer is another here")
		}
		_, err = w.Begin(t.Context(), "frida.new", good, here) // whom the directory does not know
		w.refused(err, accounts.Wrong)
		for _, p := range []accounts.Person{{Subject: "s3", Name: "Two Words", Groups: []string{"audit"}}, {Subject: "", Name: "gert", Groups: []string{"audit"}}, {Subject: "a\x00b", Name: "gert", Groups: []string{"audit"}}, {Subject: "s3", Name: strings.Repeat("x", 300), Groups: []string{"audit"}}} {
			_, err = w.issued(p)
			w.refused(err, accounts.Conflict)
		}
		_, err = w.issued(accounts.Person{Subject: "s4", Name: "gert", Groups: []string{"nothing"}})
		w.refused(err, accounts.Forbidden)
		if _, err := w.User(t.Context(), "gert"); !accounts.Is(err, accounts.Missing) {
			t.Errorf("who may nothing has an account: %v", err)
		}
	})
}

// TestIssued shows how a login by an issuer is slowed, what counts as a proof, and when a second factor is asked.
func TestIssued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := outside(t)
		frida := accounts.Person{Subject: "s1", Name: "frida", Groups: []string{"owners"}, Proved: time.Now().Add(-time.Hour)}
		step, err := w.issued(frida)
		w.ok(err)
		who := w.actor(step.Token)
		w.refused(w.Fresh(t.Context(), who), accounts.Prove) // she proved herself an hour ago
		_, err = w.Prove(t.Context(), who, good)
		w.refused(err, accounts.Wrong)
		_, err = w.SetPassword(t.Context(), who, good, other)
		w.refused(err, accounts.Conflict)
		frida.Proved = time.Now()
		step, err = w.issued(frida)
		w.ok(err)
		who = w.actor(step.Token)
		w.ok(w.Fresh(t.Context(), who))
		secret, _, _ := w.enrol(who)
		step, err = w.issued(frida)
		w.ok(err)
		if step.Token != "" || !slices.Contains(step.Methods, "code") {
			t.Errorf("the second factor is not asked: %+v", step)
		}
		time.Sleep(time.Minute)
		step, err = w.Second(t.Context(), step.Pending, now(secret), here)
		w.ok(err)
		all, err := w.Sessions(t.Context(), "frida")
		w.ok(err)
		if all[0].How != "OpenID Connect and code" || all[0].Source != accounts.FromIss {
			t.Errorf("%+v", all[0])
		}
		w.ok(w.Fresh(t.Context(), w.actor(step.Token)))
		frida.Second = true
		if step, err = w.issued(frida); err != nil || step.Token == "" {
			t.Errorf("the issuer asked for one: %+v, %v", step, err)
		}
		for range 10 {
			_, err = w.Issued(t.Context(), there, func(context.Context) (accounts.Person, error) { return accounts.Person{}, accounts.ErrNone })
			if !accounts.Is(err, accounts.Wrong) && !accounts.Is(err, accounts.Wait) {
				t.Fatal(err)
			}
		}
		_, err = w.Issued(t.Context(), there, func(context.Context) (accounts.Person, error) { t.Error("it is looked at"); return frida, nil })
		w.refused(err, accounts.Wait)
		for range 20 {
			_, err = w.Issued(t.Context(), here, func(context.Context) (accounts.Person, error) { return accounts.Person{}, errors.New("away") })
			w.refused(err, accounts.Busy)
		}
	})
}

// TestOutsideUser shows what cannot be changed here of an account that comes from outside, and that it is no last owner.
func TestOutsideUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := outside(t)
		d.people["dora"] = accounts.Person{Subject: "d1", Name: "dora", Groups: []string{"owners"}}
		step, err := w.Begin(t.Context(), "dora", good, here)
		w.ok(err)
		who := w.actor(step.Token)
		_, _, err = w.changeTo(root, accounts.Profile{Name: "dora", Role: access.Auditor})
		w.refused(err, accounts.Conflict)
		_, _, err = w.Reset(t.Context(), root, "dora", false)
		w.refused(err, accounts.Conflict)
		_, _, err = w.Disable(t.Context(), who, "anna", true) // the last of our own
		w.refused(err, accounts.Conflict)
		_, err = w.Remove(t.Context(), who, "anna")
		w.refused(err, accounts.Conflict)
		time.Sleep(11 * time.Minute)
		w.refused(w.Fresh(t.Context(), who), accounts.Prove)
		_, err = w.Prove(t.Context(), who, "wrong")
		w.refused(err, accounts.Wrong)
		d.away = errors.New("away")
		_, err = w.Prove(t.Context(), who, good)
		w.refused(err, accounts.Busy)
		d.away = nil
		token, err := w.Prove(t.Context(), who, good)
		w.ok(err)
		who = w.actor(token)
		w.ok(w.Fresh(t.Context(), who))
		w.enrol(who)
		_, code, err := w.Reset(t.Context(), root, "dora", true)
		w.ok(err)
		u, err := w.User(t.Context(), "dora")
		w.ok(err)
		if code != "" || u.TOTP {
			t.Errorf("%q, %+v", code, u)
		}
		_, err = w.Remove(t.Context(), root, "dora")
		w.ok(err)
	})
}

// TestNoOwnerYet shows that nobody comes in by a directory before the first owner.
func TestNoOwnerYet(t *testing.T) {
	w, d := outside(t)
	fresh, err := accounts.New(accounts.Options{Store: &storetest.Memory{}, Key: make([]byte, accounts.KeySize), Params: cheap,
		Outside: accounts.Outside{Grants: []accounts.Grant{{Group: "staff", Role: access.Auditor}}}})
	w.ok(err)
	w.Accounts = fresh
	_, err = w.issued(d.people["dora"])
	w.refused(err, accounts.Conflict)
	if needed, err := w.NeedsSetup(t.Context()); err != nil || !needed {
		t.Errorf("%v, %v", needed, err)
	}
}
