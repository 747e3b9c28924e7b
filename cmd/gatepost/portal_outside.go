package main

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/internal/ldapdir"
	"gatepost/internal/oidc"
)

// byPortal is what a login by the issuer carries, so that one of the console is none here.
const byPortal = "portal"

// portalOutside proves users of the portal by the directory and the issuer of [login], where policy wants it.
type portalOutside struct{ u *portalUsers }

// Outside is that of portal.Users.
func (u *portalUsers) Outside() portal.Outside { return portalOutside{u} }

// Ways is that of portal.Outside.
func (o portalOutside) Ways() (out portal.Ways) {
	p, l := o.u.d.document.Load().Policy.Portal, &o.u.d.users.logins
	out.Directory = p.LDAP && l.ldap != nil
	if p.OIDC && l.oidc != nil {
		if out.Issuer = o.u.d.bootstrap.Login.OIDC.Label; out.Issuer == "" {
			if u, err := url.Parse(l.oidc.Issuer()); err == nil {
				out.Issuer = u.Hostname()
			}
		}
	}
	return out
}

// Password is that of portal.Outside. Tries are slowed as those of the console are; of one of which nothing was found out none counts.
func (o portalOutside) Password(ctx context.Context, from netip.Addr, name, password string) (string, time.Time, portal.Fault) {
	u := o.u
	if u.guesses.Take(name, from) > 0 {
		return "", time.Time{}, portal.Often
	}
	p, err := u.d.users.logins.ldap.Check(ctx, name, password)
	switch {
	case errors.Is(err, ldapdir.ErrWrong):
		u.d.log.Warn("portal: a login by the directory was refused", "name", gateway.CleanText(name, 256), "address", from, "error", gateway.CleanText(err.Error(), 300))
		return "", time.Time{}, portal.Wrong
	case err != nil:
		u.guesses.Forgive(name, from, false)
		u.d.log.Warn("portal: the directory cannot be asked", "error", gateway.CleanText(err.Error(), 300))
		return "", time.Time{}, portal.Away
	}
	u.guesses.Forgive(name, from, true)
	return u.begin(ctx, "directory", p.Name, p.Mail, from)
}

// Depart is that of portal.Outside.
func (o portalOutside) Depart(ctx context.Context) (address, ticket string, fault portal.Fault) {
	address, ticket, err := o.u.d.users.logins.oidc.Start(ctx, oidc.Request{Redirect: o.u.page("/issuer/back"), Carry: byPortal})
	if err != nil {
		o.u.d.log.Warn("portal: the issuer cannot be asked", "error", gateway.CleanText(err.Error(), 300))
		return "", "", portal.Away
	}
	return address, ticket, portal.Fine
}

// Arrive is that of portal.Outside.
func (o portalOutside) Arrive(ctx context.Context, query url.Values, ticket string) (string, time.Time, portal.Fault) {
	u := o.u
	p, err := u.d.users.logins.oidc.Finish(ctx, query, ticket)
	switch {
	case errors.Is(err, oidc.ErrRefused), err == nil && p.Carry != byPortal:
		u.d.log.Warn("portal: a login by the issuer was refused", "error", err)
		return "", time.Time{}, portal.Wrong
	case err != nil:
		u.d.log.Warn("portal: the issuer cannot be asked", "error", gateway.CleanText(err.Error(), 300))
		return "", time.Time{}, portal.Away
	}
	return u.begin(ctx, "issuer", p.Name, p.Mail, netip.Addr{})
}

// begin makes a session of whose addresses were proved: those that mail is taken for here, the first of which is who he is.
func (u *portalUsers) begin(ctx context.Context, how, name string, addresses []string, from netip.Addr) (string, time.Time, portal.Fault) {
	var mine []string
	for _, text := range addresses {
		if _, a, ok := u.served(text); ok && !slices.Contains(mine, a) {
			mine = append(mine, a)
		}
	}
	if len(mine) == 0 {
		u.d.log.Info("portal: who logged in has no address here", "how", how, "name", gateway.CleanText(name, 256))
		return "", time.Time{}, portal.NoMailbox
	}
	further, n := digest.JoinFurther(mine[1:])
	if n < len(mine)-1 {
		u.d.log.Warn("portal: a user has more addresses than a session holds; he can link the others", "user", mine[0], "addresses", len(mine), "held", n+1)
	}
	now := time.Now()
	ends := now.Add(min(u.d.document.Load().Policy.Portal.Session, u.d.bootstrap.Login.Session))
	u.d.log.Info("portal: a user logged in", "user", gateway.CleanText(mine[0], 320), "how", how, "name", gateway.CleanText(name, 256))
	u.d.noteLogin(ctx, how, name, mine[:n+1], from)
	return digest.Make(u.d.digests.key, &digest.Token{ID: digest.Random(), Rcpt: mine[0], Further: further, Action: digest.Session, Expires: ends}), ends, portal.Fine
}
