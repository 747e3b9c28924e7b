package accounts

import (
	"context"
	"time"

	"gatepost/internal/access"
)

// SetPassword sets one's own password by proof of the present one, or a code where there is TOTP. All other sessions end, and
// the present one goes on under the token that is returned.
func (a *Accounts) SetPassword(ctx context.Context, who access.Actor, proof, password string) (string, error) {
	u, s, err := a.inSession(ctx, who)
	if err != nil {
		return "", err
	}
	if err := elsewhere(u, "the password"); err != nil {
		return "", err
	}
	if err := a.proof(ctx, u, who.Address, proof); err != nil {
		return "", err
	}
	phc, err := a.newPassword(ctx, u, password)
	if err != nil {
		return "", err
	}
	if u.Epoch, err = a.store.SetPassword(ctx, u.ID, phc); err != nil {
		return "", err
	}
	return a.only(ctx, u, s)
}

// only renews a session, and ends all others of the user.
func (a *Accounts) only(ctx context.Context, u User, s Session) (string, error) {
	token, id, err := a.renew(ctx, u, s)
	if err != nil {
		return "", err
	}
	_, err = a.store.EndSessions(ctx, u.ID, id)
	return token, err
}

// Enrolment is a secret of TOTP that waits for its first code.
type Enrolment struct {
	Secret string // as people type it
	URI    string // as a QR code says it
	Ticket string // what ConfirmTOTP wants; lives a quarter of an hour
}

// ticketTime is how long somebody may take to scan a QR code.
const ticketTime = 15 * time.Minute

// StartTOTP makes a secret. Nothing is kept until ConfirmTOTP. It asks for a fresh proof.
func (a *Accounts) StartTOTP(ctx context.Context, who access.Actor) (Enrolment, error) {
	u, _, err := a.inFreshSession(ctx, who)
	if err != nil {
		return Enrolment{}, err
	}
	secret := newTOTP()
	return Enrolment{Secret: totpText(secret), URI: totpURI(a.issuer, u.Name, secret), Ticket: a.ticket(secret, "enrol "+u.ID, ticketTime)}, nil
}

// ConfirmTOTP keeps the secret of a ticket once a code of it was given, in place of any other. It returns the recovery codes, which
// are shown once, and the token under which the session goes on; all others end.
func (a *Accounts) ConfirmTOTP(ctx context.Context, who access.Actor, ticket, code string) (token string, codes []string, err error) {
	u, s, err := a.inFreshSession(ctx, who)
	if err != nil {
		return "", nil, err
	}
	secret, err := a.opened(ticket, "enrol "+u.ID, "the secret is over; begin again")
	if err != nil {
		return "", nil, err
	}
	now := clock()
	if wait := a.throttle.takeCode(u.ID, now); wait > 0 {
		return "", nil, waiting(wait)
	}
	six, _ := sixDigits(code)
	step, ok := totpMatch(secret, six, now)
	if !ok {
		return "", nil, wrongCode(a.throttle.nextCode(u.ID, now))
	}
	a.throttle.forgiveCode(u.ID)
	codes, digests := newRecovery(u.ID)
	if u.Epoch, err = a.store.SetTOTP(ctx, u.ID, a.sealer.seal(secret, "totp "+u.ID), step, digests); err != nil {
		return "", nil, err
	}
	token, err = a.only(ctx, u, s)
	return token, codes, err
}

// DropTOTP takes away one's own TOTP and recovery codes. It asks for a fresh proof.
func (a *Accounts) DropTOTP(ctx context.Context, who access.Actor) (string, error) {
	u, s, err := a.inFreshSession(ctx, who)
	if err != nil {
		return "", err
	}
	if u.Epoch, err = a.store.SetTOTP(ctx, u.ID, nil, 0, nil); err != nil {
		return "", err
	}
	return a.only(ctx, u, s)
}

// NewRecovery makes new recovery codes; the old ones are worth nothing afterwards. It asks for a fresh proof.
func (a *Accounts) NewRecovery(ctx context.Context, who access.Actor) ([]string, error) {
	u, _, err := a.inFreshSession(ctx, who)
	if err != nil {
		return nil, err
	}
	if !u.TOTP {
		return nil, &Refusal{Kind: Conflict, Message: "recovery codes stand in for the app, and there is none", Hint: "set up the app first"}
	}
	codes, digests := newRecovery(u.ID)
	return codes, a.store.SetRecovery(ctx, u.ID, digests)
}

// RecoveryLeft is how many recovery codes a user has.
func (a *Accounts) RecoveryLeft(ctx context.Context, name string) (int, error) {
	u, err := a.find(ctx, name)
	if err != nil {
		return 0, err
	}
	s, err := a.secrets(ctx, u)
	return s.Recovery, err
}
