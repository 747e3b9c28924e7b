package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/config"
	"gatepost/internal/lab/issuer"
	"gatepost/internal/lab/labtest"
)

// loginDocument is a bootstrap document with a directory that nobody reaches and an issuer.
func loginDocument(t *testing.T, issuer string) *config.Bootstrap {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, problems := config.DecodeBootstrap(config.BootstrapFile, []byte(`
[web]
console_name = "console.example.org"
[login]
session = "1h"
[login.ldap]
servers = ["ldap://`+labtest.ClosedAddr(t)+`"]
clear = true
base = "dc=example,dc=org"
bind_dn = "cn=reader"
password_file = "`+secret+`"
[login.oidc]
issuer = "`+issuer+`"
client_id = "gatepost"
[[login.group]]
group = "CN=IT, DC=example,DC=org"
role = "operator"
[[login.group]]
group = "helpers"
role = "help-desk"
domains = ["example.org"]
`))
	if problems.Refused() {
		t.Fatal(problems)
	}
	b.Fill()
	return b
}

// TestLogins shows what is made of [login], and what the page of the login and health say while the directory is away, and the issuer.
func TestLogins(t *testing.T) {
	s, err := issuer.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := loginDocument(t, s.URL)
	d := &daemon{bootstrap: b, log: slog.New(slog.DiscardHandler)}
	d.where.Console = []string{"127.0.0.1:8443"}
	if d.users.logins, err = makeLogins(b, []byte("key"), d.log); err != nil {
		t.Fatal(err)
	}
	o := d.users.logins.outside(&b.Login)
	want := []accounts.Grant{{Group: "CN=IT, DC=example,DC=org", Role: access.Operator}, {Group: "cn=it,dc=example,dc=org", Role: access.Operator},
		{Group: "helpers", Role: access.HelpDesk, Domains: []string{"example.org"}}}
	if len(o.Grants) != len(want) || o.Session != time.Hour || o.Directory == nil {
		t.Errorf("%+v", o)
	}
	for i := range o.Grants {
		if o.Grants[i].Group != want[i].Group || o.Grants[i].Role != want[i].Role || !slices.Equal(o.Grants[i].Domains, want[i].Domains) {
			t.Errorf("%+v, not %+v", o.Grants[i], want[i])
		}
	}
	if _, err := o.Directory(t.Context(), "anna", "x"); err == nil || errors.Is(err, accounts.ErrNone) {
		t.Errorf("a directory that is away says of anna: %v", err)
	}
	c := consoleOutside{d: d}
	if doors := c.Doors(); !doors.Directory || doors.Issuer != "127.0.0.1" || len(doors.Away) > 0 || !slices.Contains(doors.Origins, "https://console.example.org:8443") {
		t.Errorf("%+v", doors)
	}
	if ok, said := d.loginHealth(); !ok {
		t.Errorf("before anybody was asked: %s", said)
	}
	d.users.ldapState.Store(&loginState{d.users.logins.ldap.Probe(t.Context())})
	if err := d.users.logins.oidc.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if doors := c.Doors(); !slices.Equal(doors.Away, []string{"The directory"}) {
		t.Errorf("%+v", doors)
	}
	if ok, said := d.loginHealth(); ok || !strings.Contains(said, "the directory does not answer") || strings.Contains(said, "issuer") {
		t.Errorf("%v, %s", ok, said)
	}
	if live := loginLive(t.Context(), b); len(live) != 2 || live[0].Err == nil || live[1].Err != nil {
		t.Errorf("%+v", live)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.users.logins.oidc.Check(t.Context()); err == nil {
		t.Error("an issuer that is gone answers")
	}
	if doors := c.Doors(); len(doors.Away) != 2 {
		t.Errorf("%+v", doors)
	}
	if ok, said := d.loginHealth(); ok || !strings.Contains(said, "the issuer does not answer") || strings.Contains(said, "\n") {
		t.Errorf("%v, %q", ok, said)
	}
	b.Login.Groups = nil
	if doors := c.Doors(); doors.Directory || doors.Issuer != "" {
		t.Errorf("without groups nobody gets in, and the page offers %+v", doors)
	}
	if o := d.users.logins.outside(&b.Login); o.Directory != nil {
		t.Error("without groups the directory is asked")
	}
}

// TestLoginFiles shows that files of [login] which cannot be read are told with their key.
func TestLoginFiles(t *testing.T) {
	for key, change := range map[string]func(*config.Bootstrap, string){
		"login.ldap.password_file":      func(b *config.Bootstrap, f string) { b.Login.LDAP.PasswordFile = f },
		"login.ldap.ca_file":            func(b *config.Bootstrap, f string) { b.Login.LDAP.CAFile = f },
		"login.oidc.client_secret_file": func(b *config.Bootstrap, f string) { b.Login.OIDC.SecretFile = f },
		"login.oidc.ca_file":            func(b *config.Bootstrap, f string) { b.Login.OIDC.CAFile = f },
	} {
		b, name := loginDocument(t, "https://id.example.org"), filepath.Join(t.TempDir(), "none")
		change(b, name)
		if _, err := makeLogins(b, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
		if !slices.Contains(loginFiles(b), name) {
			t.Errorf("%s: the sandbox does not hold it", key)
		}
	}
	b := loginDocument(t, "https://id.example.org")
	b.Login.LDAP.Filter = "(uid={name}"
	if _, err := makeLogins(b, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "login.ldap.filter: ") {
		t.Error(err)
	}
}
