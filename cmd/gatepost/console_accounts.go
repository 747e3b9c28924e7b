package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"gatepost/cmd/gatepost/user"
	"gatepost/console"
	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

// consoleAccounts are the accounts as the console asks them: what is wrong, unknown or over is one error, so that no page tells
// them apart.
type consoleAccounts struct{ *accounts.Accounts }

// consoleRefusal words an error for a page.
func consoleRefusal(err error) error {
	r, ok := errors.AsType[*accounts.Refusal](err)
	if !ok {
		return storeAway(err)
	}
	f := user.Fault(err)
	if r.Kind != accounts.Wrong {
		return f
	}
	if r.Wait > 0 {
		f.Hint = fmt.Sprintf("the next try is looked at in %s", max(r.Wait.Round(time.Second), time.Second))
	}
	switch {
	case r.Field == "code": // another may follow, of the same login
		f.Status = http.StatusUnprocessableEntity
	case r.Field == user.ProofField:
		f.Status = http.StatusForbidden
	case r.Wait == 0:
		return console.ErrLogin
	}
	return f
}

// stepOf is what came of a step of a login.
func stepOf(s accounts.Step, err error) (console.Login, error) {
	if err != nil {
		return console.Login{}, consoleRefusal(err)
	}
	return console.Login{Token: cmp.Or(s.Token, s.Pending), More: s.Token == "", NoCode: s.Token == "" && !slices.Contains(s.Methods, "code")}, nil
}

// step is stepOf with what a browser asks of a passkey, where that may be the second factor.
func (c consoleAccounts) step(ctx context.Context, s accounts.Step, err error) (console.Login, error) {
	out, err := stepOf(s, err)
	if err != nil || !slices.Contains(s.Methods, "passkey") {
		return out, err
	}
	asked, err := c.ChallengePasskey(ctx, s.Pending)
	if err != nil {
		return console.Login{}, consoleRefusal(err)
	}
	out.Passkey = &console.Ceremony{Options: asked.Options, Ticket: asked.Ticket}
	return out, nil
}

func placeOf(a *console.Attempt) accounts.Client {
	return accounts.Client{Address: a.Address, Agent: a.Agent}
}

// Login is that of console.Accounts.
func (c consoleAccounts) Login(ctx context.Context, a *console.Attempt) (console.Login, error) {
	switch {
	case a.Token != "" && a.Answer != "":
		return stepOf(c.SecondPasskey(ctx, a.Token, a.Ticket, []byte(a.Answer), placeOf(a)))
	case a.Token != "":
		return stepOf(c.Second(ctx, a.Token, a.Code, placeOf(a)))
	}
	s, err := c.Begin(ctx, a.Name, a.Password, placeOf(a))
	return c.step(ctx, s, err)
}

// Session is that of console.Accounts.
func (c consoleAccounts) Session(ctx context.Context, token string, from netip.Addr) (access.Actor, error) {
	who, _, err := c.FromSession(ctx, token, from)
	if err != nil {
		return access.Actor{}, consoleRefusal(err)
	}
	return who, nil
}

// Bearer is that of console.Accounts.
func (c consoleAccounts) Bearer(ctx context.Context, token string, from netip.Addr) (access.Actor, error) {
	who, err := c.FromToken(ctx, "Bearer "+token, from)
	if err != nil {
		return access.Actor{}, consoleRefusal(err)
	}
	return who, nil
}

// Logout is that of console.Accounts.
func (c consoleAccounts) Logout(ctx context.Context, token string) error {
	return c.Accounts.Logout(ctx, token, accounts.Client{})
}

// Prove is that of console.Accounts.
func (c consoleAccounts) Prove(ctx context.Context, who access.Actor, proof string) (string, error) {
	token, err := c.Accounts.Prove(ctx, who, proof)
	if err != nil {
		return "", consoleRefusal(err)
	}
	return token, nil
}

// Empty is that of console.Accounts.
func (c consoleAccounts) Empty(ctx context.Context) (bool, error) {
	needed, err := c.NeedsSetup(ctx)
	if err != nil {
		return false, consoleRefusal(err)
	}
	return needed, nil
}

// First is that of console.Accounts.
func (c consoleAccounts) First(ctx context.Context, a *console.Attempt) (console.Login, error) {
	return stepOf(c.FirstOwner(ctx, a.Code, accounts.Profile{Name: a.Name}, a.Password, placeOf(a)))
}

// Redeem is that of console.Accounts.
func (c consoleAccounts) Redeem(ctx context.Context, a *console.Attempt) (console.Login, error) {
	s, err := c.Accounts.Redeem(ctx, a.Code, a.Password, placeOf(a))
	return c.step(ctx, s, err)
}
