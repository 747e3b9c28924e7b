package smtpd

import (
	"slices"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// rcpt takes or refuses one recipient (RFC 5321 section 4.1.1.3). Refusals that were held since the connection are spoken
// here. Only a 250 said here lets a recipient get the message.
func (c *session) rcpt(arg string) gateway.Reply {
	p, err := smtpwire.ParseRcpt(arg, c.offer.wire, c.tx.env.Options.UTF8)
	if err != nil {
		return addressFault(err, gateway.SayBadRcpt, gateway.SayBadRecipient)
	}
	if len(p.Unknown) > 0 {
		return gateway.SayParameter.Reply(p.Unknown[0].Keyword)
	}
	env := &c.tx.env
	if len(env.Rcpts) > c.recipients()+keptRefused {
		if c.tx.beyond++; c.tx.beyond > maxBeyond || c.tx.beyond > keptRefused && c.tx.accepted == 0 {
			c.End = gateway.EndLimit
			return gateway.SayTooMuchRefused.Reply()
		}
		return gateway.Word(gateway.Defer, gateway.TooManyRecipients, []string{strconv.Itoa(c.recipients())})
	}
	to := gateway.Recipient{Address: Address(p.To), Options: gateway.RcptOptions{Original: p.ORCPT}}
	if n := p.Notify.String(); n != "" {
		to.Options.Notify = strings.Split(n, ",")
	}
	d := c.Snapshot.Policy.Destination(to.Address)
	to.Route, to.To = d.Route, d.To
	env.Rcpts = append(env.Rcpts, to)
	i := len(env.Rcpts) - 1

	c.run(gateway.Rcpt, i)
	c.tx.instead(i)
	decision, reply := c.tx.verdict.Rcpt(i, env.ID)
	env.Rcpts[i].Verified = verified(env.Findings, i)
	if !decision.Outcome.Refuses() {
		if f, refused := c.rcptRule(&env.Rcpts[i]); refused {
			c.refusedByRule(gateway.Rcpt, i, f)
			decision, reply = c.tx.verdict.Rcpt(i, env.ID)
		}
	}
	if !decision.Outcome.Refuses() {
		reply = gateway.SayRcptOK.Reply()
		c.tx.accepted++
		c.tx.sent += len(env.Rcpts[i].Final())
		if c.tx.accepted == 1 {
			env.Route = env.Rcpts[i].Route
		}
	} else if c.pause(c.tx.verdict.Delay); decision.Reason == gateway.RcptUnknown && c.tx.accepted > 0 {
		c.unchecked = true // a list with an old address in it is no dictionary
	}
	c.drops(decision.Outcome)
	if reply.Code == 421 && c.End == "" {
		reply.Code = 451 // a next hop's word: this session goes on
	}
	env.Rcpts[i].Reply = reply
	return reply
}

// keptRefused is how many refused recipients are kept beside those that a transaction may have; what comes behind them is
// refused without a record, so that no client can fill the memory.
const keptRefused = 100

// maxBeyond is how many more recipients a client may name to hear that they are too many; keptRefused where none was
// accepted, so that no message is lost.
const maxBeyond = 10000

// rcptRule is what the edge itself refuses of a recipient that the checks let pass: what one transaction cannot hold, and
// what its next hop was seen not to carry.
func (c *session) rcptRule(to *gateway.Recipient) (f gateway.Finding, refused bool) {
	env := &c.tx.env
	hop := c.carries(to.Route)
	most := c.recipients()
	if hop.Recipients > 0 {
		most = min(most, hop.Recipients)
	}
	size := room(hop, c.limits.MessageSize)
	away := c.away(to, hop.Defer)
	switch {
	case away != "":
		return gateway.Failed(away), true
	case c.tx.accepted > 0 && to.Route != env.Route:
		return gateway.Failed(gateway.OtherRoute), true
	case c.tx.accepted >= most && !c.known(to.Address), c.tx.accepted > 0 && c.tx.sent+len(to.To) > max(most, gateway.MaxTargets):
		return gateway.Failed(gateway.TooManyRecipients, strconv.Itoa(most)), true
	case env.Options.Size > size:
		return gateway.Failed(gateway.RcptTooBig, strconv.FormatInt(size, 10)), true
	case env.Options.EightBit && hop.Known && !hop.EightBit:
		return gateway.Failed(gateway.NeedsEightBit), true
	case (env.Options.UTF8 || needsUTF8(to)) && hop.Known && !hop.UTF8:
		return gateway.Failed(gateway.NeedsUTF8), true
	case env.Options.RequireTLS && !hop.RequireTLS && !env.From.IsNull(): // a bounce goes on as well as it can (RFC 8689 section 5)
		return gateway.Failed(gateway.NeedsRequireTLS), true
	}
	return gateway.Finding{}, false
}

// needsUTF8 reports whether one of the addresses that the next hop is told cannot be written without SMTPUTF8.
func needsUTF8(to *gateway.Recipient) bool {
	if to.To == nil {
		return to.Address.UTF8
	}
	return slices.ContainsFunc(to.To, func(a gateway.Address) bool { return a.UTF8 })
}

// instead sends a recipient's mail on to where a check found that it goes after all.
func (t *transaction) instead(rcpt int) {
	for i := range t.env.Findings {
		if f := &t.env.Findings[i]; f.Instead != nil && f.Rcpt == rcpt {
			t.env.Rcpts[rcpt].Route, t.env.Rcpts[rcpt].To = f.Instead.Route, f.Instead.To
		}
	}
}

// away is why no message would be taken now for a recipient whose next hop is as it says; "" where it would. Only the first
// recipient is held against it, since nothing changes for the others; but where the spool would stand in for a next hop that
// is away, each must be known to exist: one that is not would keep the message of all others out of it.
func (c *session) away(to *gateway.Recipient, hop gateway.Reason) gateway.Reason {
	switch {
	case hop == gateway.NextHopAway && c.srv.Spool != nil && c.Snapshot.Spools[to.Route]:
		if to.Verified {
			return c.srv.Spool.Takes(c.tx.env.Options.Size) // where it has no room, that is why
		}
		return hop
	case c.tx.accepted == 0:
		return hop
	}
	return ""
}

// verified reports whether somebody who knows was asked about a recipient and said yes. A check that was left out tells
// nothing, nor does one that passed without a word of who was asked.
func verified(findings []gateway.Finding, rcpt int) bool {
	for i := len(findings) - 1; i >= 0; i-- {
		if f := &findings[i]; f.Check == gateway.RcptCheck && f.Rcpt == rcpt {
			return f.Result == gateway.Pass && len(f.Evidence) > 0
		}
	}
	return false
}

// known reports whether the address was accepted before: it is delivered once.
func (c *session) known(a gateway.Address) bool {
	return slices.ContainsFunc(c.tx.env.Rcpts, func(r gateway.Recipient) bool { return r.Accepted() && r.Address == a })
}
