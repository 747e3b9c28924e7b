package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"gatepost/console"
	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/config"
	"gatepost/internal/ldapdir"
	"gatepost/internal/oidc"
)

// outside is who proves people for the console that have no account of ours, and what their groups may.
func (l *logins) outside(c *config.Login) accounts.Outside {
	out := accounts.Outside{Session: c.Session, Tokens: c.Tokens}
	for _, g := range c.Groups {
		name := g.Group
		if dn, ok := ldapdir.DN(name); ok && l.ldap != nil {
			name = dn // as the directory's are written; a group of the issuer is compared as it is
			if l.oidc != nil && name != g.Group {
				out.Grants = append(out.Grants, accounts.Grant{Group: g.Group, Role: access.Role(g.Role), Domains: g.Domains})
			}
		}
		out.Grants = append(out.Grants, accounts.Grant{Group: name, Role: access.Role(g.Role), Domains: g.Domains})
	}
	if l.ldap != nil && len(out.Grants) > 0 {
		out.Directory = l.person
	}
	return out
}

// person proves somebody by the directory, as accounts ask it.
func (l *logins) person(ctx context.Context, name, password string) (accounts.Person, error) {
	p, err := l.ldap.Check(ctx, name, password)
	if errors.Is(err, ldapdir.ErrWrong) {
		return accounts.Person{}, fmt.Errorf("%w: %w", accounts.ErrNone, err)
	}
	if err != nil {
		return accounts.Person{}, err
	}
	return accounts.Person{Subject: p.ID, Name: p.Name, Display: p.Display, Mail: first(p.Mail), Groups: p.Groups}, nil
}

// consoleOutside is who lets in people from outside, as the console asks it.
type consoleOutside struct {
	d *daemon
	consoleAccounts
}

// Doors is that of console.Outside.
func (o consoleOutside) Doors() (out console.Doors) {
	l, c := &o.d.users.logins, &o.d.bootstrap.Login
	if len(c.Groups) == 0 {
		return out
	}
	out.Directory, out.Origins = l.ldap != nil, o.d.consoleSite().Origins
	directory, issuer := o.d.loginErrors()
	if directory != nil {
		out.Away = append(out.Away, "The directory")
	}
	if l.oidc == nil {
		return out
	}
	if out.Issuer = c.OIDC.Label; out.Issuer == "" {
		u, _ := url.Parse(l.oidc.Issuer()) // it was read before
		out.Issuer = u.Hostname()
	}
	if issuer != nil {
		out.Away = append(out.Away, out.Issuer)
	}
	return out
}

// Start is that of console.Outside.
func (o consoleOutside) Start(ctx context.Context, origin, path, carry string, again bool) (address, ticket string, err error) {
	address, ticket, err = o.d.users.logins.oidc.Start(ctx, oidc.Request{Redirect: origin + path, Carry: carry, Again: again})
	if err != nil {
		o.d.log.Warn("console: the issuer cannot be asked", "error", err)
		err = consoleRefusal(&accounts.Refusal{Kind: accounts.Busy, Message: "the issuer does not answer", Hint: "sign in later, or with an account of this host"})
	}
	return address, ticket, err
}

// Finish is that of console.Outside.
func (o consoleOutside) Finish(ctx context.Context, query url.Values, ticket string, from netip.Addr, agent string) (in console.Login, carry string, err error) {
	step, err := o.Issued(ctx, accounts.Client{Address: from, Agent: agent}, func(ctx context.Context) (accounts.Person, error) {
		p, err := o.d.users.logins.oidc.Finish(ctx, query, ticket)
		if errors.Is(err, oidc.ErrRefused) {
			return accounts.Person{}, fmt.Errorf("%w: %w", accounts.ErrNone, err)
		}
		if err != nil {
			return accounts.Person{}, err
		}
		carry = p.Carry
		return accounts.Person{Subject: p.Subject, Name: p.Name, Display: p.Display, Mail: first(p.Mail), Groups: p.Groups, Second: p.Second, Proved: p.Proved}, nil
	})
	in, err = o.step(ctx, step, err)
	return in, carry, err
}

// first is the first of a list, or "".
func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
