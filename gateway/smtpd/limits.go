package smtpd

import (
	"errors"
	"time"
)

// errSlow says that a message comes in slower than the least rate.
var errSlow = errors.New("smtp message: slower than the least rate")

// pause holds a reply back. All pauses of one transaction end at Limits.TransactionDelay; trusted clients never wait. No
// slot and no connection to a next hop is held meanwhile.
func (c *session) pause(d time.Duration) {
	if c.tx != nil {
		d = min(d, c.limits.TransactionDelay-c.tx.delayed)
	}
	if d <= 0 || c.Trusted {
		return
	}
	if c.tx != nil {
		c.tx.delayed += d
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}

// meter bounds the time in which a message, or one chunk of it, comes in.
type meter struct {
	began  time.Time
	window time.Time // when the window of the least rate began
	at     int64     // octets consumed when it began
	from   int64     // octets consumed when the message began
	size   int64     // what MAIL declared
	spent  time.Duration
	set    time.Time // the deadline in force
}

// deadlineStep is by how much a deadline must move to be set anew: a message that comes fast moves it with each read, and
// each time costs a timer.
const deadlineStep = 100 * time.Millisecond

// measure begins to read a message; what it returns ends that.
func (c *session) measure() (done func()) {
	now := time.Now()
	m := &meter{began: now, window: now, at: c.r.Consumed(), from: c.r.Consumed()}
	if t := c.tx; t != nil {
		m.from -= t.consumed
		m.size, m.spent = min(t.env.Options.Size, c.limits.MessageSize), t.reading
	}
	c.meter = m
	return func() {
		took := time.Since(now)
		if c.tx != nil {
			c.tx.reading += took
			c.tx.consumed = c.r.Consumed() - m.from
		}
		c.until = c.until.Add(took) // the session's time does not count messages on their way in
		c.meter = nil
	}
}

// next renews the deadline before a read: the least of the time between two reads, the end of a window in which too little
// came, and the end of the whole message.
func (m *meter) next(c *session) error {
	now := time.Now()
	l := c.limits
	taken := c.r.Consumed() - m.at
	least := l.DataRate > 0 && l.DataRateWindow > 0
	if least {
		if open := now.Sub(m.window); open >= l.DataRateWindow {
			if float64(taken) < float64(l.DataRate)*open.Seconds() {
				return errSlow
			}
			m.window, m.at, taken = now, c.r.Consumed(), 0
		}
	}
	allowed := l.DataTime
	if l.DataSizeRate > 0 {
		size := max(m.size, c.r.Consumed()-m.from)
		allowed = max(allowed, time.Duration(size/l.DataSizeRate)*time.Second)
	}
	deadline := earlier(now.Add(l.DataTimeout), m.began.Add(allowed-m.spent))
	if least && float64(taken) < float64(l.DataRate)*l.DataRateWindow.Seconds() {
		deadline = earlier(deadline, m.window.Add(l.DataRateWindow))
	}
	if later := deadline.Sub(m.set); later >= 0 && later < deadlineStep {
		return nil
	}
	m.set = deadline
	return c.raw.SetReadDeadline(deadline)
}

// recipients is the most that a transaction may have.
func (c *session) recipients() int {
	if c.Trusted || c.Conduct.Known {
		return max(c.limits.Recipients, c.limits.RecipientsKnown)
	}
	return c.limits.Recipients
}
