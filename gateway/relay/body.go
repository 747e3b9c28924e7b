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
func (c *conn) data(ctx context.Context, d *gateway.Delivery) attempt {
	m := c.hop.pools.message(c)
	defer c.hop.pools.giveBack(m)
	m.dots.Reset(&m.out)
	if err := m.write(&d.Content); err != nil {
		m.dots.Abort()
		return c.failedBody(ctx, err)
	}
	if _, err := m.dots.Finish(); err != nil {
		return c.failedBody(ctx, err)
	}
	return c.finish(ctx, d, &m.out)
}

// chunk sends the message as one BDAT. The octet that completes it is written only when it is known to be the last.
func (c *conn) chunk(ctx context.Context, d *gateway.Delivery) attempt {
	content := &d.Content
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
	return c.finish(ctx, d, &m.out)
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
