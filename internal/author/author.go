package author

import (
	"slices"
	"strconv"
	"strings"
)

// Author is who a message says it is from.
type Author struct {
	// Domain is that of the one author: A-label, lower case, at least two labels. It is "" wherever there is a Problem.
	Domain    string
	Domains   []string  // of all addresses that could be read, each once; also where there are Problems
	Addresses []Address // all that could be read, in their order; exactly one where there is no Problem
	Problems  []Problem // none says: every mail client that shows an address shows this one
	// Name is the display name of the last of Addresses, or the comment that stands for it, decoded; "" for none.
	Name string
	// Poses are other domains that the display name or a comment names with an address, as in "ceo@bank.example"
	// <x@elsewhere.example>. They are A-labels where they can be.
	Poses []string
	// Veiled says that the display name holds control octets, or turns the direction of text.
	Veiled bool
	// EightBit says that a name or comment holds octets over 127, which without SMTPUTF8 no two clients need show alike.
	EightBit bool
	// Mbox says that the header section begins with the line that separates messages of an mbox file (RFC 4155).
	Mbox bool
}

// Address is one address as it was read.
type Address struct {
	Local  string // unquoted, case kept
	Domain string // A-label, lower case; "" of an address literal or a domain that cannot be one
}

// String is the address as RFC 5322 writes it, the local part quoted only where it must be.
func (a Address) String() string {
	for i := 0; i < len(a.Local); i++ {
		if c := a.Local[i]; !isAtom(c) {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Local) + `"@` + a.Domain
		}
	}
	return a.Local + "@" + a.Domain
}

// Kind is one way in which a message has no one author.
type Kind uint8

// The kinds.
const (
	NoField         Kind = iota + 1 // no From field
	SeveralFields                   // more than one
	Disguised                       // a field that a careless reader could take for From
	Empty                           // From without text, or with <> only
	NoAddress                       // text, and no address in it
	SeveralAuthors                  // more than one address
	Group                           // a group (RFC 6854) with an address in it or in its name
	EmptyGroup                      // a group without any, as undisclosed:;
	Route                           // a source route (RFC 5322 section 4.4)
	Syntax                          // nothing that reads as one address and a name
	TextBehind                      // text behind the address in angle brackets
	InName                          // another domain's address stands unquoted before the angle brackets
	InEncoded                       // an encoded word hides another domain's address with a comma or angle brackets
	InQuotes                        // a quoted name hides another domain's address behind a backslash
	InComment                       // a comment inside the address, or one that hides another
	EncodedAddress                  // an encoded word inside the address (RFC 2047 section 5 forbids it)
	QuotedLocal                     // a quoted local part that holds what separates addresses
	EightBitAddress                 // 8-bit octets in the address without SMTPUTF8, or that are no UTF-8
	LookAlike                       // a character in the address that looks like "@", "." or another separator, or like none
	BadDomain                       // a domain that is no host name
	NoDomain                        // an address literal, an IP address or a single label
	Control                         // control octets
	Folding                         // folded over an empty line, which ends the header section for some readers
	BrokenBelow                     // right below From stands a line that is no field, which some readers take for a part of it
	BrokenAbove                     // above From stands a line that is no field, which ends the header section for some readers
	TooLong                         // more octets than a From field or an address may have here
)

var kindWords = [...]string{
	NoField:         "it has no From field",
	SeveralFields:   "it has several From fields",
	Disguised:       "a field looks like From and is none",
	Empty:           "its From field is empty",
	NoAddress:       "its From field names no address",
	SeveralAuthors:  "its From field names several addresses",
	Group:           "its From field names a group",
	EmptyGroup:      "its From field names a group without members",
	Route:           "its From address is a source route",
	Syntax:          "its From field does not read as one address",
	TextBehind:      "text stands behind its From address",
	InName:          "another address stands unquoted in its From field",
	InEncoded:       "an encoded word of its From field hides another address",
	InQuotes:        "a quoted name of its From field hides another address",
	InComment:       "a comment disturbs its From address",
	EncodedAddress:  "its From address holds an encoded word",
	QuotedLocal:     "the quoted local part of its From address holds separators",
	EightBitAddress: "its From address holds 8-bit text that SMTPUTF8 does not cover",
	LookAlike:       "its From address holds characters that look like others",
	BadDomain:       "the domain of its From address is no host name",
	NoDomain:        "its From address has no domain of the Internet",
	Control:         "its From field holds control octets",
	Folding:         "its From field is folded over an empty line",
	BrokenBelow:     "a line that is no field stands right below its From field",
	BrokenAbove:     "a line that is no field stands above its From field",
	TooLong:         "its From field is too long",
}

// String is the kind in words that a sender's postmaster understands.
func (k Kind) String() string {
	if int(k) < len(kindWords) && kindWords[k] != "" {
		return kindWords[k]
	}
	return "unknown problem " + strconv.Itoa(int(k))
}

// Mild reports a kind of which nobody can be impersonated: no mail client has an address with a domain of the Internet to
// show. Such mail exists (no-reply groups, machines without a domain), cannot be authenticated, and is no attack by itself.
func (k Kind) Mild() bool { return k == EmptyGroup || k == NoDomain }

// Problem is one thing that stands in the way of one author.
type Problem struct {
	Kind Kind
	Text string // what exactly, printable ASCII, at most 80 octets; "" where the kind says all
}

// String is the problem in words.
func (p Problem) String() string {
	if p.Text == "" {
		return p.Kind.String()
	}
	return p.Kind.String() + " (" + p.Text + ")"
}

// Ambiguous reports whether mail clients may show another author than the one that is authenticated: there is a Problem
// that is not mild.
func (a *Author) Ambiguous() bool {
	return slices.ContainsFunc(a.Problems, func(p Problem) bool { return !p.Kind.Mild() })
}

// Has reports whether there is a problem of that kind.
func (a *Author) Has(k Kind) bool {
	return slices.ContainsFunc(a.Problems, func(p Problem) bool { return p.Kind == k })
}

// wrong notes a problem, each kind once.
func (a *Author) wrong(k Kind, text string) {
	if !a.Has(k) {
		a.Problems = append(a.Problems, Problem{k, clean(text)})
	}
}

// maxAddresses bounds what is kept of a From field that names many.
const maxAddresses = 16

// found notes an address.
func (a *Author) found(local, domain string) {
	if len(a.Addresses) == maxAddresses {
		return
	}
	a.Addresses = append(a.Addresses, Address{local, domain})
	if domain != "" && !slices.Contains(a.Domains, domain) {
		a.Domains = append(a.Domains, domain)
	}
}

// clean makes a stranger's text fit to be shown.
func clean(text string) string {
	const most = 80
	for i := 0; i < len(text) && i <= most; i++ {
		if text[i] < ' ' || text[i] > '~' || i == most {
			b := []byte(text[:min(len(text), most)])
			for j, c := range b {
				if c < ' ' || c > '~' {
					b[j] = '?'
				}
			}
			return string(b)
		}
	}
	return text
}
