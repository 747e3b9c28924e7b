package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gatepost/internal/access"
)

// Where accounts come from: the Source of a User.
const (
	Local   = ""     // made here, with a password of ours
	FromDir = "ldap" // proved by a directory, for each login anew
	FromIss = "oidc" // proved by an issuer of OpenID Connect, likewise
)

// Person is somebody whom a directory or an issuer proved just now.
type Person struct {
	Source  string // FromDir or FromIss
	Subject string // never that of another at the source, and stays
	Name    string
	Display string
	Mail    string   // "" for none
	Groups  []string // as Grants name them
	Second  bool     // the source asked for a second factor, and its word counts
	// Proved is when he proved himself at the source; zero where nobody knows. Of a directory it is now.
	Proved time.Time
}

// Grant is what whoever is in a group may.
type Grant struct {
	Group   string
	Role    access.Role
	Domains []string // lower-case A-labels; none: all
}

// Outside is who proves people that have no password here. The zero value is nobody.
type Outside struct {
	// Directory proves somebody by name and password; nil: there is no directory. ErrNone is said of a name that nobody has and of a
	// wrong password; any other error, that nothing was found out.
	Directory func(ctx context.Context, name, password string) (Person, error)
	// Grants are looked at in order: the first that matches gives the role, and others of the same role add their domains.
	Grants []Grant
	// Session is how old a session of such a user becomes; 0, or more than LongestTime: LongestTime.
	Session time.Duration
	// Tokens is for how long after his last login his tokens count; 0: DefaultTokens.
	Tokens time.Duration
}

// DefaultTokens is for how long after a login tokens of a user from outside count.
const DefaultTokens = 30 * 24 * time.Hour

// FailTime is how long a login that does not succeed takes at least, where there is a directory: with a name that it is asked about as
// with one that it is not, so that nobody learns which accounts are of this host.
const FailTime = 1500 * time.Millisecond

// longestSubject is how many characters may name somebody at a source.
const longestSubject = 1000

// granted is what groups may together. ok is false where they may nothing.
func (o *Outside) granted(groups []string) (role access.Role, domains []string, ok bool) {
	everywhere := false
	for _, g := range o.Grants {
		if !slices.Contains(groups, g.Group) || ok && g.Role != role {
			continue
		}
		role, ok = g.Role, true
		everywhere = everywhere || len(g.Domains) == 0
		domains = append(domains, g.Domains...)
	}
	if everywhere {
		domains = nil
	}
	slices.Sort(domains)
	return role, slices.Compact(domains), ok
}

// longest is how old sessions of a source become.
func (a *Accounts) longest(source string) time.Duration {
	if source != Local && a.outside.Session > 0 {
		return min(a.outside.Session, LongestTime)
	}
	return LongestTime
}

// settle waits until a login that fails may be told so.
func (a *Accounts) settle(ctx context.Context, began time.Time) {
	if a.outside.Directory == nil {
		return
	}
	wait := time.NewTimer(time.Until(began.Add(FailTime)))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// byDirectory goes on with a login by name and password that no account of ours is for. It is Wrong for a wrong password, for
// whoever is in no group that may log in, and while the directory does not answer, which its health tells.
func (a *Accounts) byDirectory(ctx context.Context, name, password string, from Client) (Step, error) {
	fails := func(user string, why error) (Step, error) {
		a.notice(ctx, Event{What: "login failed", User: user, Address: from.Address, Error: why.Error()})
		return Step{}, wrong(a.throttle.next(name, from.Address, clock()))
	}
	p, err := a.outside.Directory(ctx, name, password)
	if errors.Is(err, ErrNone) {
		return fails("", errors.New("password, in the directory"))
	}
	if err != nil {
		return fails("", err)
	}
	p.Source, p.Proved = FromDir, clock()
	u, err := a.admit(ctx, p, from)
	if _, told := errors.AsType[*Refusal](err); told {
		return fails(Name(p.Name), err)
	}
	if err != nil {
		return Step{}, err
	}
	if Name(p.Name) != name { // he has several names there
		a.throttle.forgive(name, from.Address, true, clock())
	}
	return a.admitted(ctx, u, p, from, "LDAP")
}

// Issued ends a login of somebody whom an issuer proves: prove reads what the browser brought, and its error is ErrNone where that
// proves nobody, any other where nothing was found out. Who he is, is told as it is: nobody guesses anything by that. It is Forbidden
// where he is in no group that may log in.
func (a *Accounts) Issued(ctx context.Context, from Client, prove func(context.Context) (Person, error)) (Step, error) {
	const how = "OpenID Connect"
	now := clock()
	if wait := a.throttle.take("", from.Address, false, now); wait > 0 {
		return Step{}, waiting(wait)
	}
	p, err := prove(ctx)
	if err != nil {
		a.notice(ctx, Event{What: "login failed", Address: from.Address, How: how, Error: err.Error()})
	}
	if errors.Is(err, ErrNone) {
		return Step{}, &Refusal{Kind: Wrong, Message: "what came back from the issuer proves nobody", Hint: "sign in again", Wait: a.throttle.next("", from.Address, clock())}
	}
	a.throttle.forgive("", from.Address, false, clock())
	if err != nil {
		return Step{}, &Refusal{Kind: Busy, Message: "the issuer does not answer", Hint: "sign in later, or with an account of this host", Wait: time.Minute}
	}
	p.Source = FromIss
	u, err := a.admit(ctx, p, from)
	if _, told := errors.AsType[*Refusal](err); told {
		a.notice(ctx, Event{What: "login failed", User: Name(p.Name), Address: from.Address, How: how, Error: err.Error()})
	}
	if err != nil {
		return Step{}, err
	}
	return a.admitted(ctx, u, p, from, how)
}

// admitted is passed for who was proved outside, at another time perhaps.
func (a *Accounts) admitted(ctx context.Context, u User, p Person, from Client, how string) (Step, error) {
	if u.Second() && !p.Second {
		return a.passed(ctx, u, from, how)
	}
	if p.Second {
		how += " and its second factor"
	}
	s := a.newSession(u, "", from, how)
	if proved := p.Proved.UTC().Truncate(time.Millisecond); proved.Before(s.Proved) {
		s.Proved = proved
	}
	return a.enterAt(ctx, u, s, from.Address, -1)
}

// admit makes or changes the account of somebody as his groups say. Where they say nothing any more, what he had is over: his
// sessions end, and his tokens count no more.
func (a *Accounts) admit(ctx context.Context, p Person, from Client) (User, error) {
	var before, after User
	var refused error
	err := a.store.ChangeUsers(ctx, func(all []User) ([]User, []string, error) {
		before, after, refused = a.admission(all, p)
		if after.ID == "" || after.written() == before.written() {
			return nil, nil, nil
		}
		return []User{after}, nil, nil
	})
	if err != nil {
		return after, err
	}
	if after.Epoch != before.Epoch && before.ID != "" {
		if _, err := a.store.EndSessions(ctx, after.ID, ""); err != nil {
			return after, err
		}
	}
	if after.ID != "" && after.written() != before.written() {
		what := "account changed by its groups"
		switch {
		case before.ID == "":
			what = "account made by its groups"
		case refused != nil:
			what = "account without a group"
		}
		a.notice(ctx, Event{What: what, User: after.Name, Address: from.Address, How: sourceWord(p.Source) + ": " + after.grants()})
	}
	return after, refused
}

// admission is what becomes of the account of somebody: as it was, and as it shall be, without an ID for none. refused is why he does
// not get in all the same.
func (a *Accounts) admission(all []User, p Person) (before, after User, refused error) {
	name := Name(p.Name)
	mine := func(u User) bool { return u.Source == p.Source && u.Subject == p.Subject }
	if i := slices.IndexFunc(all, mine); i >= 0 {
		before = all[i]
	}
	role, domains, may := a.outside.granted(p.Groups)
	switch {
	case name == "" || p.Subject == "" || !plainText(p.Subject, longestSubject):
		return before, before, &Refusal{Kind: Conflict, Message: "the name " + sourceWord(p.Source) + " gives cannot be one here", Hint: "an admin writes another attribute or claim as name of [login]"}
	case slices.ContainsFunc(all, func(u User) bool { return u.Name == name && !mine(u) }):
		return before, before, &Refusal{Kind: Conflict, Message: "the name is that of another account here", Hint: "an owner removes or renames one of them"}
	case !may && before.ID == "":
		return before, before, noGroup()
	case !may:
		after = before
		if !after.Lapsed {
			after.Lapsed = true
			after.Epoch++
		}
		return before, after, noGroup()
	case ownerLeft(all) != nil: // the first to come in must not shut out whoever is to be the first owner
		return before, before, &Refusal{Kind: Conflict, Message: "there is no owner yet", Hint: "the first owner comes in at /setup"}
	}
	if after = before; after.ID == "" {
		if len(all) >= mostUsers {
			return before, before, &Refusal{Kind: Conflict, Message: "there are 1000 users"}
		}
		after = User{ID: newID() + newID(), Created: clock(), Source: p.Source, Subject: p.Subject}
	}
	after.Name, after.Role, after.Domains, after.Lapsed = name, role, domains, false
	after.Display, after.Mail = plainOr(p.Display, 100), plainOr(p.Mail, 254)
	if before.ID != "" && (after.Role != before.Role || after.Lapsed != before.Lapsed || !slices.Equal(after.Domains, before.Domains)) {
		after.Epoch++
	}
	if after.Disabled {
		refused = &Refusal{Kind: Forbidden, Message: "the account is disabled here", Hint: "an owner can let it in again"}
	}
	return before, after, refused
}

// noGroup is the refusal of whoever is known, and may nothing.
func noGroup() error {
	return &Refusal{Kind: Forbidden, Message: "no group of this account may sign in here", Hint: "whoever rules over groups can change that"}
}

// plainOr is a text that can be shown in a line, or "".
func plainOr(text string, most int) string {
	if text = strings.TrimSpace(text); plainText(text, most) {
		return text
	}
	return ""
}

// sourceWord names a source for people.
func sourceWord(source string) string {
	switch source {
	case FromDir:
		return "the directory"
	case FromIss:
		return "the issuer"
	}
	return "this host"
}

// elsewhere refuses to change here what a directory or an issuer says of a user.
func elsewhere(u User, what string) error {
	if u.Source == Local {
		return nil
	}
	return &Refusal{Kind: Conflict, Message: what + " of this account comes from " + sourceWord(u.Source), Hint: "change it there; it counts from the next login on"}
}
