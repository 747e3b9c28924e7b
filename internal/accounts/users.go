package accounts

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"gatepost/internal/access"
)

// Profile is what an admin writes of a user.
type Profile struct {
	Name    string
	Display string
	Mail    string
	Role    access.Role
	Domains []string
}

// Covers refuses whoever does not have every right of a user, for all of his domains: nobody gives what he does not have, nor
// takes it from somebody who has more.
func Covers(who access.Actor, u User) error {
	other := access.Actor{Role: u.Role, Domains: u.Domains}
	for _, r := range access.Rights() {
		if other.May(r) && !who.May(r) {
			return &Refusal{Kind: Forbidden, Message: "it needs all rights of a " + string(u.Role) + ", and you have not " + string(r), Field: "role"}
		}
	}
	if !who.Everywhere() && (len(u.Domains) == 0 || slices.ContainsFunc(u.Domains, func(d string) bool { return !who.Sees(d) })) {
		return &Refusal{Kind: Forbidden, Message: "it needs all domains of the user", Field: "domains"}
	}
	return nil
}

// himself reports whether an actor is a user. Whoever comes by the socket is an account of the system, whatever its name.
func himself(who access.Actor, u User) bool {
	return who.Name == u.Name && (who.Via == access.BySession || who.Via == access.ByToken || who.Via == access.BySSH)
}

// over refuses whoever may not act upon a user: only who may change users does, and who covers him.
func over(who access.Actor, u User) error {
	if !who.May(access.UsersChange) {
		return &Refusal{Kind: Forbidden, Message: "it needs the right " + string(access.UsersChange), Field: "user"}
	}
	return Covers(who, u)
}

// ownOrOver refuses whoever may neither act for himself, which is of his own, nor upon the user.
func ownOrOver(who access.Actor, u User) error {
	if !himself(who, u) {
		return over(who, u)
	}
	if !who.May(access.Own) {
		return &Refusal{Kind: Forbidden, Message: "it needs the right " + string(access.Own), Field: "user"}
	}
	return nil
}

// Users lists all users, by name.
func (a *Accounts) Users(ctx context.Context) ([]User, error) { return a.store.Users(ctx) }

// User returns one by name.
func (a *Accounts) User(ctx context.Context, name string) (User, error) { return a.find(ctx, name) }

func (a *Accounts) find(ctx context.Context, name string) (User, error) {
	u, err := a.store.User(ctx, Name(name))
	if errors.Is(err, ErrNone) {
		err = missing(name)
	}
	return u, err
}

func missing(name string) error {
	return &Refusal{Kind: Missing, Message: fmt.Sprintf("there is no user %.64q", name), Field: "name"}
}

// Add makes a user without a password, and a code by which he sets one (Redeem) within CodeTime.
func (a *Accounts) Add(ctx context.Context, who access.Actor, p Profile) (User, string, error) {
	u, err := p.user(User{ID: newID() + newID(), Created: clock()})
	if err != nil {
		return u, "", err
	}
	if err := errors.Join(over(who, u), a.Fresh(ctx, who)); err != nil {
		return u, "", err
	}
	err = a.store.ChangeUsers(ctx, func(all []User) ([]User, []string, error) {
		if slices.ContainsFunc(all, func(o User) bool { return o.Name == u.Name }) {
			return nil, nil, &Refusal{Kind: Conflict, Message: "there is a user of that name", Field: "name"}
		}
		if len(all) >= mostUsers {
			return nil, nil, &Refusal{Kind: Conflict, Message: "there are 1000 users"}
		}
		return []User{u}, nil, nil
	})
	if err != nil {
		return u, "", err
	}
	code, err := a.invite(ctx, u)
	return u, code, err
}

// invite makes the code by which a user sets his password.
func (a *Accounts) invite(ctx context.Context, u User) (string, error) {
	code := newCode()
	plain, _ := plainCode(code)
	return code, a.store.PutCode(ctx, u.ID, digestOf("code", plain), clock().Add(CodeTime))
}

// Change writes what an admin may change of a user: edit gets what is there, and returns it as it shall be, under the same name. A
// change of role or domains ends his sessions. match, if it is not "", is the Version that the user must still have.
func (a *Accounts) Change(ctx context.Context, who access.Actor, name, match string, edit func(Profile) (Profile, error)) (before, after User, err error) {
	return a.change(ctx, who, name, func(u User) (User, error) {
		if match != "" && match != u.Version() {
			return u, &Refusal{Kind: Stale, Message: "the user was changed meanwhile", Hint: "look at him again"}
		}
		if err := elsewhere(u, "what may be changed"); err != nil {
			return u, err
		}
		p, err := edit(Profile{Name: u.Name, Display: u.Display, Mail: u.Mail, Role: u.Role, Domains: slices.Clone(u.Domains)})
		if err != nil {
			return u, err
		}
		p.Name = u.Name
		return p.user(u)
	})
}

// Version names what an admin wrote of a user: it differs where any of it does.
func (u *User) Version() string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q %q %q %v", u.Display, u.Mail, u.Role, u.Domains, u.Disabled) // never fails
	return strconv.FormatUint(h.Sum64(), 16)
}

// Disable lets a user in no more, or again. His sessions end, and his tokens are refused while it lasts.
func (a *Accounts) Disable(ctx context.Context, who access.Actor, name string, disabled bool) (before, after User, err error) {
	return a.change(ctx, who, name, func(u User) (User, error) {
		if disabled && himself(who, u) {
			return u, &Refusal{Kind: Conflict, Message: "nobody disables himself"}
		}
		u.Disabled = disabled
		return u, nil
	})
}

// change changes one user, with whoever asks covering him before and after, and an owner left.
func (a *Accounts) change(ctx context.Context, who access.Actor, name string, edit func(User) (User, error)) (before, after User, err error) {
	if err := a.Fresh(ctx, who); err != nil {
		return before, after, err
	}
	name = Name(name)
	err = a.store.ChangeUsers(ctx, func(all []User) ([]User, []string, error) {
		i := slices.IndexFunc(all, func(u User) bool { return u.Name == name })
		if i < 0 {
			return nil, nil, missing(name)
		}
		var err error
		before = all[i]
		if after, err = edit(before); err != nil {
			return nil, nil, err
		}
		if err := errors.Join(over(who, before), over(who, after)); err != nil {
			return nil, nil, err
		}
		if after.Role != before.Role || after.Disabled != before.Disabled || !slices.Equal(after.Domains, before.Domains) {
			after.Epoch++
		}
		all[i] = after
		return []User{after}, nil, ownerLeft(all)
	})
	if err == nil && after.Epoch != before.Epoch {
		_, err = a.store.EndSessions(ctx, after.ID, "")
	}
	return before, after, err
}

// ownerLeft refuses what would leave nobody of our own who may make users: a directory may be away.
func ownerLeft(all []User) error {
	if slices.ContainsFunc(all, func(u User) bool {
		return u.Source == Local && u.Role == access.Owner && len(u.Domains) == 0 && !u.Disabled
	}) {
		return nil
	}
	return &Refusal{Kind: Conflict, Message: "nobody would be left who is an owner", Hint: "make another user an owner first"}
}

// Remove removes a user with all that is his.
func (a *Accounts) Remove(ctx context.Context, who access.Actor, name string) (User, error) {
	var gone User
	if err := a.Fresh(ctx, who); err != nil {
		return gone, err
	}
	name = Name(name)
	err := a.store.ChangeUsers(ctx, func(all []User) ([]User, []string, error) {
		i := slices.IndexFunc(all, func(u User) bool { return u.Name == name })
		if i < 0 {
			return nil, nil, missing(name)
		}
		gone = all[i]
		if err := over(who, gone); err != nil {
			return nil, nil, err
		}
		if himself(who, gone) {
			return nil, nil, &Refusal{Kind: Conflict, Message: "nobody removes himself"}
		}
		return nil, []string{gone.ID}, ownerLeft(slices.Delete(slices.Clone(all), i, i+1))
	})
	return gone, err
}

// Reset takes away a user's password and, if second is set, his second factors; it ends his sessions, and returns a code by which he
// sets a password within CodeTime. Of who has no password here only the second factors go, and the code is "".
func (a *Accounts) Reset(ctx context.Context, who access.Actor, name string, second bool) (User, string, error) {
	u, err := a.find(ctx, name)
	if err != nil {
		return u, "", err
	}
	if err := errors.Join(over(who, u), a.Fresh(ctx, who)); err != nil {
		return u, "", err
	}
	if u.Source != Local {
		return u, "", a.resetOutside(ctx, u, second)
	}
	if _, err := a.store.SetPassword(ctx, u.ID, ""); err != nil {
		return u, "", err
	}
	if second {
		if err := a.dropSecond(ctx, u); err != nil {
			return u, "", err
		}
	}
	if _, err := a.store.EndSessions(ctx, u.ID, ""); err != nil {
		return u, "", err
	}
	code, err := a.invite(ctx, u)
	return u, code, err
}

// resetOutside is Reset for a user who has no password here: his second factors can go, and there is no code.
func (a *Accounts) resetOutside(ctx context.Context, u User, second bool) error {
	if !second {
		return elsewhere(u, "the password")
	}
	if err := a.dropSecond(ctx, u); err != nil {
		return err
	}
	_, err := a.store.EndSessions(ctx, u.ID, "")
	return err
}

// dropSecond takes away TOTP, recovery codes and passkeys.
func (a *Accounts) dropSecond(ctx context.Context, u User) error {
	if _, err := a.store.SetTOTP(ctx, u.ID, nil, 0, nil); err != nil {
		return err
	}
	keys, err := a.store.Passkeys(ctx, u.ID)
	for _, k := range keys {
		_, e := a.store.RemovePasskey(ctx, u.ID, k.ID)
		err = errors.Join(err, e)
	}
	return err
}

// user lays a profile over a user.
func (p Profile) user(u User) (User, error) {
	u.Name, u.Display, u.Mail, u.Role = Name(p.Name), strings.TrimSpace(p.Display), strings.TrimSpace(p.Mail), p.Role
	if u.Name == "" {
		return u, bad("name", "a name has 1 to 64 letters, digits, dots, hyphens, and no others but _ @ +, and begins with a letter or digit")
	}
	if !plainText(u.Display, 100) {
		return u, bad("display", "a display name has at most 100 characters that can be shown")
	}
	if a, err := mail.ParseAddress(u.Mail); u.Mail != "" && (err != nil || a.Address != u.Mail || len(u.Mail) > 254) {
		return u, bad("mail", "is no mail address")
	}
	if !u.Role.Known() {
		return u, bad("role", "there is no role %.40q", string(u.Role))
	}
	var err error
	u.Domains, err = domains(p.Domains)
	return u, err
}

// domains are names as access.Actor holds them: lower-case A-labels, each once, in order.
func domains(names []string) (out []string, err error) {
	if len(names) > 1000 {
		return nil, bad("domains", "there are more than 1000 domains")
	}
	for _, n := range names {
		d, err := idna.Lookup.ToASCII(strings.ToLower(strings.TrimSuffix(strings.TrimSpace(n), ".")))
		if err != nil || d == "" || len(d) > 253 {
			return nil, bad("domains", "%.80q is no domain", n)
		}
		out = append(out, d)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// plainText reports whether a text can be shown in a line: no control characters, nothing that turns its direction.
func plainText(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}
