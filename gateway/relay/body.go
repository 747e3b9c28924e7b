package relay

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// errEarly says that the next hop answered, or left, before the message was sent.
var errEarly = errors.New("next hop answered before the end of the message")

// data sends the message after a 354: dots stuffed, nothing else changed, and ended only when every octet of it was read
// and written.
func (c *conn) data(ctx context.Context, content *gateway.Content) attempt {
	m := c.hop.pools.message(c)
	defer c.hop.pools.giveBack(m)
	m.dots.Reset(&m.out)
	if err := m.write(content); err != nil {
		m.dots.Abort()
		return c.failedBody(ctx, err)
	}
	if _, err := m.dots.Finish(); err != nil {
		return c.failedBody(ctx, err)
	}
	return c.finish(ctx, &m.out)
}

// chunk sends the message as one BDAT. The octet that completes it is written only when it is known to be the last.
func (c *conn) chunk(ctx context.Context, content *gateway.Content) attempt {
	m := c.hop.pools.message(c)
	defer c.hop.pools.giveBack(m)
	last := &holdBack{to: &m.out}
	_, err := io.WriteString(&m.out, "BDAT "+strconv.FormatInt(content.Size, 10)+" LAST\r\n")
	left := content.Size
	for _, part := range content.Parts {
		if err == nil {
			err = m.copyPart(last, part, &left)
		}
	}
	if err == nil && left > 0 {
		err = unread{errShort}
	}
	if err == nil {
		_, err = m.out.Write([]byte{last.octet})
	}
	if err != nil {
		return c.failedBody(ctx, err)
	}
	return c.finish(ctx, &m.out)
}

// holdBack writes all but the last octet.
type holdBack struct {
	to    io.Writer
	octet byte
	any   bool
}

func (h *holdBack) Write(p []byte) (int, error) {
	if h.any {
		if _, err := h.to.Write([]byte{h.octet}); err != nil {
			return 0, err
		}
	}
	h.octet, h.any = p[len(p)-1], true
	if _, err := h.to.Write(p[:len(p)-1]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// finish sends what is left of a complete message and reads the answer. From here on the next hop may have it.
func (c *conn) finish(ctx context.Context, out *gather) attempt {
	if err := out.flush(); err != nil {
		if errors.Is(err, errEarly) {
			return c.failedBody(ctx, err)
		}
		a := c.afterDot(ctx, err)
		if r, ok := c.parting(); ok && r.Code >= 400 {
			a.refuse(r)
		}
		return a
	}
	r, err := c.reply(c.hop.timeouts.Final)
	switch {
	case err != nil:
		return c.afterDot(ctx, err)
	case r.Is(250):
		return attempt{keep: c.in.Buffered() == 0, Relayed: gateway.Relayed{Result: gateway.Delivered, At: atDot,
			Reply: faithful(r), Said: said(r)}}
	case r.Code < 400:
		a := c.afterDot(ctx, unexpected(atDot, r))
		a.Reply, a.Said = unclear(), said(r)
		return a
	}
	a := attempt{keep: r.Code != 421 && !betweenUs(r.Code) && c.in.Buffered() == 0}
	a.At = atDot
	a.refuse(r)
	return a
}

// refuse takes a reply as the end of the message.
func (a *attempt) refuse(r smtpwire.Reply) {
	a.Result, a.Reply = mapReply(r)
	a.Said, a.blame = said(r), nil
}

// afterDot is the unknown outcome.
func (c *conn) afterDot(ctx context.Context, err error) attempt {
	a := attempt{blame: err}
	a.Result, a.At, a.Reply = gateway.OutcomeUnknown, atDot, lost()
	a.Said = gateway.CleanText(because(ctx, err).Error(), maxSaid)
	return a
}

// failedBody ends an incomplete message. The connection is only closed; what the next hop may have said before is read,
// for it tells why.
func (c *conn) failedBody(ctx context.Context, err error) attempt {
	a := attempt{blame: err}
	a.At, a.Reply = atBody, lost()
	a.Said = gateway.CleanText(because(ctx, err).Error(), maxSaid)
	var ours unread
	var content *smtpwire.ContentError
	if errors.As(err, &ours) || errors.As(err, &content) {
		a.blame = nil
		a.Reply = unclear()
		a.Reply.Text = "The message could not be handed on; try again later"
		return a
	}
	if r, ok := c.parting(); ok {
		if r.Code < 400 {
			a.Reply, a.Said = unclear(), said(r)
			return a
		}
		a.refuse(r)
	}
	return a
}

// parting reads what a next hop said when it would not go on, if it said anything.
func (c *conn) parting() (smtpwire.Reply, bool) {
	r, err := c.reply(min(c.hop.timeouts.Command, 5*time.Second))
	return r, err == nil
}

// because names the context's end rather than the closed socket it led to.
func because(ctx context.Context, err error) error {
	if why := ended(ctx); why != nil {
		return why
	}
	return err
}

// ended is why the context is over; nil while it is not. Reads and writes end at its deadline on their own, and perhaps an
// instant before it says so.
func ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if until, ok := ctx.Deadline(); ok && !time.Now().Before(until) {
		return context.DeadlineExceeded
	}
	return nil
}
