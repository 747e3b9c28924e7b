package accounts

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Step is where a login stands.
type Step struct {
	// Token is that of the session, once there is one; it is shown once, and goes into a cookie.
	Token string
	// Pending is what Second wants, where a second factor is asked; it is no session, and lives PendingTime.
	Pending string
	// Methods are the second factors that are taken: "code", "recovery", "passkey".
	Methods []string
	// User is who logged in; only with Token.
	User User
	// Left are the recovery codes that are left, after one was used; -1 else.
	Left int
}

// Begin starts a login by name and password. The answer is the same Wrong to a name that nobody has, to a wrong password, and
// to an account that is disabled, after the same work. With a second factor the Step has Pending, else Token.
func (a *Accounts) Begin(ctx context.Context, name, password string, from Client) (Step, error) {
	name = Name(name)
	u, err := a.store.User(ctx, name)
	found := err == nil
	if err != nil && !errors.Is(err, ErrNone) {
		return Step{}, err
	}
	began, now := time.Now(), clock()
	if wait := a.throttle.take(name, from.Address, found && from.Address.IsValid() && u.LoginFrom == from.Address.String(), now); wait > 0 {
		return Step{}, waiting(wait)
	}
	secrets, err := a.secrets(ctx, u)
	if err != nil {
		a.throttle.forgive(name, from.Address, false, now)
		return Step{}, err
	}
	ok, err := a.check(ctx, u, secrets.Password, password)
	if err != nil {
		a.throttle.forgive(name, from.Address, false, now)
		return Step{}, err
	}
	var step Step
	switch asked := a.outside.Directory != nil && name != "" && (!found || u.Source == FromDir); {
	case asked: // the name of an account of ours never gets there, and no password of one
		step, err = a.byDirectory(ctx, name, password, from)
	case !ok || !found || u.out() || u.Source != Local:
		a.notice(ctx, Event{What: "login failed", User: u.Name, Address: from.Address, Error: "password"})
		err = wrong(a.throttle.next(name, from.Address, clock()))
	default:
		return a.passed(ctx, u, from, "password")
	}
	if err != nil {
		a.settle(ctx, began)
	}
	return step, err
}

// secrets are those of a user, or of nobody by the same question.
func (a *Accounts) secrets(ctx context.Context, u User) (Secrets, error) {
	s, err := a.store.Secrets(ctx, u.ID)
	if errors.Is(err, ErrNone) {
		return Secrets{}, nil
	}
	return s, err
}

// check makes one hash. A password that is right but was hashed with other parameters is hashed anew.
func (a *Accounts) check(ctx context.Context, u User, phc, password string) (bool, error) {
	if len(password) > longestPassword || !utf8.ValidString(password) {
		password, phc = "", ""
	}
	password = prepared(password)
	ok, old, err := a.hasher.verify(ctx, phc, password)
	if err != nil || !ok || !old {
		return ok, err
	}
	if again, err := a.hasher.hash(ctx, password); err == nil {
		err = a.store.Rehash(ctx, u.ID, phc, again)
		if err != nil {
			return true, err
		}
	}
	return true, nil // where too many hash at once, the next login does it
}

// passed goes on after the first factor.
func (a *Accounts) passed(ctx context.Context, u User, from Client, how string) (Step, error) {
	if !u.Second() {
		return a.enter(ctx, u, from, how, -1)
	}
	token := newToken()
	s := a.newSession(u, token, from, how)
	s.Pending = true
	if err := a.store.PutSession(ctx, s); err != nil {
		return Step{}, err
	}
	step := Step{Pending: token, Left: -1}
	if u.TOTP {
		step.Methods = []string{"code", "recovery"}
	}
	if u.Passkeys > 0 {
		step.Methods = append(step.Methods, "passkey")
	}
	return step, nil
}

// enter ends a login: it makes the session, under a token that nobody has seen before.
func (a *Accounts) enter(ctx context.Context, u User, from Client, how string, left int) (Step, error) {
	return a.enterAt(ctx, u, a.newSession(u, "", from, how), from.Address, left)
}

// enterAt is enter with a session that is made but for its token.
func (a *Accounts) enterAt(ctx context.Context, u User, s Session, from netip.Addr, left int) (Step, error) {
	token := newToken()
	s.Digest = digestOf("session", token)
	if err := a.store.PutSession(ctx, s); err != nil {
		return Step{}, err
	}
	if err := a.store.LoggedIn(ctx, u.ID, s.Created, s.Address); err != nil {
		return Step{}, err
	}
	if err := a.trim(ctx, u); err != nil {
		return Step{}, err
	}
	a.throttle.forgive(u.Name, from, true, clock())
	a.notice(ctx, Event{What: "login", User: u.Name, Address: from, How: s.How})
	return Step{Token: token, User: u, Left: left}, nil
}

// pendingOf finds a login that waits for its second factor.
func (a *Accounts) pendingOf(ctx context.Context, pending string) (Session, User, error) {
	s, u, err := a.store.Session(ctx, digestOf("session", clipToken(pending)))
	if errors.Is(err, ErrNone) || err == nil && (!s.Pending || u.out() || s.Epoch != u.Epoch || clock().Sub(s.Created) >= PendingTime) {
		return s, u, ended()
	}
	return s, u, err
}

// Second takes a code of the app, or a recovery code, and ends the login that Begin began. A wrong code can be followed by
// another, under the same Pending.
func (a *Accounts) Second(ctx context.Context, pending, code string, from Client) (Step, error) {
	s, u, err := a.pendingOf(ctx, pending)
	if err != nil {
		return Step{}, err
	}
	how, left, err := a.code(ctx, u, code)
	if err != nil {
		if Is(err, Wrong) {
			a.notice(ctx, Event{What: "login failed", User: u.Name, Address: from.Address, Error: "code"})
		}
		return Step{}, err
	}
	return a.finish(ctx, s, u, from, s.How+" and "+how, left)
}

// finish makes a session of a pending login, once.
func (a *Accounts) finish(ctx context.Context, s Session, u User, from Client, how string, left int) (Step, error) {
	there, err := a.store.EndSession(ctx, u.ID, s.ID)
	if err != nil {
		return Step{}, err
	}
	if !there {
		return Step{}, ended()
	}
	return a.enter(ctx, u, from, how, left)
}

// code checks a code of the app or a recovery code. It is used up by that.
func (a *Accounts) code(ctx context.Context, u User, text string) (how string, left int, err error) {
	now := clock()
	if wait := a.throttle.takeCode(u.ID, now); wait > 0 {
		return "", -1, waiting(wait)
	}
	secrets, err := a.secrets(ctx, u)
	if err != nil {
		return "", -1, err
	}
	ok := false
	if six, is := sixDigits(text); is && secrets.TOTP != nil {
		how, left = "code", -1
		ok, err = a.useTOTP(ctx, u, secrets.TOTP, six)
	} else if plain, is := plainCode(text); is {
		how, left = "recovery code", secrets.Recovery-1
		ok, err = a.store.UseRecovery(ctx, u.ID, digestOf("recovery "+u.ID, plain))
	}
	if err != nil {
		return "", -1, err
	}
	if !ok {
		return "", -1, wrongCode(a.throttle.nextCode(u.ID, clock()))
	}
	a.throttle.forgiveCode(u.ID)
	return how, left, nil
}

func (a *Accounts) useTOTP(ctx context.Context, u User, sealed []byte, six string) (bool, error) {
	secret, err := a.sealer.open(sealed, "totp "+u.ID)
	if err != nil {
		return false, err
	}
	step, ok := totpMatch(secret, six, clock())
	if !ok {
		return false, nil
	}
	return a.store.UseStep(ctx, u.ID, step)
}

// Redeem sets a password by a code that an admin made for the user, and logs in. The second factor, if there is one, is still asked.
func (a *Accounts) Redeem(ctx context.Context, code, password string, from Client) (Step, error) {
	now := clock()
	if wait := a.throttle.take("", from.Address, false, now); wait > 0 {
		return Step{}, waiting(wait)
	}
	plain, ok := plainCode(code)
	if !ok {
		return Step{}, wrongCode(a.throttle.next("", from.Address, now))
	}
	digest := digestOf("code", plain)
	id, err := a.store.Code(ctx, digest, now)
	var u User
	if err == nil {
		u, err = a.store.UserByID(ctx, id)
	}
	if errors.Is(err, ErrNone) || err == nil && (u.out() || u.Source != Local) {
		a.notice(ctx, Event{What: "login failed", Address: from.Address, Error: "code to set a password"})
		return Step{}, wrongCode(a.throttle.next("", from.Address, now))
	}
	if err != nil {
		return Step{}, err
	}
	a.throttle.forgive("", from.Address, false, now)
	phc, err := a.newPassword(ctx, u, password)
	if err != nil {
		return Step{}, err
	}
	if ok, err = a.store.TakeCode(ctx, digest); err != nil {
		return Step{}, err
	}
	if !ok {
		return Step{}, wrongCode(0)
	}
	if u.Epoch, err = a.store.SetPassword(ctx, u.ID, phc); err != nil {
		return Step{}, err
	}
	if _, err = a.store.EndSessions(ctx, u.ID, ""); err != nil {
		return Step{}, err
	}
	a.notice(ctx, Event{What: "code used", User: u.Name, Address: from.Address})
	return a.passed(ctx, u, from, "code to set a password")
}

// newPassword hashes a new password, if it is good.
func (a *Accounts) newPassword(ctx context.Context, u User, password string) (string, error) {
	if err := CheckPassword(password, u.Name, u.Display, u.Mail); err != nil {
		return "", err
	}
	return a.hasher.hash(ctx, prepared(password))
}

// clipToken bounds what is hashed of a token that a stranger sent.
func clipToken(s string) string { return s[:min(len(s), 128)] }

// agent is what a browser says it is, as it can be shown.
func agent(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 200)], "")
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s)
}
