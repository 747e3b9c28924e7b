package smtpd

import (
	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// helo answers HELO with one plain line; nothing is offered to such a client (RFC 5321 section 4.1.1.1).
func (c *session) helo(arg string) gateway.Reply {
	if !c.hello(arg, false) {
		return gateway.SayBadHelo.Reply()
	}
	c.offer = offer{}
	return gateway.SayHelo.Reply(c.Snapshot.Hostname)
}

// ehlo answers EHLO with what is offered.
func (c *session) ehlo(arg string) gateway.Reply {
	if !c.hello(arg, true) {
		return gateway.SayBadHelo.Reply()
	}
	c.offer = c.offers()
	return gateway.Reply{Code: 250, Text: c.offer.text(c.Snapshot.Hostname)}
}

// hello keeps the name that a client gives itself. It ends a transaction, as RSET does (RFC 5321 section 4.1.4); checks
// read the name again at each MAIL.
func (c *session) hello(arg string, extended bool) bool {
	h, err := Hello(arg, extended)
	if err != nil {
		return false
	}
	c.endTransaction()
	c.Helo = h
	return true
}

// Hello reads the argument of HELO, or of EHLO if extended. Error: it is no name at all.
func Hello(arg string, extended bool) (gateway.Hello, error) {
	h, err := smtpwire.ParseHelo(arg)
	if err != nil {
		return gateway.Hello{}, err
	}
	const invalid = smtpwire.HeloBareIP | smtpwire.HeloNotDomain | smtpwire.HeloDot | smtpwire.HeloLiteral
	return gateway.Hello{Name: gateway.CleanText(h.Name, smtpwire.MaxDomain), Extended: extended,
		Valid: h.Flaws&invalid == 0, Literal: h.Literal.IsValid() && h.Flaws&smtpwire.HeloBareIP == 0}, nil
}
