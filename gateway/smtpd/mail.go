package smtpd

import (
	"errors"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// mail begins a transaction (RFC 5321 section 4.1.1.2). What the checks of Helo and Mail refuse is held until RCPT, so that
// one record has the client, its name, the sender and the recipient.
func (c *session) mail(arg string) gateway.Reply {
	if c.Transactions >= c.limits.Transactions && !c.Trusted {
		c.End = gateway.EndLimit
		return gateway.SayTooManyMails.Reply(strconv.Itoa(c.limits.Transactions))
	}
	m, err := smtpwire.ParseMail(arg, c.offer.wire)
	if err != nil {
		return addressFault(err, gateway.SayBadMail, gateway.SayBadSender)
	}
	if len(m.Unknown) > 0 {
		return gateway.SayParameter.Reply(m.Unknown[0].Keyword)
	}
	c.Transactions++
	c.tx = &transaction{env: gateway.Envelope{ID: c.srv.IDs.Next(), Session: &c.Session, Started: time.Now(), From: Address(m.From),
		Options: gateway.MailOptions{Size: m.Size, EightBit: m.Body == "8BITMIME", UTF8: m.UTF8, Return: m.Ret, RequireTLS: m.RequireTLS,
			EnvID: smtpwire.EncodeXtext(m.EnvID)}}}
	c.tx.stage = gateway.Mail
	if m.Size > c.limits.MessageSize {
		c.refusedByRule(gateway.Mail, -1, gateway.Failed(gateway.MessageTooBig, strconv.FormatInt(c.limits.MessageSize, 10)))
		return c.refusedWhole()
	}
	if !c.joined {
		c.join() // it decides with what Helo and Mail find
	}
	c.tx.env.Gather(findings)
	c.run(gateway.Helo, -1)
	c.run(gateway.Mail, -1)
	return gateway.SaySenderOK.Reply()
}

// refusedWhole ends the transaction with the verdict's refusal; the event is written with that reply.
func (c *session) refusedWhole() gateway.Reply {
	r := c.tx.verdict.Reply
	c.drops(c.tx.verdict.Outcome)
	c.tx.last = r
	c.endTransaction()
	return r
}

// Address takes an address over. One whose local part is US-ASCII is written with A-labels, and so needs no SMTPUTF8.
func Address(a smtpwire.Address) gateway.Address {
	if a.IsNull() {
		return gateway.Address{}
	}
	out := gateway.Address{Local: a.Local, Domain: a.ASCII}
	if path, ok := a.WireASCII(); ok {
		out.Text = path[1 : len(path)-1]
	} else {
		out.Text, out.UTF8 = a.String(), true
	}
	return out
}

// addressFault words an error of the argument of MAIL or RCPT.
func addressFault(err error, syntax, badAddress gateway.Phrase) gateway.Reply {
	switch {
	case errors.Is(err, smtpwire.ErrNeedsUTF8):
		return gateway.SayNeedsUTF8.Reply()
	case errors.Is(err, smtpwire.ErrSourceRoute):
		return gateway.SaySourceRoute.Reply()
	case errors.Is(err, smtpwire.ErrParam), errors.Is(err, smtpwire.ErrParamTwice):
		return gateway.SayBadParameter.Reply(err.Error())
	case errors.Is(err, smtpwire.ErrCommand):
		return syntax.Reply()
	}
	return badAddress.Reply(err.Error())
}
