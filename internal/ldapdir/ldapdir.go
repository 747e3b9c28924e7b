package ldapdir

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Config says which addresses of which directory are read.
type Config struct {
	// Servers are asked in this order until one answers, each as ldaps://host:port or ldap://host:port.
	Servers []string
	// Clear has ldap:// go on without StartTLS.
	Clear      bool
	RootCAs    *x509.CertPool // nil: those of the system
	ServerName string         // in the certificate; "": the host of each
	BindDN     string         // "": nobody
	Password   func() (string, error)
	Base       string
	Filter     string
	Attributes []string // that hold addresses
	// SkipDisabled leaves out accounts of Active Directory that are disabled.
	SkipDisabled bool

	total int64 // octets that a server may send; 0: maxTotal
}

// The filters and attributes that fit most directories.
const (
	FilterAD       = "(|(proxyAddresses=smtp:*)(mail=*))"
	FilterOpenLDAP = "(|(mail=*)(mailLocalAddress=*)(mailAlternateAddress=*)(mailAlias=*))"
)

// AttributesAD are those of Active Directory with Exchange's schema, or without.
func AttributesAD() []string { return []string{"mail", "proxyAddresses"} }

// AttributesOpenLDAP are those of inetOrgPerson (RFC 2798), inetLocalMailRecipient and what qmail-ldap and others use.
func AttributesOpenLDAP() []string {
	return []string{"mail", "mailLocalAddress", "mailAlternateAddress", "mailAlias"}
}

// CheckFilter reports what is wrong with a filter (RFC 4515).
func CheckFilter(filter string) error {
	_, err := ldap.CompileFilter(filter)
	return err
}

// Bounds of what is believed.
const (
	pageSize    = 200 // entries: a page must not be more than a server gives at once, 500 or 1000 by default
	maxEntries  = 5_000_000
	maxValues   = 10_000    // of an entry
	maxAddress  = 400       // octets of a value
	maxTotal    = 4 << 30   // octets
	maxMessage  = 256 << 10 // octets
	emptyPages  = 20        // in a row
	dialTime    = 10 * time.Second
	standstill  = time.Minute // between two octets
	accountOff  = 2           // ACCOUNTDISABLE of userAccountControl
	controlName = "userAccountControl"
)

// Changed says that only reading can tell.
func (*Config) Changed() string { return "" }

// Read gives each address of each entry. Its error means that what it gave is not all.
func (c *Config) Read(ctx context.Context, add func(address string) error) (told string, err error) {
	var errs []error
	for _, server := range c.Servers {
		conn, err := c.connect(ctx, server)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", server, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		r := reading{c: c, add: add}
		err = r.all(ctx, conn)
		if err != nil {
			return "", fmt.Errorf("%s: %w", server, err) // part of it was given: another server could not go on
		}
		return r.told(), nil
	}
	return "", errors.Join(errs...)
}

// connect makes a connection that may ask. Whatever ends ctx ends it.
func (c *Config) connect(ctx context.Context, server string) (*session, error) {
	scheme, address, _ := strings.Cut(server, "://")
	dialer := net.Dialer{Timeout: dialTime}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &session{stop: context.AfterFunc(ctx, func() { _ = raw.Close() })}
	conn := net.Conn(&patient{raw})
	if scheme == "ldap" && !c.Clear {
		if err := startTLS(conn); err != nil {
			return nil, s.give(raw, fmt.Errorf("StartTLS: %w", err))
		}
	}
	encrypted := scheme == "ldaps" || !c.Clear
	if encrypted {
		name := c.ServerName
		if name == "" {
			name, _, _ = net.SplitHostPort(address)
		}
		over := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: c.RootCAs})
		if err := over.HandshakeContext(ctx); err != nil {
			return nil, s.give(raw, fmt.Errorf("TLS: %w", err))
		}
		conn = over
	}
	s.Conn = ldap.NewConn(&framed{Conn: conn, rest: cmp.Or(c.total, maxTotal)}, encrypted)
	s.SetTimeout(standstill)
	s.Start()
	if c.BindDN == "" {
		return s, nil
	}
	password, err := c.Password()
	if err == nil {
		err = s.Bind(c.BindDN, password)
	}
	if err != nil {
		s.end()
		return nil, fmt.Errorf("bind: %w", err)
	}
	return s, nil
}

// session is a connection that ends with its context.
type session struct {
	*ldap.Conn
	stop func() bool
}

func (s *session) give(raw net.Conn, err error) error {
	s.stop()
	_ = raw.Close()
	return err
}

func (s *session) end() {
	s.stop()
	_ = s.Close()
}

// reading is one walk through a directory.
type reading struct {
	c                                      *Config
	add                                    func(string) error
	entries, referrals, disabled, cut, odd int
}

// told sums up what a person should know.
func (r *reading) told() string {
	out := strconv.Itoa(r.entries) + " entries"
	for _, n := range []struct {
		n    int
		what string
	}{{r.referrals, "referrals to other servers were not followed"}, {r.disabled, "disabled accounts were left out"},
		{r.cut, "entries have more values than the server gave"}, {r.odd, "values are too long for an address"}} {
		if n.n > 0 {
			out += fmt.Sprintf("; %d %s", n.n, n.what)
		}
	}
	return out
}

// all reads page by page.
func (r *reading) all(ctx context.Context, s *session) error {
	defer s.end()
	attributes := r.c.Attributes
	if r.c.SkipDisabled {
		attributes = append(append([]string{}, attributes...), controlName)
	}
	paging, empty := ldap.NewControlPaging(pageSize), 0
	for {
		before := r.entries
		// A page that this side ends early must not leave the walk of the library behind.
		page, cancel := context.WithCancel(ctx)
		cookie, err := r.page(page, s, ldap.NewSearchRequest(r.c.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, r.c.Filter,
			attributes, []ldap.Control{paging}))
		cancel()
		if err != nil {
			return err
		}
		if len(cookie) == 0 {
			return nil
		}
		if r.entries > before {
			empty = 0
		} else if empty++; empty >= emptyPages {
			return fmt.Errorf("%d pages without an entry, one after the other", empty)
		}
		paging.SetCookie(cookie)
	}
}

// page reads one page and returns the cookie of the next, none after the last.
func (r *reading) page(ctx context.Context, s *session, q *ldap.SearchRequest) (cookie []byte, err error) {
	answer := s.SearchAsync(ctx, q, 0)
	var controls []ldap.Control
	for answer.Next() {
		switch e := answer.Entry(); {
		case answer.Referral() != "":
			r.referrals++
		case e != nil:
			if err := r.entry(e); err != nil {
				return nil, err
			}
		}
		controls = answer.Controls()
	}
	err = answer.Err()
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, fmt.Errorf("it gives only a part: %w; let it give all to %s, by paging", err, r.c.BindDN)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
		return nil, fmt.Errorf("base is kept by another server: %w; name that one", err)
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case s.GetLastError() != nil:
		return nil, s.GetLastError()
	case s.IsClosing(): // the library ends a search without an error then
		return nil, errors.New("the connection was cut off")
	}
	if p, ok := ldap.FindControl(controls, ldap.ControlTypePaging).(*ldap.ControlPaging); ok {
		return p.Cookie, nil
	}
	return nil, nil
}

// entry gives the addresses of an entry.
func (r *reading) entry(e *ldap.Entry) error {
	if r.entries++; r.entries > maxEntries {
		return fmt.Errorf("has more than %d entries", maxEntries)
	}
	if r.c.SkipDisabled {
		if n, err := strconv.ParseInt(e.GetEqualFoldAttributeValue(controlName), 10, 64); err == nil && n&accountOff != 0 {
			r.disabled++
			return nil
		}
	}
	values := 0
	for _, a := range e.Attributes {
		name, option, _ := strings.Cut(a.Name, ";")
		if strings.HasPrefix(strings.ToLower(option), "range=") && !strings.HasSuffix(option, "*") { // Active Directory has more
			r.cut++
		}
		if !r.c.wants(name) {
			continue
		}
		for _, v := range a.Values {
			if values++; values > maxValues {
				return fmt.Errorf("an entry has more than %d values", maxValues)
			}
			address, ok := Address(v)
			if !ok {
				continue
			}
			if len(address) > maxAddress {
				r.odd++
				continue
			}
			if err := r.add(address); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Config) wants(attribute string) bool {
	for _, a := range c.Attributes {
		if strings.EqualFold(a, attribute) {
			return true
		}
	}
	return false
}

// Address returns the mail address that a value holds: the value, or what stands behind smtp: in any case, as in
// proxyAddresses. ok is false where it is empty or of another type, such as X500:, SIP: or EUM:.
func Address(value string) (address string, ok bool) {
	value = strings.TrimSpace(value)
	kind, rest, typed := strings.Cut(value, ":")
	switch {
	case !typed || strings.ContainsAny(kind, "@\""): // the colon belongs to the address
		return value, value != ""
	case strings.EqualFold(kind, "smtp"):
		rest = strings.TrimSpace(rest)
		return rest, rest != ""
	}
	return "", false
}
