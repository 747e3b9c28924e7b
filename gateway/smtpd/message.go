package smtpd

import (
	"errors"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// message ends the transaction of a message that was read to its end; fault is what was wrong with it. It says the one
// reply that is true for all recipients, and only then writes the event.
func (c *session) message(line string, res smtpwire.Result, fault error) {
	t, dot := c.tx, time.Now()
	c.ahead("") // before anything is judged: the record must have it
	c.measured(res)
	c.Octets += t.env.Measured.Octets
	var r gateway.Reply
	f, refused := c.whole(fault)
	if refused {
		c.refusedByRule(gateway.Data, -1, f)
		r = t.verdict.Reply
	} else {
		r = c.judged(dot)
	}
	if r.Code != 250 && r.Code < 400 {
		r = gateway.SayNotDelivered.Reply()
	}
	if r.Code == 250 {
		c.Accepted++
		c.junk = 0
	} else {
		c.drops(t.verdict.Outcome)
	}
	if refused && f.Reason == gateway.BareNewline && !t.env.Measured.Chunked && c.End == "" {
		// Somebody on the way may have seen the message end elsewhere: what follows is not to be trusted.
		c.End = gateway.EndProtocol
	}
	c.unchecked = true // a message that is refused is no error of a command
	if r.Code == 250 {
		c.said()
	}
	c.answer(line, r)
	c.flush()
	c.endTransaction()
}

func (c *session) measured(res smtpwire.Result) {
	m := &c.tx.env.Measured
	m.Octets, m.Lines, m.LongestLine = res.Size, res.Lines, int(res.LongestLine)
	m.EightBit, m.Normalised = res.EightBit, res.Repaired > 0
	m.Clean, m.Dots = res.Clean(), res.Dots
	if res.Unended {
		m.Octets, m.Lines = m.Octets+2, m.Lines+1
	}
	c.tx.unended = res.Unended
}

// judged runs the checks of the Data stage and lets the Deliverer end what they let pass.
func (c *session) judged(dot time.Time) gateway.Reply {
	t := c.tx
	ctx := gateway.Within(c.ctx, dot.Add(c.limits.VerdictTime))
	t.stage = gateway.Data
	t.verdict = c.Snapshot.Pipeline.Run(ctx, gateway.Data, t.input(-1))
	ctx.End()
	if c.ctx.Err() != nil && !t.verdict.Outcome.Refuses() {
		// The daemon ends, and cut the checks short. What they could not tell for that is no reason to let anything in, and
		// nobody is there any more to hear that it was taken.
		c.refusedByRule(gateway.Data, -1, gateway.Failed(gateway.ShuttingDown))
		return t.verdict.Reply
	}
	ctx = gateway.Within(c.ctx, dot.Add(c.limits.ReplyTime))
	defer ctx.End()
	t.result = c.srv.Deliver.Deliver(ctx, &t.env, &t.verdict)
	if t.verdict.Outcome.Refuses() && t.result.Reply.Code < 400 {
		return t.verdict.Reply
	}
	return t.result.Reply
}

// whole makes the message readable and holds it against the edge's own rules. Scanners are not asked about what breaks
// them.
func (c *session) whole(fault error) (f gateway.Finding, refused bool) {
	if fault != nil {
		return contentFault(fault, c.contentLimits().MaxSize), true
	}
	t := c.tx
	if t.unended { // by BDAT only: the next hop gets its last line end, and so must the scanners
		if _, err := t.body.Write([]byte("\r\n")); err != nil {
			return noStorage(err), true
		}
	}
	body, err := t.body.Done()
	if err != nil {
		return noStorage(err), true
	}
	t.body, t.env.Body = nil, body
	header, err := gateway.ReadHeader(body, c.limits.HeaderSize)
	switch {
	case errors.Is(err, gateway.ErrHeaderTooBig):
		return gateway.Failed(gateway.HeaderTooBig, strconv.Itoa(c.limits.HeaderSize)), true
	case errors.Is(err, gateway.ErrTooManyFields):
		return gateway.Failed(gateway.TooManyFields, strconv.Itoa(gateway.MaxFields)), true
	case err != nil:
		return noStorage(err), true
	}
	t.env.Header = header
	if hops := header.Count("Received"); hops > c.limits.Hops {
		return gateway.Failed(gateway.TooManyHops, strconv.Itoa(hops), strconv.Itoa(c.limits.Hops)), true
	}
	if hop := c.carries(t.env.Route); t.env.Measured.EightBit && hop.Known && !hop.EightBit {
		return gateway.Failed(gateway.NeedsEightBit), true
	}
	return gateway.Finding{}, false
}

// contentFault words what the reader of the body found.
func contentFault(err error, limit int64) gateway.Finding {
	var content *smtpwire.ContentError
	switch {
	case errors.As(err, &content):
		return gateway.Failed(gateway.BareNewline, content.Violation.String(), strconv.FormatInt(content.Offset, 10)).
			Show("line", strconv.FormatInt(content.Line, 10))
	case errors.Is(err, smtpwire.ErrTooBig):
		return gateway.Failed(gateway.MessageTooBig, strconv.FormatInt(limit, 10))
	}
	return noStorage(err)
}

func noStorage(err error) gateway.Finding {
	return gateway.Failed(gateway.NoStorage).Show("error", err.Error())
}
