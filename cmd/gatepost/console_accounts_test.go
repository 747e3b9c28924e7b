package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/cmd/gatepost/user"
	"gatepost/console"
	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/accounts/storetest"
	"gatepost/internal/control"
	"gatepost/internal/store/admin"
)

// away is a store that does not answer.
type away struct{ *storetest.Memory }

func (away) User(context.Context, string) (accounts.User, error) {
	return accounts.User{}, fmt.Errorf("%w: gone", admin.ErrAway)
}
func (away) Users(context.Context) ([]accounts.User, error) { return nil, admin.ErrAway }
func (away) Session(context.Context, accounts.Digest) (accounts.Session, accounts.User, error) {
	return accounts.Session{}, accounts.User{}, admin.ErrAway
}
func (away) Token(context.Context, accounts.Digest) (accounts.Token, accounts.User, error) {
	return accounts.Token{}, accounts.User{}, admin.ErrAway
}

func accountsOf(t *testing.T, s accounts.Store) consoleAccounts {
	t.Helper()
	a, err := accounts.New(accounts.Options{Store: s, Key: make([]byte, accounts.KeySize), Params: accounts.Params{Memory: 64, Time: 1, Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return consoleAccounts{a}
}

// TestConsoleAccounts shows how pages get in: by the first code, by password and code of an app, by a token; and what they are told
// of what is wrong: the same of what is not known, how long to wait, and that another code may follow.
func TestConsoleAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, here := t.Context(), netip.MustParseAddr("192.0.2.1")
		const good = "three green kettles"
		c := accountsOf(t, &storetest.Memory{})
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		status := func(err error, want int) {
			t.Helper()
			f, is := errors.AsType[*control.Fault](err)
			if want == 0 && err != console.ErrLogin || want != 0 && (!is || f.Status != want) {
				t.Errorf("%v (%T), want %d", err, err, want)
			}
		}
		if empty, err := c.Empty(ctx); !empty || err != nil {
			t.Errorf("%v %v", empty, err)
		}
		code, err := c.SetupCode(ctx)
		ok(err)
		_, err = c.First(ctx, &console.Attempt{Name: "anna", Password: good, Code: "wrong", Address: here})
		status(err, http.StatusUnprocessableEntity)
		_, err = c.First(ctx, &console.Attempt{Name: "anna", Password: "short", Code: code, Address: here})
		status(err, http.StatusBadRequest)
		in, err := c.First(ctx, &console.Attempt{Name: "anna", Password: good, Code: code, Address: here, Agent: "a browser"})
		ok(err)
		who, err := c.Session(ctx, in.Token, here)
		ok(err)
		if who.Name != "anna" || who.Role != access.Owner || who.Via != access.BySession || in.More {
			t.Errorf("%+v %+v", in, who)
		}
		e, err := c.StartTOTP(ctx, who)
		ok(err)
		secret, err := base32.StdEncoding.DecodeString(e.Secret)
		ok(err)
		_, recovery, err := c.ConfirmTOTP(ctx, who, e.Ticket, codeAt(secret))
		ok(err)
		_, err = c.Session(ctx, in.Token, here)
		status(err, 0)
		for _, name := range []string{"anna", "nobody"} {
			_, err = c.Login(ctx, &console.Attempt{Name: name, Password: "wrong", Address: here})
			status(err, 0)
		}
		in, err = c.Login(ctx, &console.Attempt{Name: "anna", Password: good, Address: here})
		ok(err)
		if !in.More {
			t.Error("no second factor was asked")
		}
		_, err = c.Session(ctx, in.Token, here)
		status(err, 0)
		_, err = c.Login(ctx, &console.Attempt{Token: in.Token, Code: "000000", Address: here})
		status(err, http.StatusUnprocessableEntity)
		in, err = c.Login(ctx, &console.Attempt{Token: in.Token, Code: recovery[0], Address: here})
		ok(err)
		who, err = c.Session(ctx, in.Token, here)
		ok(err)
		_, err = c.Prove(ctx, who, good) // the code is wanted where there is an app
		status(err, http.StatusUnprocessableEntity)
		token, err := c.Prove(ctx, who, recovery[1])
		ok(err)
		who, err = c.Session(ctx, token, here)
		ok(err)
		text, _, err := c.AddToken(ctx, who, "anna", accounts.NewToken{Name: "x", Rights: []access.Right{access.LogRead}, Expires: time.Now().Add(time.Hour)})
		ok(err)
		program, err := c.Bearer(ctx, text, here)
		ok(err)
		if program.Name != "anna" || program.Via != access.ByToken || program.May(access.UsersRead) || !program.May(access.LogRead) {
			t.Errorf("%+v", program)
		}
		_, err = c.Bearer(ctx, text+"x", here)
		status(err, 0)
		ok(c.Logout(ctx, token))
		_, err = c.Session(ctx, token, here)
		status(err, 0)
		_, err = c.Login(ctx, &console.Attempt{Token: token, Code: recovery[2], Address: here})
		status(err, 0)
		for range 3 {
			_, err = c.Login(ctx, &console.Attempt{Name: "bert", Password: "wrong", Address: here})
		}
		status(err, http.StatusUnauthorized) // and says when the next is looked at
		_, err = c.Login(ctx, &console.Attempt{Name: "bert", Password: "wrong", Address: here})
		status(err, http.StatusTooManyRequests)

		c = accountsOf(t, away{&storetest.Memory{}})
		_, err = c.Login(ctx, &console.Attempt{Name: "anna", Password: good, Address: here})
		status(err, http.StatusServiceUnavailable)
		_, err = c.Session(ctx, in.Token, here)
		status(err, http.StatusServiceUnavailable)
		_, err = c.Bearer(ctx, text, here)
		status(err, http.StatusServiceUnavailable)
		_, err = c.Empty(ctx)
		status(err, http.StatusServiceUnavailable)
		if f := user.Fault(&accounts.Refusal{Kind: accounts.Prove, Field: "proof"}); f.Field != user.ProofField {
			t.Errorf("%+v", f)
		}
	})
}

// codeAt is what an app shows now (RFC 6238).
func codeAt(secret []byte) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}
