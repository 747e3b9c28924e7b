package rbl

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Input is what a list is asked about; a set of them is their sum.
type Input uint8

// The inputs.
const (
	ClientIPv4  Input = 1 << iota // the client's address
	ClientIPv6                    // the client's address
	HeloName                      // the name of HELO or EHLO
	ReverseName                   // the client's verified reverse name
	MailFrom                      // the domain of MAIL FROM
	From                          // the author's domain
	Link                          // hosts that links lead to
	LinkIPv4                      // addresses that links lead to, of a list of domains that has such too
)

// Client is the client's address of both kinds, Domains all that are names.
const (
	Client  = ClientIPv4 | ClientIPv6
	Domains = HeloName | ReverseName | MailFrom | From | Link
)

// inputNames are the words of the inputs, in the order of their bits.
func inputNames() [8]string {
	return [...]string{"client4", "client6", "helo", "reverse", "mailfrom", "from", "link", "link4"}
}

// InputsOf is the sum of the inputs of those names.
func InputsOf(names []string) (in Input) {
	for i, name := range inputNames() {
		for _, n := range names {
			if n == name {
				in |= 1 << i
			}
		}
	}
	return in
}

// String is the inputs' names with commas between them.
func (in Input) String() string {
	var out []string
	for i, name := range inputNames() {
		if in&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}

// Decisive is the weight that is enough alone. The caller's threshold may be another; weights are made with this one in mind.
const Decisive = 10

// Rule is a return code that the list's operator documents, and what it is worth.
type Rule struct {
	Answer Pattern
	Label  string // what the listing is, in the operator's words: "SBL"
	Weight int    // -Decisive to Decisive: above zero for bad, below for good; 0 counts as listed and weighs nothing
}

// Failure is a return code by which the list says that it did not answer the question.
type Failure struct {
	Answer Pattern
	Says   string // for the operator: "asked through a public resolver"
}

// List is a DNS list. Where its text comes from a configuration, Validate says what is wrong with it.
type List struct {
	Name   string // lower-case word; for configuration, metrics and the journal
	Zone   string // lower case, no final dot; a label "{key}" is the place of the customer's key
	Inputs Input  // what may be asked about
	// Registered: of a domain, the one that was registered is asked about (example.co.uk, of mail.example.co.uk), since
	// the list has no other.
	Registered bool
	Rules      []Rule // the strongest that matches counts
	Errors     []Failure
	// Listed and Free are the test points, addresses or domains: those that are always listed, and those that never are
	// (RFC 5782 section 5). An IPv6 one of a mapped address ("::ffff:127.0.0.2") stays IPv6.
	Listed []string
	Free   []string

	Quota      int    // queries in 24 hours that are free of charge; 0 where the operator names none
	Commercial bool   // commercial use is allowed on these terms
	Terms      string // the licence in one sentence
	Website    string // where a listed sender can look and ask to be taken off
}

// keyLabel is the place of the key in a zone.
const keyLabel = "{key}"

// NeedsKey reports whether the list is asked with a key.
func (l *List) NeedsKey() bool { return strings.Contains(l.Zone, keyLabel) }

// Validate returns all that is wrong with a definition, or nil.
func (l *List) Validate() error {
	var errs []error
	say := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("rbl: list %q: "+format, append([]any{l.Name}, args...)...))
	}
	if !isLabel(l.Name) {
		say("the name must be of lower-case letters, digits and hyphens")
	}
	if _, ok := domainName(strings.Replace(l.Zone, keyLabel, "key", 1), 2); !ok || strings.ToLower(l.Zone) != l.Zone {
		say("zone %q is no domain name in lower case", l.Zone)
	}
	if n := strings.Count("."+l.Zone, "."+keyLabel+"."); n != strings.Count(l.Zone, "{") {
		say("zone %q: %s must be a label of its own, once", l.Zone, keyLabel)
	}
	if l.Inputs == 0 {
		say("no inputs")
	}
	if l.Inputs&LinkIPv4 != 0 && l.Inputs&Link == 0 {
		say("asked about the addresses of links, and not about their hosts")
	}
	if l.Registered && l.Inputs&Client != 0 {
		say("registered: addresses have no registered domain")
	}
	if l.Inputs&Client != 0 && l.Inputs&Domains != 0 {
		say("asked about addresses and about domains: make it two lists, for they are tested in different ways")
	}
	if len(l.Rules) == 0 || len(l.Rules) > 100 || len(l.Errors) > 100 {
		say("%d rules and %d errors: 1 to 100 rules, at most 100 errors", len(l.Rules), len(l.Errors))
	}
	for _, r := range l.Rules {
		if !r.Answer.set || r.Label == "" || r.Weight < -Decisive || r.Weight > Decisive {
			say("rule %q (%q, weight %d): it needs a pattern, a label and a weight of %d to %d", r.Answer, r.Label, r.Weight, -Decisive, Decisive)
		}
	}
	for _, f := range l.Errors {
		if !f.Answer.set || f.Says == "" {
			say("error %q (%q): it needs a pattern and what it says", f.Answer, f.Says)
		}
	}
	if len(l.Listed) == 0 || len(l.Free) == 0 || len(l.Listed)+len(l.Free) > 10 {
		say("%d test points that are listed and %d that are not: at least one of each, ten together", len(l.Listed), len(l.Free))
	}
	for _, point := range append(append([]string(nil), l.Listed...), l.Free...) {
		addr, err := netip.ParseAddr(point)
		_, isName := domainName(point, 1)
		if isAddr := err == nil && addr.Zone() == ""; isAddr != (l.Inputs&Client != 0) || !isAddr && !isName {
			say("test point %q is not of the list's kind", point)
		}
	}
	return errors.Join(errs...)
}
