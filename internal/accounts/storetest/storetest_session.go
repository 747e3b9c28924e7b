package storetest

import (
	"fmt"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

func session(n int, user string, minute int) accounts.Session {
	return accounts.Session{Digest: digest(n), ID: fmt.Sprint("s", n), User: user, Epoch: 2, Created: at(minute), Seen: at(minute + 1), Proved: at(minute + 2),
		Address: "2001:db8::1", Agent: "a browser", Source: accounts.FromDir, How: "password and code"}
}

func sessions(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna(), bert())
	pending := session(3, "a1", 3)
	pending.Pending, pending.Data = true, []byte(`{"challenge":"x"}`)
	for _, one := range []accounts.Session{session(1, "a1", 1), session(2, "a1", 2), pending, session(4, "b1", 4)} {
		ok(t, s.PutSession(ctx, one))
	}
	got, u, err := s.Session(ctx, digest(3))
	ok(t, err)
	equal(t, got, pending)
	equal(t, u, anna())
	list, err := s.Sessions(ctx, "a1")
	ok(t, err)
	equal(t, list, []accounts.Session{session(2, "a1", 2), session(1, "a1", 1)})
	list, err = s.Sessions(ctx, "")
	ok(t, err)
	equal(t, list, []accounts.Session{session(4, "b1", 4), session(2, "a1", 2), session(1, "a1", 1)})
	ok(t, s.TouchSession(ctx, digest(1), at(30)))
	got, _, err = s.Session(ctx, digest(1))
	ok(t, err)
	equal(t, got.Seen, at(30))
	there, err := s.ReplaceSession(ctx, digest(1), session(5, "a1", 1))
	ok(t, err)
	equal(t, there, true)
	_, _, err = s.Session(ctx, digest(1))
	none(t, err)
	there, err = s.ReplaceSession(ctx, digest(1), session(6, "a1", 1))
	ok(t, err)
	equal(t, there, false)
	_, _, err = s.Session(ctx, digest(6))
	none(t, err)
	for _, c := range []struct {
		user, id string
		want     bool
	}{{"b1", "s2", false}, {"a1", "s2", true}, {"a1", "s2", false}, {"a1", "s3", true}} {
		there, err := s.EndSession(ctx, c.user, c.id)
		ok(t, err)
		equal(t, there, c.want)
	}
	ok(t, s.PutSession(ctx, pending))
	n, err := s.EndSessions(ctx, "a1", "s5")
	ok(t, err)
	equal(t, n, 1)
	n, err = s.EndSessions(ctx, "a1", "")
	ok(t, err)
	equal(t, n, 1)
	_, _, err = s.Session(ctx, digest(4))
	ok(t, err)
}

func token(n int, user string) accounts.Token {
	return accounts.Token{Digest: digest(n), ID: fmt.Sprint("t", n), User: user, Name: "export", Rights: []access.Right{access.LogRead, access.QueueRead},
		Domains: []string{"example.org"}, Created: at(n), Expires: at(40)}
}

func tokens(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, anna(), bert())
	plain := token(3, "b1")
	plain.Rights, plain.Domains = nil, nil
	for _, one := range []accounts.Token{token(1, "a1"), token(2, "a1"), plain} {
		ok(t, s.PutToken(ctx, one))
	}
	got, u, err := s.Token(ctx, digest(3))
	ok(t, err)
	equal(t, got, plain)
	equal(t, u, bert())
	list, err := s.Tokens(ctx, "a1")
	ok(t, err)
	equal(t, list, []accounts.Token{token(2, "a1"), token(1, "a1")})
	list, err = s.Tokens(ctx, "")
	ok(t, err)
	equal(t, len(list), 3)
	ok(t, s.TouchToken(ctx, digest(1), at(9), "192.0.2.9"))
	got, _, err = s.Token(ctx, digest(1))
	ok(t, err)
	equal(t, []any{got.Used, got.UsedFrom}, []any{at(9), "192.0.2.9"})
	for _, want := range []bool{true, false} {
		there, err := s.RemoveToken(ctx, "t1")
		ok(t, err)
		equal(t, there, want)
	}
	_, _, err = s.Token(ctx, digest(1))
	none(t, err)
}
