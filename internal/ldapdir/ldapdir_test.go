package ldapdir

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// binding answers a bind and StartTLS as it should be, and a search by search.
func binding(search func(*exchange)) func(*exchange) {
	return func(e *exchange) {
		switch e.op {
		case ldap.ApplicationSearchRequest:
			search(e)
		case ldap.ApplicationExtendedRequest:
			e.done(0, "")
			over := tls.Server(e.Conn, e.srv.tls)
			if over.Handshake() == nil {
				e.Conn = over
			}
		default:
			e.done(0, "")
		}
	}
}

// three is a directory of three pages.
func three(e *exchange) {
	e.entry(map[string][]string{"mail": {fmt.Sprintf("u%d@example.org", e.n)}})
	if e.n < 2 {
		e.done(0, "more")
		return
	}
	e.done(0, "")
}

func TestRead(t *testing.T) {
	for _, scheme := range []string{"ldaps", "ldap", "clear"} {
		t.Run(scheme, func(t *testing.T) {
			s := start(t, scheme == "ldaps", binding(three))
			c := s.config(strings.Replace(scheme, "clear", "ldap", 1))
			c.Clear = scheme == "clear"
			got, told, err := read(t.Context(), c)
			if err != nil || strings.Join(got, " ") != "u0@example.org u1@example.org u2@example.org" || told != "3 entries" {
				t.Fatalf("%q, %q, %v", got, told, err)
			}
			if b := s.told(); len(b) != 1 || b[0] != "secret" {
				t.Errorf("bound as %q", b)
			}
		})
	}
}

func TestValues(t *testing.T) {
	s := start(t, true, binding(func(e *exchange) {
		e.referral()
		e.entry(map[string][]string{"mail": {"a@example.org", " b@example.org "}, "telephoneNumber": {"c@example.org"}})
		e.entry(map[string][]string{"PROXYADDRESSES": {"SMTP:d@example.org", "smtp:e@example.org", "X500:/o=x/cn=f@example.org", "sip:g@example.org", "EUM:1;x@y", "smtp:"}})
		e.entry(map[string][]string{"mail": {"disabled@example.org"}, "userAccountControl": {"514"}})
		e.entry(map[string][]string{"mail": {"enabled@example.org"}, "userAccountControl": {"512"}})
		e.entry(map[string][]string{"proxyAddresses;range=0-1": {"smtp:h@example.org"}})
		e.entry(map[string][]string{"mail": {strings.Repeat("x", 500)}})
		e.referral()
		e.done(0, "")
	}))
	c := s.config("ldaps")
	for _, skip := range []bool{false, true} {
		c.SkipDisabled = skip
		got, told, err := read(t.Context(), c)
		slices.Sort(got)
		want := "a@example.org b@example.org d@example.org disabled@example.org e@example.org enabled@example.org h@example.org"
		says := "6 entries; 2 referrals to other servers were not followed; 1 entries have more values than the server gave; 1 values are too long for an address"
		if skip {
			want = strings.Replace(want, "disabled@example.org ", "", 1)
			says = strings.Replace(says, "; 1 entries", "; 1 disabled accounts were left out; 1 entries", 1)
		}
		if err != nil || strings.Join(got, " ") != want || told != says {
			t.Errorf("skip %v: %q\n%q, %v", skip, got, told, err)
		}
	}
}

// Whatever a server does, the reading ends, and is an error unless it ended as it should.
func TestFaults(t *testing.T) {
	page := func(end func(*exchange)) func(*exchange) {
		return binding(func(e *exchange) {
			e.entry(map[string][]string{"mail": {"a@example.org"}})
			end(e)
		})
	}
	for name, tt := range map[string]struct {
		answer func(*exchange)
		says   string
	}{
		"cut off in a page":  {page(func(e *exchange) { e.Close() }), ""},
		"cut off in a later": {binding(func(e *exchange) { three(e); e.Close() }), ""},
		"size limit":         {page(func(e *exchange) { e.done(ldap.LDAPResultSizeLimitExceeded, "") }), "gives only a part"},
		"time limit":         {page(func(e *exchange) { e.done(ldap.LDAPResultTimeLimitExceeded, "") }), "Time Limit"},
		"referral":           {page(func(e *exchange) { e.done(ldap.LDAPResultReferral, "") }), "kept by another server"},
		"no such base":       {page(func(e *exchange) { e.done(ldap.LDAPResultNoSuchObject, "") }), "No Such Object"},
		"not allowed":        {page(func(e *exchange) { e.done(ldap.LDAPResultInsufficientAccessRights, "") }), "Insufficient"},
		"pages without end":  {binding(func(e *exchange) { e.done(0, "again") }), "20 pages without an entry"},
		"a huge entry": {binding(func(e *exchange) {
			e.entry(map[string][]string{"mail": slices.Repeat([]string{"a@b"}, maxValues+1)})
			e.done(0, "")
		}), "more than 10000 values"},
		"a huge message":     {binding(func(e *exchange) { _, _ = io.WriteString(e, "\x30\x84\x01\x00\x00\x00") }), "16777216 octets"},
		"a length too long":  {binding(func(e *exchange) { _, _ = io.WriteString(e, "\x30\x88\x01\x00\x00\x00\x00\x00\x00\x00") }), "no message of LDAP"},
		"no length":          {binding(func(e *exchange) { _, _ = io.WriteString(e, "\x30\x80\x02\x01\x02") }), "no message of LDAP"},
		"another protocol":   {binding(func(e *exchange) { _, _ = io.WriteString(e, "HTTP/1.1 400 Bad Request\r\n\r\n") }), "no message of LDAP"},
		"lies about inside":  {binding(func(e *exchange) { _, _ = io.WriteString(e, "\x30\x06\x02\x01\x02\x64\x7f\x00"); e.Close() }), ""},
		"a bind that fails":  {func(e *exchange) { e.done(ldap.LDAPResultInvalidCredentials, "") }, "bind: "},
		"a bind cut off":     {func(e *exchange) { e.Close() }, "bind: "},
		"an unknown answer":  {page(func(e *exchange) { e.op = ldap.ApplicationBindRequest; e.done(0, "") }), "unknown tag"},
		"stands still":       {page(func(*exchange) {}), ""},
		"stands still early": {func(*exchange) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, true, tt.answer)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if strings.HasPrefix(name, "stands still") {
				context.AfterFunc(t.Context(), cancel)
				time.AfterFunc(300*time.Millisecond, cancel)
			}
			got, told, err := read(ctx, s.config("ldaps"))
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q, %q, %v", got, told, err)
			}
		})
	}
}

// Nothing is told to a server that is not who it should be, and nothing in clear.
func TestNothingInClear(t *testing.T) {
	for name, tt := range map[string]struct {
		scheme string
		answer func(*exchange)
		change func(*Config)
	}{
		"other name":           {"ldaps", binding(three), func(c *Config) { c.ServerName = "other.example.org" }},
		"unknown authority":    {"ldaps", binding(three), func(c *Config) { c.RootCAs = nil }},
		"no name":              {"ldaps", binding(three), func(c *Config) { c.ServerName = "" }},
		"StartTLS refused":     {"ldap", func(e *exchange) { e.done(ldap.LDAPResultUnavailable, "") }, nil},
		"StartTLS, other name": {"ldap", binding(three), func(c *Config) { c.ServerName = "other.example.org" }},
		"more behind StartTLS": {"ldap", func(e *exchange) {
			e.done(0, "")
			e.op = ldap.ApplicationBindRequest
			e.done(0, "") // in clear, for the bind that would come
		}, nil},
		"junk for StartTLS": {"ldap", func(e *exchange) { _, _ = io.WriteString(e, "\x30\x05\x02\x01\x01\x78\x00"); e.Close() }, nil},
		"cut off":           {"ldap", func(e *exchange) { e.Close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, tt.scheme == "ldaps", tt.answer)
			c := s.config(tt.scheme)
			if tt.change != nil {
				tt.change(c)
			}
			if got, _, err := read(t.Context(), c); err == nil || len(got) > 0 {
				t.Errorf("%q, %v", got, err)
			}
			if b := s.told(); len(b) > 0 {
				t.Errorf("the password was told: %q", b)
			}
		})
	}
}

// The next server is asked where one cannot be, and not where one was cut off half way.
func TestNextServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "ldaps://" + l.Addr().String()
	l.Close()
	good := start(t, true, binding(three))
	c := good.config("ldaps")
	c.Servers = append([]string{closed}, c.Servers...)
	if got, _, err := read(t.Context(), c); err != nil || len(got) != 3 {
		t.Errorf("%q, %v", got, err)
	}
	c.Servers = []string{closed, closed}
	if _, _, err := read(t.Context(), c); err == nil || strings.Count(err.Error(), closed) != 2 {
		t.Errorf("%v", err)
	}
	c = good.config("ldaps")
	c.Password = func() (string, error) { return "", errors.New("no such file") }
	if _, _, err := read(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

// Who takes the addresses may end it.
func TestAddFails(t *testing.T) {
	s := start(t, true, binding(three))
	enough := errors.New("enough")
	if _, err := s.config("ldaps").Read(t.Context(), func(string) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestAddress(t *testing.T) {
	for value, want := range map[string]string{
		"a@example.org": "a@example.org", "SMTP:a@example.org": "a@example.org", "Smtp: a@example.org": "a@example.org",
		"sip:a@example.org": "", "X500:/o=x": "", "": "", "smtp:": "", "  ": "", `"a:b"@example.org`: `"a:b"@example.org`, "nonsense": "nonsense",
	} {
		if got, ok := Address(value); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
}

func TestFilters(t *testing.T) {
	for filter, ok := range map[string]bool{FilterAD: true, FilterOpenLDAP: true, "(mail=*)": true, "(mail=*": false, "": false, "(&)x": false} {
		if err := CheckFilter(filter); (err == nil) != ok {
			t.Errorf("%q: %v", filter, err)
		}
	}
}

// FuzzAnswer has a server answer with anything: the reading ends, and does not panic.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"))
	f.Add([]byte("\x30\x2e\x02\x01\x01\x64\x29\x04\x04cn=x\x30\x21\x30\x1f\x04\x04mail\x31\x17\x04\x15someone@a.example.org\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"))
	f.Add([]byte("\x30\x84\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		near, far := net.Pipe()
		go func() {
			go func() { _, _ = io.Copy(io.Discard, far) }()
			_, _ = far.Write(data)
			_ = far.Close()
		}()
		conn := ldap.NewConn(&framed{Conn: near, rest: 1 << 20}, false)
		conn.Start()
		s := &session{Conn: conn, stop: func() bool { return true }}
		r := reading{c: &Config{Base: "dc=x", Filter: FilterAD, Attributes: AttributesAD()}, add: func(a string) error {
			if len(a) == 0 || len(a) > maxAddress {
				t.Errorf("an address of %d octets", len(a))
			}
			return nil
		}}
		_ = r.all(t.Context(), s)
	})
}
