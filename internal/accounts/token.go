package accounts

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/internal/access"
)

// NewToken is what a token of the API is made of.
type NewToken struct {
	Name    string // what it is for
	Rights  []access.Right
	Domains []string
	Expires time.Time
}

// AddToken makes a token for whoever asks, or for a user upon whom he may act. The text is shown once.
func (a *Accounts) AddToken(ctx context.Context, who access.Actor, user string, n NewToken) (text string, t Token, err error) {
	if who.Via == access.ByToken || who.Via == access.BySSH { // it would outlive what let him in
		return "", t, &Refusal{Kind: Forbidden, Message: "neither a token nor a key makes a token", Hint: "make it in the console or by the command line"}
	}
	u, err := a.find(ctx, user)
	if err != nil {
		return "", t, err
	}
	if err := errors.Join(ownOrOver(who, u), Covers(who, u), a.Fresh(ctx, who)); err != nil {
		return "", t, err
	}
	if t, err = checkToken(u, n, clock()); err != nil {
		return "", t, err
	}
	all, err := a.store.Tokens(ctx, u.ID)
	if err != nil {
		return "", t, err
	}
	if len(all) >= mostTokens {
		return "", t, &Refusal{Kind: Conflict, Message: "the user has 50 tokens", Hint: "revoke one that is not used"}
	}
	if slices.ContainsFunc(all, func(o Token) bool { return o.Name == t.Name }) {
		return "", t, &Refusal{Kind: Conflict, Message: "the user has a token of that name", Field: "name"}
	}
	text = newAPIToken()
	t.Digest = digestOf("token", text)
	return text, t, a.store.PutToken(ctx, t)
}

// checkToken holds a token against its user.
func checkToken(u User, n NewToken, now time.Time) (t Token, err error) {
	n.Name = strings.TrimSpace(n.Name)
	if n.Name == "" || !plainText(n.Name, 64) {
		return t, bad("name", "a token has a name of at most 64 characters that says what it is for")
	}
	for _, r := range n.Rights {
		if !r.Known() {
			return t, bad("rights", "there is no right %.40q", string(r))
		}
		if owner := (access.Actor{Role: u.Role, Domains: u.Domains}); !owner.May(r) {
			return t, &Refusal{Kind: Forbidden, Message: u.Name + " has not the right " + string(r), Field: "rights"}
		}
	}
	if n.Domains, err = domains(n.Domains); err != nil {
		return t, err
	}
	if len(u.Domains) > 0 {
		for _, d := range n.Domains {
			if !slices.Contains(u.Domains, d) {
				return t, &Refusal{Kind: Forbidden, Message: u.Name + " has not the domain " + d, Field: "domains"}
			}
		}
	}
	if !n.Expires.After(now) || n.Expires.Sub(now) > longestTokens {
		return t, bad("expires", "a token ends after now, and in a year at the latest")
	}
	return Token{ID: newID(), User: u.ID, Name: n.Name, Rights: n.Rights, Domains: n.Domains, Created: now, Expires: n.Expires.UTC().Truncate(time.Millisecond)}, nil
}

// FromToken says who is behind an Authorization field. Its actor has what the token was given and its user still has.
func (a *Accounts) FromToken(ctx context.Context, header string, address netip.Addr) (access.Actor, error) {
	no := func() (access.Actor, error) {
		return access.Actor{}, &Refusal{Kind: Wrong, Message: "the token is not known, or over", Hint: "send it as Authorization: Bearer gp_..."}
	}
	text, ok := Bearer(header)
	if !ok {
		return no()
	}
	t, u, err := a.store.Token(ctx, digestOf("token", text))
	now := clock()
	if errors.Is(err, ErrNone) || err == nil && (u.out() || !now.Before(t.Expires) || a.stale(u, now)) {
		return no()
	}
	if err != nil {
		return access.Actor{}, err
	}
	who := access.Actor{Name: u.Name, Role: u.Role, Domains: both(u.Domains, t.Domains), Rights: t.Rights, Via: access.ByToken, Address: address}
	if len(who.Domains) == 0 && len(u.Domains)+len(t.Domains) > 0 {
		return no() // none is left that both have; an empty list would be all
	}
	if now.Sub(t.Used) >= touchEvery {
		if err := a.store.TouchToken(ctx, t.Digest, now, addressText(address)); err != nil {
			return access.Actor{}, err
		}
	}
	return who, nil
}

// stale reports whether a user from outside was not there for so long that nobody knows whether he still may what he could.
func (a *Accounts) stale(u User, now time.Time) bool {
	return u.Source != Local && now.Sub(u.Login) >= cmp.Or(a.outside.Tokens, DefaultTokens)
}

// both are the domains that stand in both lists, of which an empty one is all.
func both(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(d string) bool { return !slices.Contains(b, d) })
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Tokens lists the tokens of a user, of all with "", the newest first, also those that are over, until Sweep removes them.
func (a *Accounts) Tokens(ctx context.Context, name string) ([]Token, error) {
	if name == "" {
		return a.store.Tokens(ctx, "")
	}
	u, err := a.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return a.store.Tokens(ctx, u.ID)
}

// RevokeToken ends a token: one's own, or one of a user upon whom the actor may act.
func (a *Accounts) RevokeToken(ctx context.Context, who access.Actor, id string) (Token, error) {
	none := &Refusal{Kind: Missing, Message: "there is no such token", Field: "id"}
	all, err := a.store.Tokens(ctx, "")
	if err != nil {
		return Token{}, err
	}
	i := slices.IndexFunc(all, func(t Token) bool { return t.ID == id })
	if i < 0 {
		return Token{}, none
	}
	u, err := a.store.UserByID(ctx, all[i].User)
	if err != nil {
		return Token{}, err
	}
	if !himself(who, u) && !who.May(access.UsersChange) {
		return Token{}, none // whose it is, is not for whoever may not change users
	}
	if err := ownOrOver(who, u); err != nil {
		return Token{}, err
	}
	there, err := a.store.RemoveToken(ctx, id)
	if err == nil && !there {
		err = none
	}
	return all[i], err
}
