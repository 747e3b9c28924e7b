package dmarcreport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Resolver is what asking needs of net.Resolver. An error of IsNotFound says that there is no such record; any other that
// DNS could not tell.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// ErrNotAllowed says that an external destination does not ask for reports about a domain.
var ErrNotAllowed = errors.New("the destination does not ask for reports about this domain")

// SameOrganization reports whether two domains have one organizational domain, by the public suffix list. A name that is a
// public suffix itself is an organization of its own.
func SameOrganization(a, b string) bool { return organization(a) == organization(b) }

func organization(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	org, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return org
}

// Permitted returns where reports about a policy domain may go instead of to d: to d itself when it is of the same
// organization or says that it wants them, or to the addresses that it names instead (RFC 9990 section 4). The error is
// ErrNotAllowed where it says no or nothing; any other is that of DNS, which could not tell.
func Permitted(ctx context.Context, r Resolver, policyDomain string, d Destination) ([]Destination, error) {
	if SameOrganization(policyDomain, d.Domain) {
		return []Destination{d}, nil
	}
	name := strings.ToLower(strings.TrimSuffix(policyDomain, ".")) + "._report._dmarc." + d.Domain
	if !ValidDomain(name) {
		return nil, fmt.Errorf("%w: %d octets are no name that could be asked", ErrNotAllowed, len(name))
	}
	texts, err := r.LookupTXT(ctx, name)
	if err != nil {
		if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound && ctx.Err() == nil {
			return nil, fmt.Errorf("%w: no TXT record at %s", ErrNotAllowed, name)
		}
		return nil, fmt.Errorf("TXT %s: %w", name, err)
	}
	allowed := false
	for _, text := range texts {
		list, ok := tags(text)
		if !ok {
			continue
		}
		allowed = true
		for _, t := range list {
			if t.name == "rua" {
				return override(t.value, d)
			}
		}
	}
	if !allowed {
		return nil, fmt.Errorf("%w: the TXT record at %s is no v=DMARC1", ErrNotAllowed, name)
	}
	return []Destination{d}, nil
}

// override reads the addresses that a destination names in place of d. All must be on its own host; the report goes nowhere
// when one is not, so that a record cannot send reports on to somebody who was not asked.
func override(rua string, d Destination) ([]Destination, error) {
	use, _ := ParseRUA(rua)
	for _, o := range use {
		if o.Domain != d.Domain {
			return nil, fmt.Errorf("%w: it names %s, which is another host", ErrNotAllowed, o.Address())
		}
	}
	if len(use) == 0 {
		return nil, fmt.Errorf("%w: it names no address that can be used", ErrNotAllowed)
	}
	return use, nil
}

// AsksForReports reports whether the policy record that governs a domain has a rua, and where it stands: mail with such a
// From would make others report about our reports. It looks at the domain and its parents up to the organizational domain.
func AsksForReports(ctx context.Context, r Resolver, domain string) (at string, asks bool, err error) {
	org := organization(domain)
	for name := strings.ToLower(domain); ; {
		texts, err := r.LookupTXT(ctx, "_dmarc."+name)
		if e, ok := errors.AsType[*net.DNSError](err); err != nil && (!ok || !e.IsNotFound || ctx.Err() != nil) {
			return "", false, fmt.Errorf("TXT _dmarc.%s: %w", name, err)
		}
		for _, text := range texts {
			if p, ok := ParsePublished(name, "", text); ok {
				return "_dmarc." + name, p.RUA != "", nil
			}
		}
		_, parent, ok := strings.Cut(name, ".")
		if name == org || !ok {
			return "", false, nil
		}
		name = parent
	}
}
