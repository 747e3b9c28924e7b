package dane

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrBogus says that an answer does not pass validation: the zone's signatures are broken, or somebody changed it on its way.
var ErrBogus = errors.New("bogus")

// Answer is what a validating resolver said of one name.
type Answer struct {
	Secure  bool          // it was validated, and so was every CNAME on the way; also of an absence
	Name    string        // where CNAMEs led; the name that was asked for where there was none
	Records []Record      // of TLSA
	TTL     time.Duration // for which it holds
}

// Resolver asks a resolver that validates. An answer that is bogus, or that did not come, is an error.
type Resolver interface {
	// Addresses looks A and AAAA up. Secure is one whose addresses, of either family, were validated.
	Addresses(ctx context.Context, host string) (Answer, error)
	// Alias looks for a CNAME at the name itself. Without one, Name is the name.
	Alias(ctx context.Context, name string) (Answer, error)
	// TLSA looks TLSA up.
	TLSA(ctx context.Context, name string) (Answer, error)
}

// Published is what a host publishes for a port. Without Records there is no DANE with it.
type Published struct {
	Base    string        // the TLSA base domain: the name that is asked for in the handshake and that a certificate must have
	Records []Record      // as they were found, whether they can be used or not
	Why     string        // beside no records: why there are none, in words
	Blind   bool          // beside no records: nobody whose word counts was asked, so that it will stay so whatever is published
	Keep    time.Duration // for how long that may be taken for true
}

// Lookup finds the TLSA records of a mail host (RFC 7672 section 2.2.2, RFC 7671 section 7). Where its addresses were not
// validated no TLSA is asked for: some servers of unsigned zones do not answer such questions, which must hurt nobody (RFC
// 7672 section 2.2). Its errors are temporary failures, and no mail may go to the host meanwhile.
func Lookup(ctx context.Context, r Resolver, host string, port int) (Published, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	address, err := r.Addresses(ctx, host)
	if err != nil {
		return Published{}, fmt.Errorf("address lookup of %s failed: %w", host, err)
	}
	p := Published{Keep: address.TTL}
	var bases []string
	switch {
	case address.Secure && address.Name != host:
		bases = []string{address.Name, host} // RFC 7672 section 2.2.3
	case address.Secure:
		bases = []string{host}
	case address.Name == host:
		p.Why = "the address of " + host + " is not signed"
		return p, nil
	default:
		// The CNAME leads out of what is signed; the name itself may lie within, and TLSA records with it.
		alias, err := r.Alias(ctx, host)
		if err != nil {
			return Published{}, fmt.Errorf("CNAME lookup of %s failed: %w", host, err)
		}
		p.Keep = min(p.Keep, alias.TTL)
		if !alias.Secure {
			p.Why = "the address of " + host + " is not signed"
			return p, nil
		}
		bases = []string{host}
	}
	for _, base := range bases {
		name := "_" + strconv.Itoa(port) + "._tcp." + base
		found, err := r.TLSA(ctx, name)
		if err != nil {
			return Published{}, fmt.Errorf("TLSA lookup of %s failed: %w", name, err)
		}
		p.Keep = min(p.Keep, found.TTL)
		if found.Secure && len(found.Records) > 0 {
			p.Base, p.Records, p.Why = base, found.Records[:min(len(found.Records), maxRecords)], ""
			return p, nil
		}
		if p.Why = "there are no TLSA records at " + name; len(found.Records) > 0 {
			p.Why = "the TLSA records at " + name + " are not signed"
		}
	}
	return p, nil
}
