package relay

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// finish sends what is left of a complete message and reads the answer. From here on the next hop may have it.
func (c *conn) finish(ctx context.Context, d *gateway.Delivery, out *gather) attempt {
	if err := out.flush(); err != nil {
		if errors.Is(err, errEarly) {
			return c.failedBody(ctx, err)
		}
		a := c.afterDot(ctx, err)
		if c.hop.lmtp {
			return a // it may have more to say, and something else of another recipient
		}
		if r, ok := c.parting(); ok && r.Code >= 400 {
			a.refuse(r)
		}
		return a
	}
	if c.heard, c.want = c.heard[:0], 1; cap(c.heard) > maxHeardKept {
		c.heard = nil
	}
	if c.hop.lmtp {
		c.want = len(d.Rcpts) // RFC 2033 section 4.2
	}
	if d.Late != nil {
		return c.await(ctx, d.Late)
	}
	if err := c.nc.SetReadDeadline(c.by(c.hop.timeouts.Final)); err != nil {
		return c.afterDot(ctx, err)
	}
	return c.judged(ctx, c.hear())
}

// maxHeardKept is how many replies a connection keeps the memory of.
const maxHeardKept = 64

// hear reads what is still missing of the answer. After a timeout it can be called again, unless a reply had begun.
func (c *conn) hear() error {
	for len(c.heard) < c.want {
		if _, err := c.in.Peek(1); err != nil {
			return err
		}
		r, err := c.in.ReadReply()
		if err != nil {
			return cutReply{err}
		}
		c.heard = append(c.heard, r)
	}
	return nil
}

// cutReply is the error of a reply that had begun.
type cutReply struct{ error }

func (c cutReply) Unwrap() error { return c.error }

// await is the wait for the answer that can go on when whoever relays has gone on: neither the end of the context nor that
// of the time for the answer touches the connection, and then a goroutine of its own listens on.
func (c *conn) await(ctx context.Context, late func(gateway.Relayed)) attempt {
	listen := time.Now().Add(gateway.Listen)
	by := c.by(c.hop.timeouts.Final)
	if until, ok := ctx.Deadline(); ok && until.Before(by) {
		by = until
	}
	watched := c.stop != nil
	if !c.unwatch() {
		return c.afterDot(ctx, context.Canceled)
	}
	if err := c.nc.SetReadDeadline(by); err != nil {
		return c.afterDot(ctx, err)
	}
	leave := func() {}
	if watched {
		leave = c.nudged(ctx)
	}
	err := c.hear()
	leave()
	var cut cutReply
	if errors.Is(err, os.ErrDeadlineExceeded) && !errors.As(err, &cut) {
		a := c.afterDot(ctx, err)
		a.held = c.hop.pools.listen(c, listen, late)
		a.Late = a.held
		return a
	}
	return c.judged(ctx, err)
}

// nudged ends a read when the context ends, and leaves the connection as it is. What it returns ends that.
func (c *conn) nudged(ctx context.Context) (end func()) {
	var mu sync.Mutex
	over := false
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			_ = c.nc.SetReadDeadline(time.Unix(1, 0))
		}
	})
	return func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
	}
}

// listen waits for a late answer in a goroutine, up to a time or to the end of the pools, tells what came of it and gives
// the connection back. There are never more of them than connections. It reports false, and does nothing, after Close.
func (p *Pools) listen(c *conn, until time.Time, late func(gateway.Relayed)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || c.nc.SetReadDeadline(until) != nil {
		return false
	}
	p.listening[c] = struct{}{}
	p.listeners.Go(func() {
		err := c.hear()
		p.mu.Lock()
		delete(p.listening, c)
		p.mu.Unlock()
		a := c.judged(context.Background(), err)
		c.hop.count.message(&a)
		a.NextHop, a.TLS, a.Took = c.hop.address, c.tls, time.Since(c.began)
		if a.keep {
			c.hop.put(c)
		} else {
			c.hop.drop(c)
		}
		late(a.Relayed)
	})
	return true
}

// Close ends the listening to late answers, each of which is told as unknown, and returns when all have been told. Messages
// can still be relayed; none is listened for beyond the time of its sender.
func (p *Pools) Close() {
	p.mu.Lock()
	p.closed = true
	for c := range p.listening {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
	p.mu.Unlock()
	p.listeners.Wait()
}

// judged is what the answer to a whole message means, of which err is the end where it is not whole.
func (c *conn) judged(ctx context.Context, err error) attempt {
	switch {
	case len(c.heard) == 0:
		return c.afterDot(ctx, err)
	case c.want > 1:
		return c.each(ctx, err)
	}
	r := c.heard[0]
	switch {
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

// each judges the replies to each recipient (RFC 2033 section 4.2). Who got 250 has the message, whatever came of the
// others; of whom nothing was said nothing is known.
func (c *conn) each(ctx context.Context, err error) attempt {
	a := attempt{keep: err == nil && c.in.Buffered() == 0, blame: err}
	a.At, a.Rcpts = atDot, make([]gateway.Reply, c.want)
	var results [gateway.OutcomeUnknown + 1]int
	decides := -1 // the first that has it not
	for i := range a.Rcpts {
		result, reply := gateway.OutcomeUnknown, lost()
		if i < len(c.heard) {
			r := c.heard[i]
			if result, reply = ofOne(r); r.Code == 421 || result == gateway.NotDelivered || result == gateway.OutcomeUnknown {
				a.keep = false
			}
		}
		a.Rcpts[i] = reply
		if results[result]++; result != gateway.Delivered && decides < 0 {
			decides = i
		}
	}
	at := max(decides, 0)
	a.Reply = a.Rcpts[at]
	if at < len(c.heard) {
		a.Said = said(c.heard[at])
	} else {
		a.Said = gateway.CleanText(because(ctx, err).Error(), maxSaid)
	}
	a.Result = gateway.MixedByHop
	for result, n := range results {
		if n == c.want {
			a.Result = gateway.RelayResult(result)
		}
	}
	switch a.Result {
	case gateway.MixedByHop:
		a.Reply = partly()
	case gateway.Delivered:
		a.Rcpts = nil
	}
	return a
}

// ofOne is what a reply after the end of the message means for its recipient.
func ofOne(r smtpwire.Reply) (gateway.RelayResult, gateway.Reply) {
	switch {
	case r.Is(250):
		return gateway.Delivered, faithful(r)
	case r.Code < 400:
		return gateway.OutcomeUnknown, unclear()
	}
	return mapReply(r)
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
