package spool

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"gatepost/gateway"
)

// drainTime is how long deliveries that are on their way when Run is to end may still take.
const drainTime = 5 * time.Second

// Run delivers until ctx is done, and returns once no delivery is on its way: those that are get five seconds, and then
// their context ends.
func (q *Queue) Run(ctx context.Context) {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	for ctx.Err() == nil {
		pause := q.begin(work, &wg)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-t.C:
		}
		t.Stop()
	}
	late := time.AfterFunc(drainTime, stop)
	defer late.Stop()
	wg.Wait()
}

// job is one message that somebody is at work on.
type job struct {
	*entry
	finding bool // it is to find out whether its route is well
	over    bool // its time is over, and its route is away: it is not tried
	spell   int  // of its route, when it began
}

// begin begins what may begin, route by route in turn, and returns when to look again at the latest.
func (q *Queue) begin(ctx context.Context, wg *sync.WaitGroup) time.Duration {
	hop := q.opts.NextHop()
	now := q.now()
	q.mu.Lock()
	q.clock(now)
	var lanes []*lane
	for i := range q.index.names {
		l := q.index.names[(i+q.turn)%len(q.index.names)]
		if l.ripen(now); len(l.due) > 0 {
			lanes = append(lanes, l)
		}
	}
	q.turn++
	q.mu.Unlock()

	// What a next hop says of itself is asked without the lock: it is another's code.
	why := make(map[*lane]gateway.Reason, len(lanes))
	for _, l := range lanes {
		why[l] = q.defers(hop, l.name)
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	for begun := true; begun && q.inFlight < q.tuning.together(); {
		begun = false
		slices.SortStableFunc(lanes, func(a, b *lane) int { return a.inFlight - b.inFlight }) // who has least goes first
		for _, l := range lanes {
			if j := q.pick(l, why[l], now); j != nil {
				begun = true
				wg.Go(func() { q.work(ctx, hop, j) })
				break
			}
		}
	}
	return q.pause(now)
}

// clock sees a clock that was set back, and lets nobody wait until it is where it was. It is called with the lock held.
func (q *Queue) clock(now time.Time) {
	if !q.looked.IsZero() && now.Round(0).Sub(q.wall) < now.Sub(q.looked)-time.Minute {
		for _, l := range q.index.names {
			l.flush(now, true)
		}
	}
	q.looked, q.wall = now, now.Round(0)
}

// noRoute says that the configuration in force does not have the route.
const noRoute gateway.Reason = "route.unknown"

func (q *Queue) defers(hop gateway.NextHop, route string) gateway.Reason {
	if route == "" {
		return "" // of a message that could not be read
	}
	if hop == nil || q.opts.Known != nil && !q.opts.Known(route) {
		return noRoute
	}
	return hop.Carries(route).Defer
}

// pick takes the next message of a lane, where one may begin. It is called with the lock held.
func (q *Queue) pick(l *lane, why gateway.Reason, now time.Time) *job {
	if len(l.due) == 0 {
		return nil
	}
	first := l.due[0]
	over := now.Sub(time.UnixMilli(first.since)) >= q.tuning.lifetime()
	j := &job{entry: first}
	switch {
	case l.name == "":
	case why == noRoute:
		if !l.away {
			l.lost(now, "no such route in the configuration in force", false, &q.tuning)
		}
		l.silent = true
		if !over || now.Sub(l.pace.since) < awayProof {
			return nil
		}
		j.over = true
	default:
		n, finding := l.may(now, why, &q.tuning)
		if n <= 0 {
			if !over || !l.away || l.inFlight > 0 || now.Sub(l.pace.since) < awayProof {
				return nil
			}
			finding, j.over = false, true
		}
		j.finding = finding
	}
	heap.Pop(&l.due)
	j.spell = l.spell
	l.inFlight++
	q.inFlight++
	q.index.change(first, Delivering, now)
	return j
}

// pause is when something can change by itself. It is called with the lock held.
func (q *Queue) pause(now time.Time) time.Duration {
	pause := time.Minute
	for _, l := range q.index.names {
		if len(l.due) > 0 {
			return pollTime
		}
		if len(l.later) > 0 {
			pause = min(pause, time.UnixMilli(l.later[0].next).Sub(now))
		}
	}
	return max(pause, 10*time.Millisecond)
}

// work does what is to be done with a message, and gives it back.
func (q *Queue) work(ctx context.Context, hop gateway.NextHop, j *job) {
	out := q.guarded(j.entry, func() outcome { return q.deliver(ctx, hop, j) })
	q.mu.Lock()
	q.inFlight--
	l := j.lane
	now := q.now()
	if j.spell == l.spell {
		l.inFlight--
		if out.relayed != nil {
			q.follow(l, out.relayed, j.finding, now)
		}
	}
	q.giveBack(j.entry, &out, now)
	q.mu.Unlock()
	q.nudge()
}

// guarded turns a panic into another attempt.
func (q *Queue) guarded(e *entry, do func() outcome) (out outcome) {
	defer func() {
		if p := recover(); p != nil {
			q.log.Error("spool: panic", "id", e.id.String(), "error", fmt.Sprint(p), "stack", string(debug.Stack()))
			out = outcome{next: q.now().Add(longTry), said: "a fault of the gateway; see the log"}
		}
	}()
	return do()
}

// follow learns from a relay how the route is. It is called with the lock held.
func (q *Queue) follow(l *lane, r *gateway.Relayed, finding bool, now time.Time) {
	if r.Unreached() {
		l.lost(now, gateway.CleanText(r.Said, 200), finding, &q.tuning)
		return
	}
	broke := r.Result == gateway.NotDelivered || r.Result == gateway.OutcomeUnknown
	if l.away && broke {
		l.lost(now, gateway.CleanText(r.Said, 200), finding, &q.tuning)
		return
	}
	if !broke && l.well() {
		l.flush(now, false)
	}
	switch {
	case r.Result == gateway.Delivered || r.Result == gateway.MixedByHop:
		l.faster(&q.tuning)
	case broke, r.Result == gateway.DeferredByHop && r.At != gateway.AtRcpt:
		l.slower()
	}
}

// giveBack puts a message where it belongs after somebody was at work on it. It is called with the lock held.
func (q *Queue) giveBack(e *entry, out *outcome, now time.Time) {
	switch {
	case out.gone:
		q.index.drop(e)
		delete(q.unsaved, e.id)
		return
	case out.state != nil:
		if route := cmp.Or(out.state.Route, out.env.Route); route != e.lane.name {
			q.index.move(e, route, now)
		}
		if e.who == "" { // it could not be read at the start
			e.who, e.cut = whoOf(out.env)
		}
		e.follow(out.state)
	default:
		e.next, e.said = out.next.UnixMilli(), out.said
		e.attempts = counted(int(e.attempts) + 1)
	}
	e.finished = e.finished || out.finished
	to := Waiting
	if out.state != nil {
		to = resting(out.state)
	}
	q.index.change(e, to, now)
}
