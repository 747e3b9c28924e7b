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
		if r, ok := c.parting(); ok && r.Code >= 400 {
			a.refuse(r)
		}
		return a
	}
	if d.Late != nil {
		return c.await(ctx, d.Late)
	}
	if err := c.nc.SetReadDeadline(c.by(c.hop.timeouts.Final)); err != nil {
		return c.afterDot(ctx, err)
	}
	r, err := c.in.ReadReply()
	return c.judged(ctx, r, err)
}

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
	_, err := c.in.Peek(1) // it alone can be tried again after a timeout
	if errors.Is(err, os.ErrDeadlineExceeded) {
		leave()
		a := c.afterDot(ctx, err)
		a.held = c.hop.pools.listen(c, listen, late)
		a.Late = a.held
		return a
	}
	r, err := c.in.ReadReply()
	leave()
	return c.judged(ctx, r, err)
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
		r, err := c.in.ReadReply()
		p.mu.Lock()
		delete(p.listening, c)
		p.mu.Unlock()
		a := c.judged(context.Background(), r, err)
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

// judged is what the answer to a whole message means.
func (c *conn) judged(ctx context.Context, r smtpwire.Reply, err error) attempt {
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
