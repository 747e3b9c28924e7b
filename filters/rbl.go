package filters

import (
	"context"
	"errors"
	"strings"

	"gatepost/gateway"
	"gatepost/rbl"
)

// ListsOptions are the options of the checks of DNS lists.
type ListsOptions struct {
	Refuse int `toml:"refuse" unit:"weight" default:"10" min:"1" max:"100" doc:"From this sum of the lists' weights on it fails: 10 is what one listing of a person's or a trap's work has, which holds for the very address (docs/lists.md)."`
}

// rblClient looks the client's address up in lists.
func rblClient() Definition {
	def := Definition{Name: "rbl.client", Stage: gateway.Connect}
	def.asksLists()
	def.Doc = "Is the client's address on a DNS list that [rbl] names? All lists are asked with the connection and waited for before the first MAIL. Each has the weight of its code, and together they refuse; postmaster and abuse are reached. What a list could not tell is unknown: rbl.late is held for a minute, but for clients whose mail was taken lately."
	def.Build = askingLists(rbl.Client, func(c *lister) Built { return Built{Run: c.runClient, Ready: c.clientReady, Ahead: c.beginClient} })
	return def
}

// rblHelo looks the names of the client up in lists.
func rblHelo() Definition {
	def := Definition{Name: "rbl.helo", Stage: gateway.Helo}
	def.asksLists()
	def.Doc = "Is the name in HELO or EHLO, or the client's verified reverse name, on a DNS list of domains that [rbl] names? A list has one voice for both. Weights and what could not be told are as of rbl.client."
	def.Build = askingLists(rbl.HeloName|rbl.ReverseName, func(c *lister) Built { return Built{Run: c.runHelo, Ready: c.heloReady} })
	return def
}

// rblSender looks the domain of the reverse-path up in lists.
func rblSender() Definition {
	def := Definition{Name: "rbl.sender", Stage: gateway.Mail}
	def.asksLists()
	def.Doc = "Is the domain of MAIL FROM on a DNS list of domains that [rbl] names? A listing that was priced for the client's name already costs nothing more. Left out for the null reverse-path and for domains that we serve. Weights and what could not be told are as of rbl.client."
	def.Build = askingLists(rbl.MailFrom, func(c *lister) Built { return Built{Run: c.runSender, Ready: c.senderReady, AheadMail: c.beginSender} })
	return def
}

// rblAuthor looks the author's domain up in lists.
func rblAuthor() Definition {
	def := Definition{Name: "rbl.author", Stage: gateway.Data}
	def.asksLists()
	def.Doc = "Is the domain of the message's author (From) on a DNS list of domains that [rbl] names? A listing that was priced for the client's name or MAIL FROM already costs nothing more. Left out where it is not clear who the author is, and for domains that we serve. Weights and what could not be told are as of rbl.client."
	def.Build = askingLists(rbl.From, func(c *lister) Built { return Built{Run: c.runAuthor, Ready: c.authorReady} })
	return def
}

// rblURL looks the hosts of links up in lists.
func rblURL() Definition {
	def := Definition{Name: "rbl.url", Stage: gateway.Data}
	def.asksLists()
	def.Doc = "Are hosts that links of the message lead to on a DNS list of domains that [rbl] names? At most 20 hosts are asked about, those that look worst first; never well-known ones, those of mailing services, and domains that we serve. A list has one voice for all of them, and a listing that was priced for the sender already costs nothing more. What a list could not tell is unknown, and holds nobody."
	def.Action = gateway.ActionScore
	def.Reasons = nil // of a list that is late too: who could not be told costs nothing
	def.Measures[0].Price = 0.7
	def.Build = askingLists(rbl.Link|rbl.LinkIPv4, (*lister).urls)
	return def
}

// asksLists fills in what the definitions have in common.
func (def *Definition) asksLists() {
	def.Class, def.RFC, def.Options = gateway.ClassList, "RFC 5782", &ListsOptions{}
	def.Action = gateway.ActionReject
	def.Unknown = gateway.ActionPass // of lists that are not used at the moment: marked, and told to the operator
	def.Reasons = map[gateway.Reason]gateway.Action{gateway.RBLLate: gateway.ActionDefer}
	def.Measures = []Measure{{"listed", "a listing, by its weight; below zero for lists of good senders", 0.5}}
}

// askingLists builds a check that asks lists about such inputs; where none is asked about them, one that tells so.
func askingLists(inputs rbl.Input, built func(c *lister) Built) func(any, *Deps) (Built, error) {
	return func(options any, d *Deps) (Built, error) {
		c, err := d.newLister(options, inputs)
		if err != nil || c == nil {
			return unlisted(), err
		}
		return built(c), nil
	}
}

// listing is the measure of a list's strongest code. It reads as list:code label.
func listing(list string, c rbl.Code) gateway.Measure {
	return gateway.Measure{Name: "listed", Value: float64(c.Weight), Text: list + ":" + c.Answer.String() + " " + c.Label}
}

// unlisted is a check that no list is there for.
func unlisted() Built {
	return Built{Ready: always, Run: func(context.Context, *gateway.Input) gateway.Finding { return noInput() }}
}

func noInput() gateway.Finding {
	return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
}

func (c *lister) runClient(ctx context.Context, in *gateway.Input) gateway.Finding {
	addr := in.Session.Client.Addr().Unmap().WithZone("")
	switch {
	case unjudged(in.Session):
		return leftOut(in.Session)
	case addr.Is4() && c.inputs&rbl.ClientIPv4 == 0, !addr.Is4() && c.inputs&rbl.ClientIPv6 == 0:
		return noInput()
	}
	return c.tell(in, addr.String(), c.client(ctx, in.Session), nil)
}

func (c *lister) runHelo(ctx context.Context, in *gateway.Input) gateway.Finding {
	if unjudged(in.Session) {
		return leftOut(in.Session)
	}
	return c.tell(in, heloText(in.Session), c.names(ctx, in.Session), nil)
}

func (c *lister) runSender(ctx context.Context, in *gateway.Input) gateway.Finding {
	if isInside(in.Session.Client.Addr()) { // a relay's says nothing of names
		return leftOut(in.Session)
	}
	if c.d.leavesSender(in.Envelope) {
		return noInput()
	}
	return c.tell(in, in.Envelope.From.Domain, c.sender(ctx, in.Envelope), c.priced(in, false, false))
}

func (c *lister) runAuthor(ctx context.Context, in *gateway.Input) gateway.Finding {
	if isInside(in.Session.Client.Addr()) { // a relay's says nothing of names
		return leftOut(in.Session)
	}
	domain := c.authorDomain(in.Envelope)
	if domain == "" {
		return noInput()
	}
	return c.tell(in, domain, c.author(ctx, in.Envelope, domain), c.priced(in, true, false))
}

// authorDomain is what is asked about of an author; "" for nothing.
func (c *lister) authorDomain(e *gateway.Envelope) string {
	domain := authorOf(e).Domain
	if domain == "" || strings.HasPrefix(domain, "[") || c.d.Policy.Domain(domain) != nil {
		return ""
	}
	return domain
}

// newLister makes what a check of lists works with; nil where no list is asked about those inputs.
func (d *Deps) newLister(options any, inputs rbl.Input) (*lister, error) {
	if d.Lists == nil {
		return nil, nil
	}
	c := &lister{d: d, refuse: options.(*ListsOptions).Refuse, known: map[string]*listKnown{}}
	for _, l := range d.Lists.Lists() {
		c.know(&l, inputs)
	}
	if c.inputs == 0 {
		return nil, nil
	}
	if d.Resolver == nil {
		return nil, errors.New("needs a resolver")
	}
	c.dns = ListDNS(d.Resolver)
	return c, nil
}
