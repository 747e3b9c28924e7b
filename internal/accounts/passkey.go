package accounts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"gatepost/internal/access"
)

// Bounds of passkeys.
const (
	mostPasskeys  = 20       // of a user
	longestAnswer = 64 << 10 // octets of what a browser sends
)

// Site is where browsers reach the console. Passkeys are bound to it: under another name they are not asked.
type Site struct {
	Name    string   // "console.example.org"
	Origins []string // "https://console.example.org:8443"
}

// Ceremony is what a browser is asked, and what is asked back with its answer.
type Ceremony struct {
	Options json.RawMessage // what navigator.credentials.create or get takes, as JSON
	Ticket  string          // sealed; lives a few minutes
}

// keyholder is a user as package webauthn knows him.
type keyholder struct {
	u    User
	keys []webauthn.Credential
}

func (k *keyholder) WebAuthnID() []byte                         { return []byte(k.u.ID) }
func (k *keyholder) WebAuthnName() string                       { return k.u.Name }
func (k *keyholder) WebAuthnDisplayName() string                { return cmp.Or(k.u.Display, k.u.Name) }
func (k *keyholder) WebAuthnCredentials() []webauthn.Credential { return k.keys }

// party is our side of WebAuthn.
func (a *Accounts) party() (*webauthn.WebAuthn, error) {
	if a.site == nil {
		return nil, &Refusal{Kind: Conflict, Message: "there are no passkeys here", Hint: "the console has no name"}
	}
	s := a.site()
	return webauthn.New(&webauthn.Config{RPID: s.Name, RPDisplayName: a.issuer, RPOrigins: s.Origins, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{UserVerification: protocol.VerificationPreferred, ResidentKey: protocol.ResidentKeyRequirementDiscouraged}})
}

// holder is a user with his passkeys.
func (a *Accounts) holder(ctx context.Context, u User) (*keyholder, []Passkey, error) {
	all, err := a.store.Passkeys(ctx, u.ID)
	if err != nil {
		return nil, nil, err
	}
	k := &keyholder{u: u}
	for _, p := range all {
		var c webauthn.Credential
		if err := json.Unmarshal(p.Data, &c); err != nil {
			return nil, nil, fmt.Errorf("accounts: a passkey of %s cannot be read: %w", u.Name, err)
		}
		k.keys = append(k.keys, c)
	}
	return k, all, nil
}

// ceremony seals what a ceremony needs to go on.
func (a *Accounts) ceremony(options any, session *webauthn.SessionData, use string) (Ceremony, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, err
	}
	state, err := json.Marshal(session)
	if err != nil {
		return Ceremony{}, err
	}
	return Ceremony{Options: text, Ticket: a.ticket(state, use, PendingTime)}, nil
}

// resume opens what ceremony sealed, for the same use.
func (a *Accounts) resume(ticket, use string) (out webauthn.SessionData, err error) {
	const over = "it took too long; begin again"
	state, err := a.opened(ticket, use, over)
	if err != nil {
		return out, err
	}
	if json.Unmarshal(state, &out) != nil {
		return out, bad("ticket", over)
	}
	return out, nil
}

// StartPasskey begins to add a passkey to one's own. It asks for a fresh proof.
func (a *Accounts) StartPasskey(ctx context.Context, who access.Actor) (Ceremony, error) {
	k, _, err := a.mine(ctx, who)
	if err != nil {
		return Ceremony{}, err
	}
	party, err := a.party()
	if err != nil {
		return Ceremony{}, err
	}
	if len(k.keys) >= mostPasskeys {
		return Ceremony{}, &Refusal{Kind: Conflict, Message: "you have 20 passkeys", Hint: "remove one that you do not use"}
	}
	var there []protocol.CredentialDescriptor
	for i := range k.keys {
		there = append(there, k.keys[i].Descriptor())
	}
	options, session, err := party.BeginRegistration(k, webauthn.WithExclusions(there))
	if err != nil {
		return Ceremony{}, fmt.Errorf("accounts: passkey: %w", err)
	}
	return a.ceremony(options, session, "passkey "+k.u.ID)
}

// mine is a user in a session of his that was proved lately.
func (a *Accounts) mine(ctx context.Context, who access.Actor) (*keyholder, Session, error) {
	u, s, err := a.inFreshSession(ctx, who)
	if err != nil {
		return nil, s, err
	}
	k, _, err := a.holder(ctx, u)
	return k, s, err
}

// FinishPasskey keeps the passkey of an answer, under a name that its user gives it. All other sessions end, and the present one
// goes on under the token that is returned.
func (a *Accounts) FinishPasskey(ctx context.Context, who access.Actor, ticket, name string, answer []byte) (string, error) {
	k, s, err := a.mine(ctx, who)
	if err != nil {
		return "", err
	}
	name = strings.TrimSpace(name)
	if name == "" || !plainText(name, 64) {
		return "", bad("name", "a passkey has a name of at most 64 characters, by which you know it")
	}
	session, err := a.resume(ticket, "passkey "+k.u.ID)
	if err != nil {
		return "", err
	}
	party, err := a.party()
	if err != nil {
		return "", err
	}
	unfit := &Refusal{Kind: Bad, Message: "the answer of the passkey does not fit", Hint: "begin again", Field: "answer"}
	if len(answer) > longestAnswer || len(k.keys) >= mostPasskeys {
		return "", unfit
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return "", unfit
	}
	c, err := party.CreateCredential(k, session, parsed)
	if err != nil || len(c.ID) == 0 || len(c.ID) > 1023 {
		return "", unfit
	}
	if slices.ContainsFunc(k.keys, func(o webauthn.Credential) bool { return string(o.ID) == string(c.ID) }) {
		return "", &Refusal{Kind: Conflict, Message: "you have this passkey already"}
	}
	p := Passkey{ID: c.ID, User: k.u.ID, Name: name, Created: clock()}
	if p.Data, err = keyData(c); err != nil {
		return "", err
	}
	if err := a.store.PutPasskey(ctx, p); errors.Is(err, ErrNone) {
		return "", unfit // another's, or its user is gone
	} else if err != nil {
		return "", err
	}
	a.notice(ctx, Event{What: "passkey added", User: k.u.Name, Address: who.Address})
	return a.only(ctx, k.u, s)
}

// keyData is what is kept of a credential. What its maker attested is not: nobody is refused for his make.
func keyData(c *webauthn.Credential) ([]byte, error) {
	kept := *c
	kept.Attestation = webauthn.CredentialAttestation{}
	return json.Marshal(&kept)
}

// Passkeys lists those of a user.
func (a *Accounts) Passkeys(ctx context.Context, name string) ([]Passkey, error) {
	u, err := a.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return a.store.Passkeys(ctx, u.ID)
}

// DropPasskey takes away one of one's own. It asks for a fresh proof.
func (a *Accounts) DropPasskey(ctx context.Context, who access.Actor, id []byte) (string, error) {
	k, s, err := a.mine(ctx, who)
	if err != nil {
		return "", err
	}
	there, err := a.store.RemovePasskey(ctx, k.u.ID, id)
	if err != nil {
		return "", err
	}
	if !there {
		return "", &Refusal{Kind: Missing, Message: "there is no such passkey", Field: "id"}
	}
	a.notice(ctx, Event{What: "passkey removed", User: k.u.Name, Address: who.Address})
	return a.only(ctx, k.u, s)
}

// ChallengePasskey asks for a passkey as the second factor of a login that Begin began.
func (a *Accounts) ChallengePasskey(ctx context.Context, pending string) (Ceremony, error) {
	s, u, err := a.pendingOf(ctx, pending)
	if err != nil {
		return Ceremony{}, err
	}
	k, _, err := a.holder(ctx, u)
	if err != nil {
		return Ceremony{}, err
	}
	if len(k.keys) == 0 {
		return Ceremony{}, &Refusal{Kind: Missing, Message: "there is no passkey"}
	}
	party, err := a.party()
	if err != nil {
		return Ceremony{}, err
	}
	options, session, err := party.BeginLogin(k)
	if err != nil {
		return Ceremony{}, fmt.Errorf("accounts: passkey: %w", err)
	}
	return a.ceremony(options, session, "login "+s.ID)
}

// SecondPasskey takes the answer of a passkey, and ends the login that Begin began. A login is ended once, so that an answer counts
// once.
func (a *Accounts) SecondPasskey(ctx context.Context, pending, ticket string, answer []byte, from Client) (Step, error) {
	s, u, err := a.pendingOf(ctx, pending)
	if err != nil {
		return Step{}, err
	}
	now := clock()
	if wait := a.throttle.takeCode(u.ID, now); wait > 0 {
		return Step{}, waiting(wait)
	}
	err = a.checkPasskey(ctx, s, u, ticket, answer, now)
	if Is(err, Wrong) {
		a.notice(ctx, Event{What: "login failed", User: u.Name, Address: from.Address, Error: "passkey"})
	}
	if err != nil {
		return Step{}, err
	}
	a.throttle.forgiveCode(u.ID)
	return a.finish(ctx, s, u, from, s.How+" and passkey", -1)
}

// checkPasskey verifies the answer of a passkey, and notes its use.
func (a *Accounts) checkPasskey(ctx context.Context, s Session, u User, ticket string, answer []byte, now time.Time) error {
	k, all, err := a.holder(ctx, u)
	if err != nil {
		return err
	}
	session, err := a.resume(ticket, "login "+s.ID)
	if err != nil {
		return err
	}
	party, err := a.party()
	if err != nil {
		return err
	}
	no := &Refusal{Kind: Wrong, Message: "the passkey is not one of this account", Field: "answer", Wait: a.throttle.nextCode(u.ID, now)}
	if len(answer) > longestAnswer {
		return no
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return no
	}
	c, err := party.ValidateLogin(k, session, parsed)
	if err != nil {
		return no
	}
	if c.Authenticator.CloneWarning {
		return &Refusal{Kind: Wrong, Message: "the passkey was used elsewhere since: there is a copy of it", Hint: "remove it, and log in by another way", Field: "answer"}
	}
	i := slices.IndexFunc(all, func(p Passkey) bool { return string(p.ID) == string(c.ID) })
	if i < 0 {
		return no
	}
	all[i].Used = now
	if all[i].Data, err = keyData(c); err != nil {
		return err
	}
	return a.store.PutPasskey(ctx, all[i])
}
