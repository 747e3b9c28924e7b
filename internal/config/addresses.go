package config

import (
	"strconv"
	"strings"

	"gatepost/internal/smtpwire"
)

// Recipient is a route of single addresses.
type Recipient struct {
	Addresses []string `toml:"addresses" format:"recipient" required:"true" example:"ceo@example.org" doc:"Whose mail takes the route: addresses of domains that are served, or \"ceo@\" for that local part in each of them. Upper and lower case are the same. An alias has no route: write those that it stands for."`
	Route     string   `toml:"route" format:"word" required:"true" example:"internal" doc:"The route that their mail takes instead of their domain's."`
}

// Alias is an address that stands for others.
type Alias struct {
	Address string   `toml:"address" format:"mailbox" required:"true" example:"sales@example.org" doc:"The address, of a domain that is served. Upper and lower case are the same; where the domain has subaddress, sales+x@example.org is meant too, unless it has an alias of its own."`
	To      []string `toml:"to" format:"mailbox" required:"true" example:"a@example.org, b@example.org" rfc:"RFC 5321 section 3.9.1" doc:"Who gets its mail: at most 100 addresses of domains that are served, which may be aliases again. All of them go one route. Where the address itself is among them, it keeps a copy."`
}

// DomainMap is a domain that stands for another.
type DomainMap struct {
	From    string           `toml:"from" format:"domain" required:"true" example:"old.example" doc:"The domain. It is served with what is said of the other; it has no [[domain]]."`
	To      string           `toml:"to" format:"domain" required:"true" example:"example.org" doc:"The domain that it stands for: a recipient of the same local part there gets the mail."`
	Rewrite DomainMapRewrite `toml:"rewrite" enum:"envelope,headers" default:"envelope" doc:"envelope: only the next hop is told the other address. headers: To and Cc of the message too, which breaks DKIM signatures over them; arc.seal = \"changed\" keeps what was verified. From and Reply-To never: DMARC and answers would break."`
}

// DomainMapRewrite is what of a message is changed.
type DomainMapRewrite string

// The values of domain_map.rewrite.
const (
	RewriteEnvelope DomainMapRewrite = "envelope"
	RewriteHeaders  DomainMapRewrite = "headers"
)

// maxTargets is gateway.MaxTargets.
const maxTargets = 100

// Validate bounds the list.
func (a *Alias) Validate(report func(key, message, instead string)) {
	switch {
	case len(a.To) > maxTargets:
		report("to", "has "+strconv.Itoa(len(a.To))+" addresses, which is more than "+strconv.Itoa(maxTargets), "let a list server behind the gateway do that")
	case len(a.To) == 0:
		report("to", "is empty, so nobody would get the mail", `write for example to = ["info@example.org"]`)
	}
}

// Validate wants somebody.
func (r *Recipient) Validate(report func(key, message, instead string)) {
	if r.Route != "" && len(r.Addresses) == 0 {
		report("addresses", "is empty, so the route is nobody's", `write for example addresses = ["ceo@example.org"]`)
	}
}

// Validate refuses a domain that stands for itself.
func (m *DomainMap) Validate(report func(key, message, instead string)) {
	if m.From != "" && m.From == m.To {
		report("to", shown(m.To)+" is the domain itself", "remove the [[domain_map]]")
	}
}

// addressRoutes checks that the routes of single addresses are there.
func (p *Policy) addressRoutes(routes map[string]bool, names []string, report func(key, message, instead string)) {
	for i, r := range p.Recipients {
		if r.Route != "" && !routes[r.Route] {
			report("recipient["+strconv.Itoa(i)+"].route", "there is no route "+shown(r.Route), routeAdvice(r.Route, names))
		}
	}
}

// warnRewrite says what rewriting costs where nothing makes up for it.
func (p *Policy) warnRewrite(report func(key, message, instead string)) {
	if p.ARC.Seal != SealOff {
		return
	}
	for i, m := range p.DomainMaps {
		if m.Rewrite == RewriteHeaders {
			report("domain_map["+strconv.Itoa(i)+"].rewrite", "changes To and Cc, and with them breaks most DKIM signatures",
				`write arc.seal = "changed", so that those behind the gateway know what was verified, or leave it at "envelope"`)
		}
	}
}

// checkMailbox reads an address, whole, its domain in any letters.
func checkMailbox(text string) (string, *ValueError) {
	a, err := smtpwire.ParseAddress(text, true)
	switch {
	case err == nil && !a.Literal.IsValid():
		return smtpwire.QuoteLocal(a.Local) + "@" + a.ASCII, nil
	case strings.HasPrefix(text, "@"):
		return "", &ValueError{"is a domain, not a mail address", "write [[domain_map]] for a domain that stands for another, and catch_all for what is for nobody"}
	case strings.ContainsAny(text, "<>"):
		return "", &ValueError{"is not a mail address", "write it without < and >"}
	}
	return "", &ValueError{"is not a mail address", `write it whole, for example "info@example.org"`}
}

// checkRecipient reads an address, or a local part with its @.
func checkRecipient(text string) (string, *ValueError) {
	local, alone := strings.CutSuffix(text, "@")
	if !alone {
		return checkMailbox(text)
	}
	a, err := smtpwire.ParseAddress(local+"@example.org", true)
	if err != nil {
		return "", &ValueError{"is no local part and @", `write for example "ceo@" or "ceo@example.org"`}
	}
	return smtpwire.QuoteLocal(a.Local) + "@", nil
}

// checkPattern reads a domain, or "*." and a domain for all names below it.
func checkPattern(text string) (string, *ValueError) {
	below, pattern := strings.CutPrefix(text, "*.")
	if strings.HasPrefix(text, ".") {
		return "", &ValueError{"is Postfix's form for all names below a domain", "write " + shown("*"+text) + ", or subdomains = true in the domain itself to serve both"}
	}
	if !pattern {
		return checkDomain(text)
	}
	name, bad := checkDomain(below)
	if bad != nil {
		return "", bad
	}
	return "*." + name, nil
}
