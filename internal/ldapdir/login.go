package ldapdir

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// Login proves people by the password that they have in a directory (RFC 4513 section 5.1). Somebody is looked for as BindDN of
// Config, which reads; then the password is tried by a bind as his own entry. It is safe for concurrent use, and asks for one at a
// time no more than loginsAtOnce.
type Login struct {
	// Config says where; of it Filter, Attributes and SkipDisabled are not looked at.
	Config
	// Person is the filter of somebody's entry, with {name} for what he typed.
	Person string
	// Name is the attribute of the name by which he is known; Mail are those of his mail addresses.
	Name string
	Mail []string
	// Groups is the attribute with the DNs of his groups; "" for none.
	Groups string
	// GroupBase is below which entry groups are looked for too by GroupFilter, with {dn} and {name}; "" for nowhere.
	GroupBase, GroupFilter string
	// Timeout bounds all of one login; 0: DefaultLoginTime.
	Timeout time.Duration

	places chan struct{}
}

// Person is somebody whom a directory proved.
type Person struct {
	DN      string   // of his entry, as DN writes it
	ID      string   // of his entry, which stays when it is moved: entryUUID or objectGUID, else DN
	Name    string   // as the directory has it
	Display string   // "" for none
	Mail    []string // addresses, as the directory has them
	Groups  []string // DNs, as DN writes them
}

// What comes of a login that does not succeed. ErrWrong is said of a name that nobody has, of a wrong password, and of somebody who
// may not log in there: nobody is to tell them apart. ErrAway means that nothing was found out.
var (
	ErrWrong = errors.New("ldap: name or password is wrong")
	ErrAway  = errors.New("ldap: the directory does not answer")
)

// Bounds of a login.
const (
	DefaultLoginTime = 10 * time.Second
	loginsAtOnce     = 8
	longestTyped     = 256     // octets of a name or a password
	mostGroups       = 2000    // of somebody
	mostMail         = 200     // addresses of somebody
	loginTotal       = 8 << 20 // octets that a server may send for one login
)

// The filters and attributes of people that fit most directories.
const (
	PersonAD       = "(&(objectCategory=person)(objectClass=user)(|(sAMAccountName={name})(userPrincipalName={name})))"
	PersonOpenLDAP = "(&(objectClass=inetOrgPerson)(uid={name}))"
	NameAD         = "sAMAccountName"
	NameOpenLDAP   = "uid"
)

// NewLogin makes one ready to be asked. The error says what is wrong with a filter.
func NewLogin(l Login) (*Login, error) {
	for _, f := range [...]string{l.Person, l.GroupFilter} {
		if f == "" {
			continue
		}
		if err := CheckFilter(fill(f, "name", "cn=name")); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
	}
	if l.Timeout <= 0 {
		l.Timeout = DefaultLoginTime
	}
	l.total, l.places = loginTotal, make(chan struct{}, loginsAtOnce)
	return &l, nil
}

// fill puts what somebody typed, and the name of his entry, into a filter, as text and nothing else.
func fill(filter, name, dn string) string {
	return strings.NewReplacer("{name}", ldap.EscapeFilter(name), "{dn}", ldap.EscapeFilter(dn)).Replace(filter)
}

// DN writes the name of an entry so that two which mean the same are the same text (RFC 4514; case does not count). What is no DN is
// returned as it is, with ok false.
func DN(text string) (canonical string, ok bool) {
	d, err := ldap.ParseDN(text)
	if err != nil || len(d.RDNs) == 0 {
		return text, false
	}
	return strings.ToLower(d.String()), true
}

// Check proves somebody by his name and his password. Its error is ErrWrong or ErrAway, with more for the log and nobody else.
func (l *Login) Check(ctx context.Context, name, password string) (*Person, error) {
	// A bind without a password succeeds with many servers, and proves nothing (RFC 4513 section 5.1.2).
	if name == "" || password == "" || len(name) > longestTyped || len(password) > longestTyped || !utf8.ValidString(name) || strings.ContainsRune(password, 0) {
		return nil, ErrWrong
	}
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	s, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	defer func() { <-l.places }()
	p, bind, err := l.find(s, name)
	if err != nil {
		return nil, err
	}
	switch err := s.Bind(bind, password); {
	case err == nil:
		return p, nil
	case refusal(err):
		return nil, fmt.Errorf("%w: %s: %w", ErrWrong, p.DN, err)
	default:
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
}

// Probe reports whether a server answers and knows us: nil, or ErrAway with why.
func (l *Login) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	defer func() { <-l.places }()
	_, err = s.Search(ldap.NewSearchRequest(l.Base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, true, "(objectClass=*)", []string{"1.1"}, nil))
	if err != nil {
		return fmt.Errorf("%w: base: %w", ErrAway, err)
	}
	return nil
}

// open connects to the first server that answers, once there is a place.
func (l *Login) open(ctx context.Context) (*session, error) {
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: too many log in at once", ErrAway)
	}
	errs := []error{ErrAway}
	for _, server := range l.Servers {
		s, err := l.connect(ctx, server)
		if err == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", server, err))
		if ctx.Err() != nil {
			break
		}
	}
	<-l.places
	return nil, errors.Join(errs...)
}

// find looks for somebody's one entry, and his groups. bind is its name as the server writes it.
func (l *Login) find(s *session, name string) (p *Person, bind string, err error) {
	attributes := append([]string{l.Name, "displayName", "cn", "entryUUID", "objectGUID", controlName}, l.Mail...)
	if l.Groups != "" {
		attributes = append(attributes, l.Groups)
	}
	found, err := l.search(s, l.Base, fill(l.Person, name, ""), attributes, 2)
	switch {
	case err != nil:
		return nil, "", err
	case len(found) == 0:
		return nil, "", fmt.Errorf("%w: there is no entry", ErrWrong)
	case len(found) > 1:
		return nil, "", fmt.Errorf("%w: %d entries are found by the name", ErrWrong, len(found))
	}
	e := found[0]
	p = &Person{Name: e.GetEqualFoldAttributeValue(l.Name), Display: e.GetEqualFoldAttributeValue("displayName")}
	var whole bool
	if p.DN, whole = DN(e.DN); !whole || p.Name == "" {
		return nil, "", fmt.Errorf("%w: %s has no %s", ErrWrong, e.DN, l.Name)
	}
	if n, err := strconv.ParseInt(e.GetEqualFoldAttributeValue(controlName), 10, 64); err == nil && n&accountOff != 0 {
		return nil, "", fmt.Errorf("%w: %s is disabled", ErrWrong, e.DN)
	}
	if p.Display == "" {
		p.Display = e.GetEqualFoldAttributeValue("cn")
	}
	if p.ID = e.GetEqualFoldAttributeValue("entryUUID"); p.ID == "" {
		if raw := e.GetRawAttributeValue("objectGUID"); len(raw) > 0 {
			p.ID = fmt.Sprintf("%x", raw)
		} else {
			p.ID = p.DN
		}
	}
	p.Mail = l.mailOf(e)
	p.Groups, err = l.groupsOf(s, e, p)
	return p, e.DN, err
}

// mailOf are the mail addresses of an entry.
func (l *Login) mailOf(e *ldap.Entry) (out []string) {
	for _, a := range l.Mail {
		for _, v := range e.GetEqualFoldAttributeValues(a) {
			if address, ok := Address(v); ok && len(address) <= maxAddress && len(out) < mostMail {
				out = append(out, address)
			}
		}
	}
	return out
}

// groupsOf are the groups that an entry names, and those that name it.
func (l *Login) groupsOf(s *session, e *ldap.Entry, p *Person) ([]string, error) {
	var names []string
	if l.Groups != "" {
		names = e.GetEqualFoldAttributeValues(l.Groups)
	}
	if l.GroupBase != "" {
		found, err := l.search(s, l.GroupBase, fill(l.GroupFilter, p.Name, e.DN), []string{"1.1"}, mostGroups)
		if err != nil {
			return nil, fmt.Errorf("groups: %w", err)
		}
		for _, g := range found {
			names = append(names, g.DN)
		}
	}
	out := make([]string, 0, len(names))
	for _, n := range names {
		if d, ok := DN(n); ok && len(out) < mostGroups {
			out = append(out, d)
		}
	}
	return out, nil
}

// search returns at most so many entries and one more. Referrals are not followed.
func (l *Login) search(s *session, base, filter string, attributes []string, most int) ([]*ldap.Entry, error) {
	r, err := s.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, most, int(l.Timeout/time.Second), false, filter, attributes, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) && r != nil && len(r.Entries) >= most:
		return r.Entries, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	return r.Entries, nil
}

// refusal reports whether an error of a bind says that it is not he, or that he may not. All else says nothing of him.
func refusal(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax)
}
