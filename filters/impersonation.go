package filters

import (
	"context"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gatepost/gateway"
	"gatepost/internal/author"
	"gatepost/internal/dmarc"
	"gatepost/internal/freemail"
)

// Impersonation is told by five checks, each with a finding of its own: whoever reads the trace sees which of the tricks it
// was, and policy prices each. They look at the author as the check author read it, and where that is in doubt they find
// nothing: a message without one author is refused before.

// impersonatedPerson looks for the names of people of ours.
func impersonatedPerson() Definition {
	return Definition{
		Name: "impersonation.person", Stage: gateway.Data, Class: gateway.ClassContent,
		Doc:      "Does the display name of the author, or of Reply-To, name one of the people of the option people, with an address that is neither theirs nor of a domain of ours? Names are compared without case, accents, order, titles and letters that only look alike.",
		Action:   gateway.ActionQuarantine,
		Unknown:  gateway.ActionTag,
		Measures: []Measure{{"person", "who is named; its text is the name as policy has it", 0}},
		Options:  &PersonOptions{},
		Build: func(options any, d *Deps) (Built, error) {
			people := options.(*PersonOptions).people()
			return Built{Ready: always, Run: func(_ context.Context, in *gateway.Input) gateway.Finding {
				if len(people) == 0 {
					return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
				}
				return d.runPerson(people, in.Envelope)
			}}, nil
		},
	}
}

// PersonOptions are the options of checks.impersonation.person.
type PersonOptions struct {
	People []string `toml:"people" rfc:"RFC 5322 section 3.4" example:"Jane Doe <jane.doe@example.org>" doc:"People whose names strangers like to use (those who may have money paid), each with an address that they write from. Addresses of domains that are served here need not be named; a private one does: write the person once more with it."`
}

// Validate refuses what is no mailbox with a name of two words: the name of one word fits too many strangers.
func (o *PersonOptions) Validate(report func(key, message, instead string)) {
	for i, text := range o.People {
		a, err := mail.ParseAddress(text)
		key := "people[" + strconv.Itoa(i) + "]"
		switch {
		case err != nil:
			report(key, strconv.Quote(text)+" is no mailbox", "write name and address, as \"Jane Doe <jane.doe@example.org>\"")
		case a.Name == "":
			report(key, strconv.Quote(text)+" has no name, and the name is what strangers use", "write first and last name, as \"Jane Doe <jane.doe@example.org>\"")
		case len(nameWords(a.Name)) < 2:
			report(key, "the name "+strconv.Quote(a.Name)+" has less than two words, and would fit too many strangers", "write first and last name, as \"Jane Doe <jane.doe@example.org>\"")
		}
	}
}

// person is one of the people of policy.
type person struct {
	name      string
	words     []string // nameWords
	addresses []string // lower case
}

func (o *PersonOptions) people() (out []person) {
	for _, text := range o.People {
		a, err := mail.ParseAddress(text)
		if err != nil {
			continue // refused by Validate
		}
		words, address := nameWords(a.Name), strings.ToLower(a.Address)
		if i := slices.IndexFunc(out, func(p person) bool { return slices.Equal(p.words, words) }); i >= 0 {
			out[i].addresses = append(out[i].addresses, address)
			continue
		}
		out = append(out, person{a.Name, words, []string{address}})
	}
	return out
}

func (d *Deps) runPerson(people []person, e *gateway.Envelope) gateway.Finding {
	a := authorOf(e)
	for _, m := range append([]author.Mailbox{a.Mailbox()}, replyTo(e)...) {
		if m.Name == "" || m.Address.Domain == "" || d.Policy.Domain(m.Address.Domain) != nil {
			continue // a domain of ours, authenticated or not, is for impersonation.own
		}
		words := nameWords(m.Name)
		for i := range people {
			p := &people[i]
			if !namesPerson(words, p.words) || slices.Contains(p.addresses, strings.ToLower(m.Address.String())) {
				continue
			}
			address := gateway.CleanText(m.Address.String(), 320)
			return gateway.Failed(gateway.ImpersonatedPerson, p.name+", "+address).
				With(gateway.Measure{Name: "person", Value: 1, Text: p.name}).
				Show("name", gateway.CleanText(m.Name, 200)).Show("address", address).Show("person", p.name)
		}
	}
	return gateway.Passed()
}

// replyTo are the mailboxes of Reply-To, as far as they can be read; read once.
func replyTo(e *gateway.Envelope) []author.Mailbox {
	if e.Header == nil {
		return nil
	}
	text := e.Header.Get("Reply-To")
	if text == "" {
		return nil
	}
	return gateway.Fact(&e.Facts, "reply-to", func() []author.Mailbox { return author.Mailboxes(text, mostReplyTo) })
}

// mostReplyTo is how many mailboxes of Reply-To are looked at.
const mostReplyTo = 5

// impersonatedOwn looks for our own domains in From.
func impersonatedOwn() Definition {
	return Definition{
		Name: "impersonation.own", Stage: gateway.Data, Class: gateway.ClassContent,
		Doc:     "Does the message say to come from a domain that is served here, and nothing authenticates it: neither its SPF nor its DKIM, nor a client of ours? Or is the display name of a foreign author an address of such a domain, which is all that many clients show? What a domain's DMARC record asks for is done by the check dmarc; this one sees what has none, or one that asks for nothing.",
		RFC:     "RFC 9989 section 5",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionObserve,
		Reasons: map[gateway.Reason]gateway.Action{gateway.ImpersonatedOwn: gateway.ActionScore, gateway.ImpersonatedName: gateway.ActionScore},
		Measures: []Measure{
			{"own", "the message says to be from a domain of ours; its text is the domain", 3},
			{"name", "the display name is an address of a domain of ours, and the author's is not; its text is the address", 3},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return d.runOwn(in) }, Ready: always}, nil
		},
	}
}

func (d *Deps) runOwn(in *gateway.Input) gateway.Finding {
	e := in.Envelope
	a := authorOf(e)
	domain := a.Domain
	if domain == "" {
		return gateway.Passed()
	}
	if d.Policy.Domain(domain) == nil {
		return d.ownInName(a.Mailbox())
	}
	s := in.Session
	if s.Trusted || s.Relay || isInside(s.Client.Addr()) {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
	}
	switch r := dmarcSaid(e); {
	case r == nil, r.Result == "temperror":
		return gateway.CouldNotTell(gateway.DNSFailed, domain).Show("domain", domain)
	case aligned(r):
		return gateway.Passed().Show("authenticated", domain)
	case r.DMARC != nil && r.DMARC.Override != "":
		return gateway.Passed().Show("let pass by dmarc", r.DMARC.Override)
	}
	return gateway.Failed(gateway.ImpersonatedOwn, domain).With(gateway.Measure{Name: "own", Value: 1, Text: domain}).Show("domain", domain)
}

// ownInName looks for an address of ours in the display name of an author who is not. A list that writes "a@ours via list" has
// its own List-Id, and costs the same: who reads it is shown the same.
func (d *Deps) ownInName(m author.Mailbox) gateway.Finding {
	if !strings.ContainsRune(m.Name, '@') {
		return gateway.Passed()
	}
	for _, word := range strings.FieldsFunc(m.Name, func(c rune) bool { return unicode.IsSpace(c) || strings.ContainsRune(`"'<>()[]{},;:|`, c) }) {
		local, domain, ok := strings.Cut(word, "@")
		domain = strings.ToLower(strings.TrimRight(domain, ".!?"))
		if ok && local != "" && domain != "" && domain[0] != '.' && d.Policy.Domain(domain) != nil {
			shown, address := gateway.CleanText(local+"@"+domain, 200), gateway.CleanText(m.Address.String(), 320)
			return gateway.Failed(gateway.ImpersonatedName, shown).With(gateway.Measure{Name: "name", Value: 1, Text: shown}).
				Show("name", gateway.CleanText(m.Name, 200)).Show("address", address)
		}
	}
	return gateway.Passed()
}

// aligned reports whether the author's domain is authenticated, whether it has a record or not.
func aligned(r *gateway.AuthResult) bool {
	return r != nil && (r.Result == "pass" || r.DMARC != nil && (r.DMARC.SPF || r.DMARC.DKIM))
}

// dmarcSaid is what the check dmarc found, in an earlier row; nil where it did not run.
func dmarcSaid(e *gateway.Envelope) *gateway.AuthResult {
	for i := range e.Findings {
		for k := range e.Findings[i].Auth {
			if r := &e.Findings[i].Auth[k]; r.Method == "dmarc" {
				return r
			}
		}
	}
	return nil
}

// replyElsewhere looks at where answers go.
func replyElsewhere() Definition {
	return Definition{
		Name: "impersonation.reply", Stage: gateway.Data, Class: gateway.ClassContent,
		Doc:    "Would an answer go to another organization than the one that the message says to come from (Reply-To)? Mailing lists and newsletters do that; whoever poses as a colleague does it with a mailbox that anybody can have.",
		RFC:    "RFC 5322 section 3.6.2",
		Action: gateway.ActionScore, Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"elsewhere", "answers go to another organization, and the message is neither of a list nor a newsletter; its text is the domain", 0.5},
			{"freemail", "they go to a mailbox that anybody can have, and the message comes from none", 2},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return runReply(in.Envelope) }, Ready: always}, nil
		},
	}
}

func runReply(e *gateway.Envelope) gateway.Finding {
	from := authorOf(e).Domain
	answers := replyTo(e)
	if from == "" || len(answers) == 0 || isList(e.Header) {
		return gateway.Passed()
	}
	own := dmarc.Registered(from)
	for _, m := range answers {
		to := m.Address.Domain
		if to == "" || dmarc.Registered(to) == own {
			continue
		}
		f := gateway.Failed(gateway.ReplyElsewhere, to).With(gateway.Measure{Name: "elsewhere", Value: 1, Text: to}).
			Show("from", from).Show("reply-to", gateway.CleanText(m.Address.String(), 320))
		if freemail.Free(to) && !freemail.Free(from) {
			f = f.With(gateway.Measure{Name: "freemail", Value: 1, Text: to})
		}
		return f
	}
	return gateway.Passed()
}

// isList reports whether a message says to come by a list, or to be one of many: what it says costs nothing to write, and so
// takes away no more than what a strange Reply-To costs.
func isList(h *gateway.Header) bool {
	if h == nil {
		return false
	}
	for i := range h.Fields {
		switch n := h.Fields[i].Name; {
		case strings.EqualFold(n, "List-Id"), strings.EqualFold(n, "List-Unsubscribe"), strings.EqualFold(n, "List-Post"):
			return true
		}
	}
	return false
}
