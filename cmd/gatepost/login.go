package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/config"
	"gatepost/internal/ldapdir"
	"gatepost/internal/oidc"
)

// logins are who proves people that have no account of ours: the directory and the issuer of [login]; nil where there is none.
type logins struct {
	ldap *ldapdir.Login
	oidc *oidc.Client
}

// makeLogins makes those of a document. It asks nobody. key seals what browsers keep while they are at the issuer; all nodes that
// share users have the same.
func makeLogins(b *config.Bootstrap, key []byte, log *slog.Logger) (l logins, err error) {
	if b.Login.LDAP.Used() {
		if l.ldap, err = makeLDAPLogin(&b.Login.LDAP, log); err != nil {
			return l, fmt.Errorf("login.ldap.%w", err)
		}
	}
	if b.Login.OIDC.Used() {
		if l.oidc, err = makeIssuer(&b.Login.OIDC, key, log); err != nil {
			return l, fmt.Errorf("login.oidc.%w", err)
		}
	}
	return l, nil
}

func makeLDAPLogin(c *config.LoginLDAP, log *slog.Logger) (*ldapdir.Login, error) {
	client, err := ldapClient(&c.LDAPClient, log)
	if err != nil {
		return nil, err
	}
	client.Servers, client.Base = c.Servers, c.Base
	l := ldapdir.Login{Config: *client, Person: c.Filter, Name: c.Name, Mail: c.Mail, Groups: c.Groups, GroupBase: c.GroupBase, GroupFilter: c.GroupFilter, Timeout: c.Timeout}
	filter, name, mail := ldapdir.PersonAD, ldapdir.NameAD, ldapdir.AttributesAD()
	if c.Schema == "openldap" {
		filter, name, mail = ldapdir.PersonOpenLDAP, ldapdir.NameOpenLDAP, ldapdir.AttributesOpenLDAP()
	}
	l.Person, l.Name = cmp.Or(l.Person, filter), cmp.Or(l.Name, name)
	if len(l.Mail) == 0 {
		l.Mail = mail
	}
	out, err := ldapdir.NewLogin(l)
	if err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	return out, nil
}

func makeIssuer(c *config.LoginOIDC, key []byte, log *slog.Logger) (*oidc.Client, error) {
	o := oidc.Config{Issuer: c.Issuer, ClientID: c.ClientID, Scopes: c.Scopes, Name: c.Name, Mail: c.Mail, MailTrusted: c.MailTrusted, Groups: c.Groups,
		SecondAMR: c.SecondAMR, SecondACR: c.SecondACR, Timeout: c.Timeout}
	mac := hmac.New(sha256.New, key) // so that the key itself has one use
	mac.Write([]byte("logins by an issuer"))
	o.Key = mac.Sum(nil)
	if c.SecretFile != "" {
		o.Secret = func() (string, error) { return readPassword(c.SecretFile, log) }
		if _, err := o.Secret(); err != nil {
			return nil, fmt.Errorf("client_secret_file: %w", err)
		}
	}
	if c.CAFile != "" {
		var err error
		if o.RootCAs, err = readCAs(c.CAFile); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	out, err := oidc.New(o)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return out, nil
}

// loginLive asks the directory and the issuer whether they answer.
func loginLive(ctx context.Context, b *config.Bootstrap) (out []answer) {
	if !b.Login.LDAP.Used() && !b.Login.OIDC.Used() {
		return nil
	}
	l, err := makeLogins(b, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return []answer{{What: "login", Server: "gatepost.toml", Err: err}}
	}
	ask := func(server string, probe func(context.Context) error) {
		began := time.Now()
		err := probe(ctx)
		out = append(out, answer{What: "login", Server: server, Err: err, Said: "answers", Took: time.Since(began)})
	}
	if l.ldap != nil {
		ask(l.ldap.Servers[0], l.ldap.Probe)
	}
	if l.oidc != nil {
		ask(l.oidc.Issuer(), l.oidc.Check)
	}
	return out
}

// loginFiles are those that [login] names.
func loginFiles(b *config.Bootstrap) []string {
	return []string{b.Login.LDAP.PasswordFile, b.Login.LDAP.CAFile, b.Login.OIDC.SecretFile, b.Login.OIDC.CAFile}
}

// loginTime is how often the directory and the issuer are asked whether they answer.
const loginTime = time.Minute

// watchLogins asks them, as long as the daemon runs, so that the page of the login and the health say how they are.
func (d *daemon) watchLogins(ctx context.Context) {
	l := &d.users.logins
	if l.ldap == nil && l.oidc == nil {
		return
	}
	for {
		if l.ldap != nil {
			err := l.ldap.Probe(ctx)
			d.users.ldapState.Store(&loginState{err})
		}
		if l.oidc != nil {
			_ = l.oidc.Check(ctx) // State has it
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(loginTime):
		}
	}
}

// loginState is what came of a question to the directory.
type loginState struct{ err error }

// loginErrors are why the directory and the issuer cannot be used at the moment; nil where they can, or nothing is known.
func (d *daemon) loginErrors() (directory, issuer error) {
	if s := d.users.ldapState.Load(); s != nil {
		directory = s.err
	}
	if d.users.logins.oidc != nil {
		_, issuer = d.users.logins.oidc.State()
	}
	return directory, issuer
}

// watchPeople has health tell of those who know people: recipients, and who logs in.
func (d *daemon) watchPeople(h *journal.Health) {
	h.Watch("directories", d.directoryHealth)
	h.Watch("recipients", d.canaryHealth)
	if l := &d.users.logins; l.ldap != nil || l.oidc != nil {
		h.Watch("login", d.loginHealth)
	}
}

// loginHealth is the part "login" of health: whether those answer who prove people for the console and the portal.
func (d *daemon) loginHealth() (bool, string) {
	if err := errors.Join(d.loginErrors()); err != nil {
		return false, gateway.CleanText(err.Error(), 500) + "; accounts of this gateway log in as ever"
	}
	return true, ""
}
