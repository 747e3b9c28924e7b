package accounts

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"gatepost/internal/access"
)

func (a *Accounts) newSession(u User, token string, from Client, how string) Session {
	now := clock()
	return Session{Digest: digestOf("session", token), ID: newID(), User: u.ID, Epoch: u.Epoch, Created: now, Seen: now, Proved: now, Address: addressText(from.Address), Agent: agent(from.Agent), Source: u.Source, How: how}
}

// live reports whether a session has not run out.
func (a *Accounts) live(s Session, now time.Time) bool {
	return !s.Pending && now.Sub(s.Seen) < IdleTime && now.Sub(s.Created) < a.longest(s.Source)
}

// trim ends the oldest sessions of a user who has too many.
func (a *Accounts) trim(ctx context.Context, u User) error {
	all, err := a.store.Sessions(ctx, u.ID)
	if err != nil || len(all) <= mostSessions {
		return err
	}
	for _, s := range all[mostSessions:] {
		if _, err := a.store.EndSession(ctx, u.ID, s.ID); err != nil {
			return err
		}
	}
	return nil
}

// FromSession says who is behind the token of a session, at an address. Rights are those that the user has now. It is Wrong
// where there is no such session, or no longer.
func (a *Accounts) FromSession(ctx context.Context, token string, address netip.Addr) (access.Actor, Session, error) {
	if len(token) != 43 {
		return access.Actor{}, Session{}, ended()
	}
	s, u, err := a.store.Session(ctx, digestOf("session", token))
	now := clock()
	if errors.Is(err, ErrNone) || err == nil && (!a.live(s, now) || u.out() || s.Epoch != u.Epoch) {
		return access.Actor{}, Session{}, ended()
	}
	if err != nil {
		return access.Actor{}, Session{}, err
	}
	if now.Sub(s.Seen) >= touchEvery {
		if err := a.store.TouchSession(ctx, s.Digest, now); err != nil {
			return access.Actor{}, Session{}, err
		}
		s.Seen = now
	}
	return access.Actor{Name: u.Name, Role: u.Role, Domains: u.Domains, Via: access.BySession, Address: address, Session: s.ID}, s, nil
}

// Logout ends a session by its token. One that is not there is ended already.
func (a *Accounts) Logout(ctx context.Context, token string, from Client) error {
	s, u, err := a.store.Session(ctx, digestOf("session", clipToken(token)))
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err == nil {
		_, err = a.store.EndSession(ctx, u.ID, s.ID)
		a.notice(ctx, Event{What: "logout", User: u.Name, Address: from.Address})
	}
	return err
}

// Sessions lists the live sessions of a user, of all with "", the newest first.
func (a *Accounts) Sessions(ctx context.Context, name string) ([]Session, error) {
	epochs, id := map[string]int64{}, ""
	if name != "" {
		u, err := a.find(ctx, name)
		if err != nil {
			return nil, err
		}
		epochs[u.ID], id = u.Epoch, u.ID
	} else {
		users, err := a.store.Users(ctx)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			epochs[u.ID] = u.Epoch
		}
	}
	all, err := a.store.Sessions(ctx, id)
	if err != nil {
		return nil, err
	}
	now := clock()
	out := all[:0]
	for _, s := range all {
		if epoch, there := epochs[s.User]; there && a.live(s, now) && s.Epoch == epoch {
			out = append(out, s)
		}
	}
	return out, nil
}

// EndSession ends one session of a user by its ID; with "" all, but for the one of whoever asks. It returns how many. Every user
// ends his own; others those of users upon whom they may act.
func (a *Accounts) EndSession(ctx context.Context, who access.Actor, name, id string) (int, error) {
	u, err := a.find(ctx, name)
	if err != nil {
		return 0, err
	}
	if err := ownOrOver(who, u); err != nil {
		return 0, err
	}
	if id == "" {
		return a.store.EndSessions(ctx, u.ID, who.Session)
	}
	there := false
	if isID(id) {
		there, err = a.store.EndSession(ctx, u.ID, id)
	}
	if err == nil && !there {
		err = &Refusal{Kind: Missing, Message: "there is no such session", Field: "id"}
	}
	return 1, err
}

// Fresh refuses, with Prove, whoever acts in a session and gave no password or code in the last ProofTime. Users, tokens, keys and
// publishing ask it. Programs with a token and the command line have nothing to give again.
func (a *Accounts) Fresh(ctx context.Context, who access.Actor) error {
	if who.Via != access.BySession {
		return nil
	}
	_, _, err := a.inFreshSession(ctx, who)
	return err
}

// inFreshSession is inSession for what asks for a proof of the last ProofTime.
func (a *Accounts) inFreshSession(ctx context.Context, who access.Actor) (User, Session, error) {
	u, s, err := a.inSession(ctx, who)
	if err == nil && clock().Sub(s.Proved) >= ProofTime {
		err = &Refusal{Kind: Prove, Message: "this wants your password or a code again", Hint: "confirm that it is you", Field: "proof"}
	}
	return u, s, err
}

// Prove takes the password again, or the code where the user has TOTP, and renews the session: the old token is worth nothing
// afterwards, and the new one is returned.
func (a *Accounts) Prove(ctx context.Context, who access.Actor, proof string) (string, error) {
	u, s, err := a.inSession(ctx, who)
	if err != nil {
		return "", err
	}
	if err := a.proof(ctx, u, who.Address, proof); err != nil {
		return "", err
	}
	a.notice(ctx, Event{What: "confirmed", User: u.Name, Address: who.Address})
	token, _, err := a.renew(ctx, u, s)
	return token, err
}

// proof checks the code of a user who has TOTP, else the password.
func (a *Accounts) proof(ctx context.Context, u User, from netip.Addr, proof string) error {
	if u.TOTP {
		_, _, err := a.code(ctx, u, proof)
		return err
	}
	if u.Source == FromIss {
		return &Refusal{Kind: Wrong, Message: "the issuer has the password of this account", Hint: "sign in there again", Field: "proof"}
	}
	now := clock()
	if wait := a.throttle.take(u.Name, from, true, now); wait > 0 {
		return waiting(wait)
	}
	if u.Source == FromDir {
		return a.proofOutside(ctx, u, from, proof)
	}
	secrets, err := a.secrets(ctx, u)
	if err == nil {
		var ok bool
		if ok, err = a.check(ctx, u, secrets.Password, proof); err == nil && !ok {
			return &Refusal{Kind: Wrong, Message: "the password is wrong", Field: "proof", Wait: a.throttle.next(u.Name, from, clock())}
		}
	}
	a.throttle.forgive(u.Name, from, err == nil, now)
	return err
}

// proofOutside checks the password of a user whom a directory knows. A try was counted.
func (a *Accounts) proofOutside(ctx context.Context, u User, from netip.Addr, proof string) error {
	p, err := Person{}, ErrNone
	if a.outside.Directory != nil {
		p, err = a.outside.Directory(ctx, u.Name, proof)
	}
	switch {
	case errors.Is(err, ErrNone) || err == nil && p.Subject != u.Subject:
		return &Refusal{Kind: Wrong, Message: "the password is wrong", Field: "proof", Wait: a.throttle.next(u.Name, from, clock())}
	case err != nil:
		a.throttle.forgive(u.Name, from, false, clock())
		return &Refusal{Kind: Busy, Message: "the directory does not answer", Hint: "repeat it later", Wait: time.Minute}
	}
	a.throttle.forgive(u.Name, from, true, clock())
	return nil
}

// renew puts a session that was proved just now under a new token in place of another, with the user's epoch of now, and returns its
// ID too. It is as old as the other was.
func (a *Accounts) renew(ctx context.Context, u User, old Session) (token, id string, err error) {
	token = newToken()
	s, now := old, clock()
	s.Digest, s.ID, s.Epoch, s.Seen, s.Proved = digestOf("session", token), newID(), u.Epoch, now, now
	there, err := a.store.ReplaceSession(ctx, old.Digest, s)
	if err != nil {
		return "", "", err
	}
	if !there {
		return "", "", ended()
	}
	return token, s.ID, nil
}
