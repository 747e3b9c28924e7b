package main

import (
	"context"

	"gatepost/console"
	"gatepost/internal/access"
	"gatepost/internal/accounts"
)

// consoleOwn is what users change of what proves them, as the console asks it.
type consoleOwn struct{ *accounts.Accounts }

// refused passes what was done on, and words an error for a page. A session that is over is told as such.
func refused[T any](out T, err error) (T, error) {
	if err != nil {
		return out, consoleRefusal(err)
	}
	return out, nil
}

// Proofs is that of console.Own.
func (o consoleOwn) Proofs(ctx context.Context, who access.Actor) (*console.Proofs, error) {
	u, err := o.User(ctx, who.Name)
	if err != nil {
		return nil, consoleRefusal(err)
	}
	out := &console.Proofs{Password: u.Password, App: u.TOTP}
	if out.Recovery, err = o.RecoveryLeft(ctx, who.Name); err != nil {
		return nil, consoleRefusal(err)
	}
	all, err := o.Passkeys(ctx, who.Name)
	if err != nil {
		return nil, consoleRefusal(err)
	}
	for _, p := range all {
		out.Passkeys = append(out.Passkeys, console.Passkey{ID: p.ID, Name: p.Name, Created: p.Created, Used: p.Used})
	}
	return out, nil
}

// SetPassword is that of console.Own.
func (o consoleOwn) SetPassword(ctx context.Context, who access.Actor, proof, password string) (string, error) {
	return refused(o.Accounts.SetPassword(ctx, who, proof, password))
}

// StartApp is that of console.Own.
func (o consoleOwn) StartApp(ctx context.Context, who access.Actor) (*console.Enrolment, error) {
	e, err := o.StartTOTP(ctx, who)
	return refused(&console.Enrolment{Secret: e.Secret, URI: e.URI, Ticket: e.Ticket}, err)
}

// ConfirmApp is that of console.Own.
func (o consoleOwn) ConfirmApp(ctx context.Context, who access.Actor, ticket, code string) (string, []string, error) {
	token, codes, err := o.ConfirmTOTP(ctx, who, ticket, code)
	if err != nil {
		return "", nil, consoleRefusal(err)
	}
	return token, codes, nil
}

// DropApp is that of console.Own.
func (o consoleOwn) DropApp(ctx context.Context, who access.Actor) (string, error) {
	return refused(o.DropTOTP(ctx, who))
}

// NewRecovery is that of console.Own.
func (o consoleOwn) NewRecovery(ctx context.Context, who access.Actor) ([]string, error) {
	return refused(o.Accounts.NewRecovery(ctx, who))
}

// StartPasskey is that of console.Own.
func (o consoleOwn) StartPasskey(ctx context.Context, who access.Actor) (*console.Ceremony, error) {
	c, err := o.Accounts.StartPasskey(ctx, who)
	return refused(&console.Ceremony{Options: c.Options, Ticket: c.Ticket}, err)
}

// FinishPasskey is that of console.Own.
func (o consoleOwn) FinishPasskey(ctx context.Context, who access.Actor, ticket, name string, answer []byte) (string, error) {
	return refused(o.Accounts.FinishPasskey(ctx, who, ticket, name, answer))
}

// DropPasskey is that of console.Own.
func (o consoleOwn) DropPasskey(ctx context.Context, who access.Actor, id []byte) (string, error) {
	return refused(o.Accounts.DropPasskey(ctx, who, id))
}
