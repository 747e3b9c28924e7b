package ldapdir

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// people are who is in the directory of TestLogin.
func people() string {
	return lab.SlapdPerson("Anna Ärmel", "uid: anna", "displayName: Anna A.", "userPassword: right-of-anna", "mail: anna@example.org", "proxyAddresses: SMTP:anna@example.org", "proxyAddresses: smtp:a.aermel@example.org", "proxyAddresses: X500:/o=x") +
		lab.SlapdPerson("Bert", "uid: bert", "userPassword: right-of-bert") +
		lab.SlapdPerson("Off", "uid: off", "userPassword: right-of-off", "userAccountControl: 514") +
		lab.SlapdPerson("Twin 1", "uid: twin", "userPassword: right-of-twin") + lab.SlapdPerson("Twin 2", "uid: twin", "userPassword: right-of-twin") +
		lab.SlapdPerson("Nobody", "uid: none") +
		lab.SlapdGroup("postmasters", "Anna Ärmel", "Bert") + lab.SlapdGroup("staff", "Anna Ärmel")
}

// loginAt is the Login of a slapd, by StartTLS.
func loginAt(t *testing.T, s *lab.Slapd, change func(*Login)) *Login {
	t.Helper()
	pem, err := os.ReadFile(s.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	l := Login{Config: Config{Servers: []string{"ldap://" + s.Addr}, RootCAs: roots, ServerName: lab.SlapdName, BindDN: lab.SlapdReader, Base: lab.SlapdBase,
		Password: func() (string, error) { return lab.SlapdPassword, nil }}, Person: PersonOpenLDAP, Name: NameOpenLDAP, Mail: []string{"mail", "proxyAddresses"}, GroupBase: lab.SlapdBase, GroupFilter: "(member={dn})"}
	if change != nil {
		change(&l)
	}
	out, err := NewLogin(l)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLogin asks a real slapd: who is proved by what, and what is known of him.
func TestLogin(t *testing.T) {
	s := labtest.Slapd(t, lab.SlapdOptions{Entries: people()})
	for _, scheme := range []string{"ldap", "ldaps"} {
		l := loginAt(t, s, func(l *Login) {
			if scheme == "ldaps" {
				l.Servers = []string{"ldaps://" + labtest.ClosedAddr(t), "ldaps://" + s.TLSAddr}
			}
		})
		p, err := l.Check(t.Context(), "ANNA", "right-of-anna")
		if err != nil {
			t.Fatal(scheme, err)
		}
		dn := func(cn string) string {
			out, ok := DN("CN=" + cn + ", " + lab.SlapdBase)
			if !ok {
				t.Fatal(cn)
			}
			return out
		}
		if slices.Sort(p.Groups); p.Name != "anna" || p.Display != "Anna A." || p.DN != dn("Anna Ärmel") || len(p.ID) != 36 || !slices.Equal(p.Groups, []string{dn("Postmasters"), dn("staff")}) ||
			!slices.Equal(p.Mail, []string{"anna@example.org", "anna@example.org", "a.aermel@example.org"}) {
			t.Errorf("%+v", p)
		}
		if p, err = l.Check(t.Context(), "bert", "right-of-bert"); err != nil || p.Display != "Bert" || len(p.Mail) > 0 || len(p.Groups) != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		for _, x := range [][2]string{{"anna", "wrong"}, {"anna", ""}, {"", "right-of-anna"}, {"", ""}, {"none", ""}, {"none", "x"}, {"nobody-has-it", "x"}, {"off", "right-of-off"}, {"twin", "right-of-twin"},
			{"*", "right-of-anna"}, {"anna)(uid=*", "right-of-anna"}, {"ann*", "right-of-anna"}, {"{dn}", "x"}, {"anna\x00", "right-of-anna"}, {"anna", "right-of-anna\x00"},
			{"anna\xff", "right-of-anna"}, {strings.Repeat("a", 300), "x"}, {"anna", strings.Repeat("x", 300)}, {"cn=gatepost", lab.SlapdPassword}} {
			if p, err := l.Check(t.Context(), x[0], x[1]); !errors.Is(err, ErrWrong) || errors.Is(err, ErrAway) {
				t.Errorf("%.40q, %.40q: %+v, %v", x[0], x[1], p, err)
			}
		}
		if err := l.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		if len(l.places) != 0 {
			t.Errorf("%d places are not given back", len(l.places))
		}
	}
}

// TestLoginAway shows that nothing is said of anybody where the directory does not answer, does not know us, or answers nonsense.
func TestLoginAway(t *testing.T) {
	s := labtest.Slapd(t, lab.SlapdOptions{Entries: people()})
	away := func(what string, change func(*Login)) {
		t.Helper()
		l := loginAt(t, s, change)
		if p, err := l.Check(t.Context(), "anna", "right-of-anna"); !errors.Is(err, ErrAway) || errors.Is(err, ErrWrong) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
		if err := l.Probe(t.Context()); !errors.Is(err, ErrAway) {
			t.Errorf("%s: %v", what, err)
		}
		if len(l.places) != 0 {
			t.Errorf("%s: a place is not given back", what)
		}
	}
	away("nobody is there", func(l *Login) {
		l.Servers = []string{"ldap://" + labtest.ClosedAddr(t), "ldaps://" + labtest.ClosedAddr(t)}
	})
	away("another authority", func(l *Login) { l.RootCAs = x509.NewCertPool() })
	away("another name", func(l *Login) { l.ServerName = "other.example.org" })
	away("our password is wrong", func(l *Login) { l.Password = func() (string, error) { return "wrong", nil } })
	away("our password is not there", func(l *Login) { l.Password = func() (string, error) { return "", os.ErrNotExist } })
	away("wrong base", func(l *Login) { l.Base = "dc=nowhere" })

	hung := start(t, false, func(*exchange) {})
	l := loginAt(t, s, func(l *Login) {
		l.Servers, l.Clear, l.Timeout = []string{"ldap://" + hung.addr}, true, 100*time.Millisecond
	})
	if _, err := l.Check(t.Context(), "anna", "x"); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
	for range loginsAtOnce {
		l.places <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Check(ctx, "anna", "x"); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
}

// TestLoginBusy shows that a bind which fails for another reason than the person says nothing of him.
func TestLoginBusy(t *testing.T) {
	for code, wrong := range map[int64]bool{ldap.LDAPResultInvalidCredentials: true, ldap.LDAPResultConstraintViolation: true, ldap.LDAPResultBusy: false, ldap.LDAPResultUnavailable: false, ldap.LDAPResultOther: false} {
		binds := 0
		s := start(t, true, func(e *exchange) {
			switch e.op {
			case ldap.ApplicationBindRequest:
				if binds++; binds > 1 {
					e.done(code, "")
					return
				}
				e.done(0, "")
			case ldap.ApplicationSearchRequest:
				e.entry(map[string][]string{"uid": {"anna"}})
				e.done(0, "")
			}
		})
		l, err := NewLogin(Login{Config: *s.config("ldaps"), Person: PersonOpenLDAP, Name: NameOpenLDAP})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Check(t.Context(), "anna", "x")
		if errors.Is(err, ErrWrong) != wrong || errors.Is(err, ErrAway) == wrong {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestLoginFilter(t *testing.T) {
	for _, bad := range []string{"(uid={name}", "uid", "(&)(x={name})"} {
		if _, err := NewLogin(Login{Person: bad}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, good := range []string{PersonAD, PersonOpenLDAP} {
		if _, err := NewLogin(Login{Person: good, GroupFilter: "(member:1.2.840.113556.1.4.1941:={dn})"}); err != nil {
			t.Error(err)
		}
	}
	if got := fill("(a={name}{dn})", "{dn}*", "cn=(x)"); got != `(a={dn}\2acn=\28x\29)` {
		t.Error(got)
	}
}
