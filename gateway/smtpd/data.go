package smtpd

import (
	"errors"
	"net"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// data takes a message (RFC 5321 section 4.1.1.4). 354 is said only to who has a recipient that was accepted.
func (c *session) data(string) gateway.Reply {
	if c.tx.accepted == 0 {
		return c.noRecipient()
	}
	if last := c.ahead("DATA"); !last.IsZero() {
		c.End = gateway.EndRefused
		return last
	}
	if c.srv.stress.full.Load() { // before memory grows, and before the client sends it all
		c.refusedByRule(gateway.Data, -1, gateway.Failed(gateway.NoStorage).Show("error", errNoMemory.Error()))
		return c.refusedWhole()
	}
	c.tx.body = c.srv.NewBody()
	c.say(gateway.SayGoAhead.Reply())
	c.flush()
	done := c.measure()
	res, err := c.r.ReadData(c.tx.into(), c.contentLimits())
	done()
	if !smtpwire.InStep(err) {
		c.cutOff(res, err)
		return gateway.Reply{}
	}
	c.message("DATA", res, err)
	return gateway.Reply{}
}

func (c *session) noRecipient() gateway.Reply {
	if len(c.tx.env.Rcpts) == 0 {
		return gateway.SayRcptFirst.Reply()
	}
	return gateway.SayNoRecipients.Reply()
}

// contentLimits are what may come in: our own limit, or that of the next hop of the transaction's route.
func (c *session) contentLimits() smtpwire.Limits {
	return smtpwire.Limits{MaxSize: room(c.carries(c.tx.env.Route), c.limits.MessageSize), Normalise: c.normalises()}
}

// cutOff ends the session of a message that did not come in whole. What follows would be read as commands otherwise.
func (c *session) cutOff(res smtpwire.Result, err error) {
	c.Octets += res.Size
	c.tx.env.Measured.Octets = res.Size
	var timeout net.Error
	if errors.Is(err, errSlow) || errors.As(err, &timeout) && timeout.Timeout() {
		c.refusedByRule(gateway.Data, -1, gateway.Failed(gateway.OutOfTime))
	}
	c.broken(err)
}
