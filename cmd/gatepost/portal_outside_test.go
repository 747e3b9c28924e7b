package main

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/console/portal"
	"gatepost/internal/config"
	"gatepost/internal/durable"
	"gatepost/internal/lab"
	"gatepost/internal/lab/issuer"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/oidc"
)

// letIn has the portal take logins by what a configuration names.
func letIn(t *testing.T, u *portalUsers, l config.Login) {
	t.Helper()
	l.Session = time.Hour
	u.d.bootstrap.Login = l
	var err error
	if u.d.users.logins, err = makeLogins(u.d.bootstrap, make([]byte, 32), u.d.log); err != nil {
		t.Fatal(err)
	}
	c := *u.d.document.Load()
	policy := *c.Policy
	policy.Portal.LDAP, policy.Portal.OIDC, policy.Portal.Session, c.Policy = true, true, 8*time.Hour, &policy
	u.d.document.Store(&c)
}

// whose are the addresses of a session.
func whose(t *testing.T, u *portalUsers, session string) string {
	t.Helper()
	addresses, _ := u.Who(t.Context(), session)
	return strings.Join(addresses, " ")
}

// TestPortalByDirectory: a real slapd proves a user by his password, his addresses are those that mail is taken for here, and nobody
// gets in by what others may know; guesses are slowed, and a session ends when the first of both bounds does.
func TestPortalByDirectory(t *testing.T) {
	u, _ := newUsers(t)
	s := labtest.Slapd(t, lab.SlapdOptions{Entries: lab.SlapdPerson("Ann", "uid: ann", "userPassword: of-ann", "mail: ann@elsewhere.example", "mail: Ann@example.org", "proxyAddresses: SMTP:ann@example.org", "proxyAddresses: smtp:info@EXAMPLE.org", "proxyAddresses: X500:/o=x") +
		lab.SlapdPerson("Zoe", "uid: zoe", "userPassword: of-zoe", "mail: zoe@elsewhere.example")})
	secret := filepath.Join(t.TempDir(), "password")
	if err := durable.WriteFile(secret, []byte(lab.SlapdPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	letIn(t, u, config.Login{LDAP: config.LoginLDAP{Servers: []string{"ldap://" + s.Addr}, Schema: "openldap", Base: lab.SlapdBase,
		LDAPClient: config.LDAPClient{BindDN: lab.SlapdReader, PasswordFile: secret, CAFile: s.Certificate, ServerName: lab.SlapdName},
		Mail:       []string{"mail", "proxyAddresses"}, Timeout: 10 * time.Second}})
	o := u.Outside()
	if w := o.Ways(); !w.Directory || w.Issuer != "" {
		t.Errorf("%+v", w)
	}
	from := netip.MustParseAddr("192.0.2.1")
	session, ends, fault := o.Password(t.Context(), from, "ann", "of-ann")
	if left := time.Until(ends); fault != portal.Fine || whose(t, u, session) != "ann@example.org info@example.org" || left > time.Hour || left < 50*time.Minute {
		t.Errorf("%d, %q until %s", fault, whose(t, u, session), ends)
	}
	for name, c := range map[string]struct {
		password string
		want     portal.Fault
	}{"zoe": {"of-zoe", portal.NoMailbox}, "ann": {"of-zoe", portal.Wrong}, "nobody": {"x", portal.Wrong}, "*": {"of-ann", portal.Wrong}, "ann ": {"", portal.Wrong}} {
		if got, _, fault := o.Password(t.Context(), from, name, c.password); fault != c.want || got != "" {
			t.Errorf("%s: %d, want %d", name, fault, c.want)
		}
	}
	for range 4 {
		_, _, fault = o.Password(t.Context(), from, "ANN", "guess")
	}
	if fault != portal.Often {
		t.Errorf("guesses go on: %d", fault)
	}
	if _, _, fault := o.Password(t.Context(), netip.MustParseAddr("198.51.100.1"), "ann", "of-ann"); fault != portal.Fine {
		t.Errorf("who guesses keeps the owner out: %d", fault)
	}
	u.Leave(t.Context(), session)
	if got := whose(t, u, session); got != "" {
		t.Errorf("a session that was ended is of %s", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, fault := o.Password(t.Context(), netip.MustParseAddr("198.51.100.2"), "ann", "of-ann"); fault != portal.Away {
		t.Errorf("the directory is away: %d", fault)
	}
	letIn(t, u, config.Login{})
	if w := o.Ways(); w.Directory || w.Issuer != "" {
		t.Errorf("without a directory: %+v", w)
	}
}

// TestPortalByIssuer: an address counts where the issuer verified it and mail is taken for it here; a login that was begun for the
// console, was ended before, or whose ticket is another's, is none.
func TestPortalByIssuer(t *testing.T) {
	u, _ := newUsers(t)
	person := func(mail string, verified any) map[string]any {
		return map[string]any{"preferred_username": "x", "email": mail, "email_verified": verified}
	}
	s, err := issuer.Start(map[string]map[string]any{"ann": person("Ann@example.org", true), "bob": person("bob@example.org", false), "cat": person("cat@elsewhere.example", true), "eve": {"preferred_username": "eve", "email": "info@example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	secret := filepath.Join(t.TempDir(), "secret")
	if err := durable.WriteFile(secret, []byte(issuer.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	letIn(t, u, config.Login{OIDC: config.LoginOIDC{Issuer: s.URL, ClientID: issuer.ClientID, SecretFile: secret, Scopes: []string{"openid", "email"}, Name: "preferred_username", Mail: "email", Groups: "groups", Label: "Example", Timeout: 10 * time.Second}})
	o := u.Outside()
	if w := o.Ways(); w.Directory || w.Issuer != "Example" {
		t.Errorf("%+v", w)
	}
	depart := func(subject string) (url.Values, string) {
		t.Helper()
		address, ticket, fault := o.Depart(t.Context())
		if fault != portal.Fine || !strings.Contains(address, url.QueryEscape("https://q.example.org/issuer/back")) {
			t.Fatalf("%s, %d", address, fault)
		}
		q, err := s.Login(address, subject)
		if err != nil {
			t.Fatal(err)
		}
		return q, ticket
	}
	q, ticket := depart("ann")
	_, other := depart("ann")
	if _, _, fault := o.Arrive(t.Context(), q, other); fault != portal.Wrong {
		t.Errorf("with a ticket of another login: %d", fault)
	}
	session, _, fault := o.Arrive(t.Context(), q, ticket)
	if fault != portal.Fine || whose(t, u, session) != "ann@example.org" {
		t.Errorf("%d, %q", fault, whose(t, u, session))
	}
	if _, _, fault := o.Arrive(t.Context(), q, ticket); fault != portal.Wrong {
		t.Errorf("a second time: %d", fault)
	}
	for _, subject := range []string{"bob", "cat", "eve"} {
		q, ticket := depart(subject)
		if got, _, fault := o.Arrive(t.Context(), q, ticket); fault != portal.NoMailbox || got != "" {
			t.Errorf("%s: %d", subject, fault)
		}
	}
	address, ticket, err := u.d.users.logins.oidc.Start(t.Context(), oidc.Request{Redirect: "https://mx.example.org/back", Carry: "/users"})
	if err != nil {
		t.Fatal(err)
	}
	if q, err = s.Login(address, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, _, fault := o.Arrive(t.Context(), q, ticket); fault != portal.Wrong {
		t.Errorf("a login of the console: %d", fault)
	}
	if _, _, fault := u.begin(t.Context(), "issuer", "x", []string{"nonsense", "", "a@[192.0.2.1]"}, netip.Addr{}); fault != portal.NoMailbox {
		t.Errorf("what is no address: %d", fault)
	}
}

// TestPortalWays: a way in that nothing stands behind is refused, with what to write.
func TestPortalWays(t *testing.T) {
	_, problems := config.Load(documents(t, "", servesOne+"[portal]\nldap = true\noidc = true\n"), sections())
	var got []string
	for _, p := range problems {
		if !p.Warning {
			got = append(got, p.Key+" "+p.Instead)
		}
	}
	if len(got) != 2 || !strings.HasPrefix(got[0], "portal.ldap write servers") || !strings.HasPrefix(got[1], "portal.oidc write issuer") {
		t.Errorf("%q", got)
	}
}
