package storetest

import (
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

// carl is of a directory, whose groups let him in no more.
func carl() accounts.User {
	return accounts.User{ID: "c1", Name: "carl", Role: access.Auditor, Source: accounts.FromDir, Subject: "cn=Carl Ä.,dc=example", Lapsed: true, Created: at(2)}
}

// outside shows that a store keeps where a user comes from, and that he can have another name there.
func outside(t *testing.T, s accounts.Store) {
	ctx := t.Context()
	put(t, s, carl())
	u, err := s.User(ctx, "carl")
	ok(t, err)
	equal(t, u, carl())
	back := carl()
	back.Name, back.Lapsed, back.Source, back.Subject = "charles", false, accounts.FromIss, "s"
	put(t, s, back)
	u, err = s.UserByID(ctx, "c1")
	ok(t, err)
	equal(t, u, back)
}
