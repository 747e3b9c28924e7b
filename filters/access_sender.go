package filters

import (
	"context"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dns"
	"gatepost/internal/smtpwire"
)

// accessSender is the site's own list of names and addresses.
func accessSender() Definition {
	return Definition{
		Name: "access.sender", Stage: gateway.Mail, Class: gateway.ClassList,
		Doc:      "Is the HELO name, the verified reverse name, or the reverse-path on this site's own block list? It can only block: all three can be forged or bought.",
		Action:   gateway.ActionReject,
		Unknown:  gateway.ActionPass, // no DNS for the reverse name of a stranger must not stop the mail of all strangers
		Measures: []Measure{{"block", "an entry matches", 0}},
		Options:  &SenderEntries{},
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*SenderEntries)
			rules := o.compile()
			return Built{Run: func(ctx context.Context, in *gateway.Input) gateway.Finding { return rules.find(ctx, d, in) },
				Ready: func(in *gateway.Input) bool { return len(o.Entries) == 0 || d.reverseKnown(in) }}, nil
		},
	}
}

// SenderEntries are the options of checks.access.sender.
type SenderEntries struct {
	Entries []SenderEntry `toml:"entry" doc:"One name or address to block."`
}

// SenderEntry blocks one name or address; exactly one of the first three is set.
type SenderEntry struct {
	Helo    string `toml:"helo" max:"255" example:"spammer.example" doc:"A HELO name, or with a leading dot every name below it."`
	Reverse string `toml:"reverse" max:"255" example:".dynamic.example" doc:"A verified reverse name, or with a leading dot every name below it."`
	Address string `toml:"address" max:"320" example:"@spammer.example" doc:"A reverse-path: user@domain, @domain, or @.domain for every name below it. Case does not count."`
	Note
}

// Validate wants exactly one thing to compare with, in a form that can match.
func (e *SenderEntry) Validate(report func(key, message, instead string)) {
	n := 0
	for _, v := range [...]string{e.Helo, e.Reverse, e.Address} {
		if v != "" {
			n++
		}
	}
	if n != 1 {
		report("", "names not exactly one of helo, reverse and address", "write one of the three in each entry")
		return
	}
	if _, ok := e.compile(); ok {
		return
	}
	if e.Address != "" {
		report("address", strconv.Quote(e.Address)+" is no address", `write user@domain, "@domain" for a whole domain, or "@.domain" for the names below it`)
		return
	}
	report(map[bool]string{true: "helo", false: "reverse"}[e.Helo != ""], strconv.Quote(e.Helo+e.Reverse)+" is no name that could come",
		`write a name, or with a leading dot (".example.org") every name below it`)
}

// senderRule is an entry in the forms that the edge compares with: lower-case A-labels, local parts unquoted.
type senderRule struct {
	entry         *SenderEntry
	shown         string
	helo, reverse string
	isAddress     bool
	local, domain string
}

type senderRules []senderRule

// compile leaves out what can never match; Validate has reported it.
func (o *SenderEntries) compile() senderRules {
	var out senderRules
	for i := range o.Entries {
		if r, ok := o.Entries[i].compile(); ok {
			out = append(out, r)
		}
	}
	return out
}

func (e *SenderEntry) compile() (r senderRule, ok bool) {
	r.entry = e
	switch {
	case e.Helo != "":
		r.shown, r.helo = "helo "+e.Helo, strings.TrimSuffix(strings.ToLower(e.Helo), ".")
		if name, ok := nameOf(e.Helo); ok { // a HELO name may be anything; what is a name is compared as one
			r.helo = name
		}
		return r, strings.Trim(r.helo, ".") != ""
	case e.Reverse != "":
		r.shown = "reverse " + e.Reverse
		r.reverse, ok = nameOf(e.Reverse)
		return r, ok
	}
	r.shown, r.isAddress = "address "+e.Address, true
	if domain, whole := strings.CutPrefix(e.Address, "@"); whole {
		r.domain, ok = nameOf(domain)
		return r, ok
	}
	a, err := smtpwire.ParseAddress(e.Address, true)
	r.local, r.domain = a.Local, a.ASCII
	return r, err == nil && a.Domain != ""
}

// nameOf returns a name as it is compared; a leading dot stays, a dot at the end goes, and an underscore may be in it.
func nameOf(text string) (string, bool) {
	rest, below := strings.CutPrefix(strings.TrimSuffix(text, "."), ".")
	name := strings.ToLower(rest)
	if !dns.ValidName(name) {
		var err error
		if name, err = smtpwire.ParseDomain(rest); err != nil {
			return "", false
		}
	}
	if below {
		name = "." + name
	}
	return name, true
}

func (rules senderRules) find(ctx context.Context, d *Deps, in *gateway.Input) gateway.Finding {
	unable := gateway.Passed()
	client := in.Session.Client.Addr()
	for i := range rules {
		r := &rules[i]
		if r.entry.over(in.Envelope.Started) {
			continue
		}
		what := ""
		switch {
		case r.helo != "" && nameMatches(r.helo, in.Session.Helo.Name):
			what = "your HELO name"
		case r.isAddress && r.matches(in.Envelope.From):
			what = "the sender address"
		case r.reverse != "" && d.Resolver != nil && !unjudged(in.Session):
			switch have := d.reverse(ctx, in.Session); {
			case have.Status == dns.Found && nameMatches(r.reverse, have.Name):
				what = "your host name"
			case have.Status == dns.Failed:
				unable = gateway.CouldNotTell(gateway.DNSFailed, client.Unmap().String()).Show("dns", have.Detail)
			}
		}
		if what != "" {
			return r.blocks(what)
		}
	}
	return unable
}

// blocks is the finding of an entry that matches; what says by what of the sender.
func (r *senderRule) blocks(what string) gateway.Finding {
	return gateway.Failed(gateway.AccessBlocked, what).With(gateway.Measure{Name: "block", Value: 1, Text: r.shown}).
		Show("entry", r.entry.text(r.shown))
}

// nameMatches compares names without regard to case; a pattern with a leading dot stands for every name below it.
func nameMatches(pattern, name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if strings.HasPrefix(pattern, ".") {
		return strings.HasSuffix(name, pattern)
	}
	return name == pattern
}

// matches compares by domain, and by the whole address without regard to case: a list that a capital letter evades is no
// list.
func (r *senderRule) matches(a gateway.Address) bool {
	return a.Domain != "" && nameMatches(r.domain, a.Domain) && (r.local == "" || strings.EqualFold(r.local, a.Local))
}
