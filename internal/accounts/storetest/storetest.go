// Package storetest holds what every accounts.Store must do, as cases that any of them runs, and one in memory.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

// Run runs all cases, each on a store that is empty.
func Run(t *testing.T, open func(t *testing.T) accounts.Store) {
	for name, test := range map[string]func(*testing.T, accounts.Store){
		"users": users, "from outside": outside, "first": first, "secrets": secrets, "sessions": sessions, "tokens": tokens, "codes": codes, "passkeys": passkeys, "ssh keys": sshKeys,
		"removal": removal, "nobody": nobody, "sweep": sweep, "at once": atOnce, "hostile text": hostile,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func at(minute int) time.Time {
	return time.Date(2026, 11, 27, 5, minute, 0, 123e6, time.UTC)
}

func digest(n int) (d accounts.Digest) {
	copy(d[:], fmt.Sprintf("%032d", n))
	return d
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("\n got %+v\nwant %+v", got, want)
	}
}

func none(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, accounts.ErrNone) {
		t.Fatalf("%v, not ErrNone", err)
	}
}

func put(t *testing.T, s accounts.Store, put ...accounts.User) {
	t.Helper()
	ok(t, s.ChangeUsers(context.Background(), func([]accounts.User) ([]accounts.User, []string, error) { return put, nil, nil }))
}

func anna() accounts.User {
	return accounts.User{ID: "a1", Name: "anna", Display: "Änna \"A\" O'Neil", Mail: "anna@example.org", Role: access.Owner, Created: at(0)}
}

func bert() accounts.User {
	return accounts.User{ID: "b1", Name: "bert", Role: access.HelpDesk, Domains: []string{"example.org", "xn--bcher-kva.example"}, Disabled: true, Epoch: 7, Created: at(1)}
}

func users(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	all, err := s.Users(ctx)
	ok(t, err)
	equal(t, len(all), 0)
	put(t, s, bert())
	put(t, s, anna())
	all, err = s.Users(ctx)
	ok(t, err)
	equal(t, all, []accounts.User{anna(), bert()})
	ok(t, s.LoggedIn(ctx, "a1", at(5), "192.0.2.1"))
	changed := anna()
	changed.Display, changed.Domains, changed.Epoch, changed.Role = "", []string{"example.net"}, 3, access.Auditor
	put(t, s, changed)
	changed.Login, changed.LoginFrom = at(5), "192.0.2.1" // which ChangeUsers leaves alone
	u, err := s.User(ctx, "anna")
	ok(t, err)
	equal(t, u, changed)
	u, err = s.UserByID(ctx, "a1")
	ok(t, err)
	equal(t, u, changed)
	refused := errors.New("no")
	err = s.ChangeUsers(ctx, func(all []accounts.User) ([]accounts.User, []string, error) {
		equal(t, all, []accounts.User{changed, bert()})
		return []accounts.User{{ID: "c1", Name: "carl", Role: access.Owner}}, []string{"a1"}, refused
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	all, err = s.Users(ctx)
	ok(t, err)
	equal(t, len(all), 2)
	err = s.ChangeUsers(ctx, func([]accounts.User) ([]accounts.User, []string, error) {
		return []accounts.User{{ID: "x1", Name: "anna", Role: access.Owner, Created: at(0)}}, nil, nil
	})
	if err == nil {
		t.Fatal("two users of one name")
	}
}

// first shows that one user is the first, with his password, of however many try at once.
func first(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			u := anna()
			u.ID, u.Name = fmt.Sprint("f", i), fmt.Sprint("first", i)
			did, err := s.PutFirst(ctx, u, "$argon2id$1")
			if err != nil {
				t.Error(err)
			}
			if did {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	all, err := s.Users(ctx)
	ok(t, err)
	equal(t, []any{won.Load(), len(all), all[0].Password, all[0].Role}, []any{int32(1), 1, true, access.Owner})
	got, err := s.Secrets(ctx, all[0].ID)
	ok(t, err)
	equal(t, got, accounts.Secrets{Password: "$argon2id$1"})
}

func secrets(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna(), bert())
	got, err := s.Secrets(ctx, "a1")
	ok(t, err)
	equal(t, got, accounts.Secrets{})
	epoch, err := s.SetPassword(ctx, "a1", "$argon2id$1")
	ok(t, err)
	equal(t, epoch, int64(1))
	ok(t, s.Rehash(ctx, "a1", "$other", "$argon2id$3"))
	ok(t, s.Rehash(ctx, "a1", "$argon2id$1", "$argon2id$2"))
	epoch, err = s.SetTOTP(ctx, "a1", []byte{0, 1, 255}, 100, []accounts.Digest{digest(1), digest(2)})
	ok(t, err)
	equal(t, epoch, int64(2))
	got, err = s.Secrets(ctx, "a1")
	ok(t, err)
	equal(t, got, accounts.Secrets{Password: "$argon2id$2", TOTP: []byte{0, 1, 255}, Step: 100, Recovery: 2})
	u, err := s.User(ctx, "anna")
	ok(t, err)
	equal(t, []any{u.Password, u.TOTP, u.Epoch}, []any{true, true, int64(2)})
	for _, c := range []struct {
		step int64
		want bool
	}{{99, false}, {100, false}, {102, true}, {101, false}, {102, false}, {103, true}} {
		used, err := s.UseStep(ctx, "a1", c.step)
		ok(t, err)
		equal(t, used, c.want)
	}
	for i, want := range []bool{true, false} {
		used, err := s.UseRecovery(ctx, "a1", digest(1))
		ok(t, err)
		if used != want {
			t.Fatalf("use %d of a recovery code: %v", i, used)
		}
	}
	used, err := s.UseRecovery(ctx, "b1", digest(2))
	ok(t, err)
	equal(t, used, false)
	ok(t, s.SetRecovery(ctx, "a1", []accounts.Digest{digest(3), digest(4), digest(5)}))
	got, err = s.Secrets(ctx, "a1")
	ok(t, err)
	equal(t, got.Recovery, 3)
	_, err = s.SetTOTP(ctx, "a1", nil, 0, nil)
	ok(t, err)
	_, err = s.SetPassword(ctx, "a1", "")
	ok(t, err)
	got, err = s.Secrets(ctx, "a1")
	ok(t, err)
	equal(t, got, accounts.Secrets{})
	used, err = s.UseStep(ctx, "a1", 1000)
	ok(t, err)
	equal(t, used, false) // there is no secret whose step it could be
}

func codes(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna(), bert())
	ok(t, s.PutCode(ctx, "a1", digest(1), at(10)))
	ok(t, s.PutCode(ctx, "b1", digest(2), at(10)))
	user, err := s.Code(ctx, digest(2), at(9))
	ok(t, err)
	equal(t, user, "b1")
	_, err = s.Code(ctx, digest(2), at(10))
	none(t, err)
	ok(t, s.PutCode(ctx, "a1", digest(3), at(10)))
	_, err = s.Code(ctx, digest(1), at(9))
	none(t, err)
	for _, want := range []bool{true, false} {
		there, err := s.TakeCode(ctx, digest(3))
		ok(t, err)
		equal(t, there, want)
	}
}

func passkeys(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna(), bert())
	key := accounts.Passkey{ID: []byte{1, 0, 2}, User: "a1", Name: "key", Data: []byte(`{"n":1}`), Created: at(1)}
	ok(t, s.PutPasskey(ctx, key))
	key.Name, key.Data, key.Used = "a key", []byte(`{"n":2}`), at(2)
	ok(t, s.PutPasskey(ctx, key))
	stolen := key
	stolen.User = "b1"
	if s.PutPasskey(ctx, stolen) == nil {
		t.Fatal("a passkey went to another user")
	}
	list, err := s.Passkeys(ctx, "a1")
	ok(t, err)
	equal(t, list, []accounts.Passkey{key})
	u, err := s.User(ctx, "anna")
	ok(t, err)
	equal(t, u.Passkeys, 1)
	for _, c := range []struct {
		user string
		want bool
	}{{"b1", false}, {"a1", true}, {"a1", false}} {
		there, err := s.RemovePasskey(ctx, c.user, key.ID)
		ok(t, err)
		equal(t, there, c.want)
	}
}

// removal shows that all that is a user's goes with him.
func removal(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna(), bert())
	for i, u := range []string{"a1", "b1"} {
		_, err := s.SetTOTP(ctx, u, []byte("x"), 1, []accounts.Digest{digest(50 + i)})
		ok(t, err)
		ok(t, s.PutSession(ctx, session(10+i, u, 1)))
		ok(t, s.PutToken(ctx, token(20+i, u)))
		ok(t, s.PutCode(ctx, u, digest(30+i), at(50)))
		ok(t, s.PutSSHKey(ctx, sshKey(i, u)))
		ok(t, s.PutPasskey(ctx, accounts.Passkey{ID: []byte{byte(i)}, User: u, Data: []byte("{}"), Created: at(1)}))
	}
	ok(t, s.ChangeUsers(ctx, func(all []accounts.User) ([]accounts.User, []string, error) { return nil, []string{"b1"}, nil }))
	_, err := s.User(ctx, "bert")
	none(t, err)
	_, err = s.Secrets(ctx, "b1")
	none(t, err)
	_, _, err = s.Session(ctx, digest(11))
	none(t, err)
	keys, err := s.SSHKeys(ctx, "")
	ok(t, err)
	equal(t, keys, []accounts.SSHKey{sshKey(0, "a1")})
	_, _, err = s.Token(ctx, digest(21))
	none(t, err)
	_, err = s.Code(ctx, digest(31), at(2))
	none(t, err)
	left, err := s.Passkeys(ctx, "b1")
	ok(t, err)
	equal(t, len(left), 0)
	again := bert()
	again.ID = "b2"
	put(t, s, again)
	if used, err := s.UseRecovery(ctx, "b2", digest(51)); used || err != nil {
		t.Fatalf("a removed user's recovery code: %v %v", used, err)
	}
	_, _, err = s.Session(ctx, digest(10))
	ok(t, err)
	_, _, err = s.Token(ctx, digest(20))
	ok(t, err)
}

// nobody shows that nothing can be given to somebody who is not there.
func nobody(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	_, err := s.User(ctx, "anna")
	none(t, err)
	_, err = s.UserByID(ctx, "")
	none(t, err)
	_, err = s.Secrets(ctx, "")
	none(t, err)
	_, err = s.SetPassword(ctx, "a1", "x")
	none(t, err)
	_, err = s.SetTOTP(ctx, "a1", nil, 0, []accounts.Digest{digest(1)})
	none(t, err)
	none(t, s.SetRecovery(ctx, "a1", []accounts.Digest{digest(1)}))
	none(t, s.LoggedIn(ctx, "a1", at(1), ""))
	if s.PutSession(ctx, session(1, "a1", 1)) == nil || s.PutToken(ctx, token(1, "a1")) == nil || s.PutCode(ctx, "a1", digest(1), at(9)) == nil ||
		s.PutPasskey(ctx, accounts.Passkey{ID: []byte{1}, User: "a1", Data: []byte("{}")}) == nil {
		t.Fatal("something was given to nobody")
	}
}

func sweep(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna(), bert())
	idle, old, early, late := session(1, "a1", 20), session(2, "a1", 2), session(3, "a1", 15), session(4, "a1", 20)
	idle.Seen, old.Seen, early.Seen, late.Seen = at(9), at(30), at(30), at(30)
	early.Pending = true
	for _, one := range []accounts.Session{idle, old, early, late} {
		ok(t, s.PutSession(ctx, one))
	}
	over, alive := token(1, "a1"), token(2, "a1")
	over.Expires = at(30)
	ok(t, s.PutToken(ctx, over))
	ok(t, s.PutToken(ctx, alive))
	ok(t, s.PutCode(ctx, "a1", digest(1), at(30)))
	ok(t, s.PutCode(ctx, "b1", digest(2), at(31)))
	ok(t, s.Sweep(ctx, at(30), at(10), at(5), at(16)))
	for i, want := range []bool{false, false, false, true} {
		if _, _, err := s.Session(ctx, digest(i+1)); (err == nil) != want {
			t.Errorf("session %d: %v", i+1, err)
		}
	}
	left, err := s.Tokens(ctx, "")
	ok(t, err)
	equal(t, left, []accounts.Token{alive})
	_, err = s.Code(ctx, digest(1), at(1))
	none(t, err)
	_, err = s.Code(ctx, digest(2), at(1))
	ok(t, err)
}

// atOnce shows that what is used once is used once, and that changes of users are one after the other.
func atOnce(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna())
	_, err := s.SetTOTP(ctx, "a1", []byte("x"), 1, []accounts.Digest{digest(1)})
	ok(t, err)
	ok(t, s.PutCode(ctx, "a1", digest(2), at(50)))
	ok(t, s.PutSession(ctx, session(1, "a1", 1)))
	ok(t, s.PutSession(ctx, session(2, "a1", 1)))
	var steps, recovered, coded, replaced, ended atomic.Int32
	var wg sync.WaitGroup
	note := func(n *atomic.Int32, yes bool, err error) {
		if err != nil {
			t.Error(err)
		}
		if yes {
			n.Add(1)
		}
	}
	for i := range 8 {
		wg.Go(func() {
			yes, err := s.UseStep(ctx, "a1", 2)
			note(&steps, yes, err)
			yes, err = s.UseRecovery(ctx, "a1", digest(1))
			note(&recovered, yes, err)
			yes, err = s.TakeCode(ctx, digest(2))
			note(&coded, yes, err)
			yes, err = s.ReplaceSession(ctx, digest(1), session(10+i, "a1", 1))
			note(&replaced, yes, err)
			yes, err = s.EndSession(ctx, "a1", "s2")
			note(&ended, yes, err)
			err = s.ChangeUsers(ctx, func(all []accounts.User) ([]accounts.User, []string, error) {
				all[0].Epoch++
				return all[:1], nil, nil
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := s.SetPassword(ctx, "a1", "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, []int32{steps.Load(), recovered.Load(), coded.Load(), replaced.Load(), ended.Load()}, []int32{1, 1, 1, 1, 1})
	u, err := s.User(ctx, "anna")
	ok(t, err)
	equal(t, u.Epoch, int64(17))
}

// hostile shows that text is data: of names, of agents, of what is looked for.
func hostile(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	u := anna()
	u.Display = `'); DROP TABLE account; -- "\ ` + "\u202e"
	put(t, s, u, bert())
	one := session(1, "a1", 1)
	one.Agent = `' OR '1'='1`
	ok(t, s.PutSession(ctx, one))
	got, who, err := s.Session(ctx, digest(1))
	ok(t, err)
	equal(t, got, one)
	equal(t, who, u)
	for _, name := range []string{`' OR '1'='1`, `%`, `ann_`, "ANNA", "anna\x01"} {
		_, err := s.User(ctx, name)
		none(t, err)
	}
}
