package load

import (
	"context"
	"sync/atomic"
	"time"
)

// lead is how long before the first message of a paced load its connections are opened.
const lead = 200 * time.Millisecond

// pace says when which message of a job begins. Without a rate that is as soon as a connection is free. With one, each
// message has a time of its own, and a message that finds no connection free is late by its wait: a server that stalls is
// not asked less, and its stall is seen in all messages that it hit.
type pace struct {
	Job
	began time.Time
	taken atomic.Int64 // turns that were given out
}

// turn waits for the next message's time, and says from when on its latency counts.
func (p *pace) turn(ctx context.Context) (due time.Time, ok bool) {
	n := p.taken.Add(1) - 1
	if p.Rate <= 0 {
		return time.Now(), ctx.Err() == nil && !p.beyond(n, time.Now())
	}
	due = p.at(n)
	if p.beyond(n, due) || time.Since(p.began) > stretch*p.For {
		return due, false
	}
	select {
	case <-time.After(time.Until(due)):
		return due, true
	case <-ctx.Done():
		return due, false
	}
}

// at is when message n of a paced load is due.
func (p *pace) at(n int64) time.Time {
	return p.began.Add(time.Duration(float64(n) / p.Rate * float64(time.Second)))
}

// beyond says whether message n, to begin at that time, is outside of the job's bounds.
func (p *pace) beyond(n int64, at time.Time) bool {
	if p.Count > 0 && n >= int64(p.Count) {
		return true
	}
	since := at.Sub(p.began)
	return since >= p.For && (n >= int64(p.Least) || since >= stretch*p.For)
}

// over says whether no turn is left, so that no connection is opened for nothing.
func (p *pace) over() bool {
	n, now := p.taken.Load(), time.Now()
	if p.Rate > 0 {
		return p.beyond(n, p.at(n)) || now.Sub(p.began) > stretch*p.For
	}
	return p.beyond(n, now)
}

// due is how many messages of a paced load came due.
func (p *pace) due() int64 {
	if p.Rate <= 0 {
		return 0
	}
	n := int64(0)
	for n < 1<<30 && !p.beyond(n, p.at(n)) {
		n++
	}
	return n
}
