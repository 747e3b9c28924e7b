package spool

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatepost/gateway"
)

// try hands the message over, in as many transactions as its recipients take.
func (w *work) try(ctx context.Context, hop gateway.NextHop) *gateway.Relayed {
	s := w.state
	s.Fault = false
	marks := s.marks(len(w.Rcpts))
	var batch []int
	for i := range marks {
		if marks[i].End == Pending {
			batch = append(batch, i)
		}
	}
	most := hop.Carries(w.route()).Recipients
	if most <= 0 {
		most = len(batch)
	}
	var r *gateway.Relayed
	for part := range slices.Chunk(batch, most) {
		if r = w.rounds(ctx, hop, part); r.Unreached() || ctx.Err() != nil {
			break
		}
	}
	s.Next = w.again(r)
	if !r.Unreached() {
		s.Attempts++
		s.Last = w.q.now().UTC().Round(0)
	}
	w.report(r)
	return r
}

func (w *work) route() string { return cmp.Or(w.state.Route, w.Route) }

// again is when the message is tried again: at once where its route could not be reached, for then the route waits, not
// the message; by the schedule else; and where a next hop may have it and its answer is still listened for, after that.
func (w *work) again(r *gateway.Relayed) time.Time {
	now := w.q.now()
	w.q.mu.Lock()
	t := w.q.tuning
	w.q.mu.Unlock()
	next := now
	switch {
	case r.Unreached():
	case r.Result == gateway.OutcomeUnknown && r.Late:
		next = now.Add(max(gateway.Listen+time.Minute, t.after(w.state.Attempts+1)))
	default:
		next = now.Add(t.after(w.state.Attempts + 1))
	}
	if over := w.since().Add(t.lifetime()); next.After(over) && over.After(now) {
		next = over
	}
	return next.UTC().Round(0)
}

// since is from when on the lifetime counts.
func (w *work) since() time.Time {
	if !w.state.Since.IsZero() {
		return w.state.Since
	}
	return w.Custody.Arrived
}

// rounds relays to some recipients. Those that the next hop would not take at RCPT are left out of the next transaction,
// which comes at once; those for whom it only had no room beside the others come once the others are delivered.
func (w *work) rounds(ctx context.Context, hop gateway.NextHop, todo []int) *gateway.Relayed {
	var behind []int
	for {
		r := w.relay(ctx, hop, todo)
		ready, full, took := w.learn(r, todo)
		behind = append(behind, full...)
		switch {
		case ctx.Err() != nil:
			return r
		case len(ready) > 0 && len(ready) < len(todo):
			todo = ready
		case took && len(behind) > 0:
			todo, behind = behind, nil
		default:
			return r
		}
		w.q.save(w.ID, w.state) // what is known by now must not be asked for again after a crash
	}
}

// relay is one transaction.
func (w *work) relay(ctx context.Context, hop gateway.NextHop, batch []int) *gateway.Relayed {
	d := &gateway.Delivery{ID: w.ID, Route: w.route(), From: gateway.Address(w.From), Options: gateway.MailOptions(w.Mail),
		Content: w.content(&w.seen), Client: w.Client}
	for _, i := range batch {
		d.Rcpts = append(d.Rcpts, w.Rcpts[i].recipient(d.Route))
	}
	q, id := w.q, w.ID
	d.Late = func(r gateway.Relayed) { q.late(id, batch, &r) }
	within := gateway.Within(ctx, time.Now().Add(longRelay))
	defer within.End()
	r := hop.Relay(within, d)
	return &r
}

// learn notes what a relay said of each recipient. ready are those that the next hop would have taken, but for others;
// full are those for whom it had no room; took says that some were delivered.
func (w *work) learn(r *gateway.Relayed, batch []int) (ready, full []int, took bool) {
	s := w.state
	now := w.q.now().UTC().Round(0)
	s.NextHop, s.Said = gateway.CleanText(r.NextHop, 300), whyNot(r)
	s.Fault = r.Result == gateway.NotDelivered
	for place, i := range batch {
		m := &s.Rcpts[i]
		m.Reply, m.NextHop, m.At = replyTo(r, place), s.NextHop, now
		switch class := m.Reply.Code / 100; {
		case r.TookFor(place):
			m.End, took = Done, true
		case r.Result == gateway.RefusedByHop, r.Result == gateway.MixedByHop && class == 5:
			m.End = Failed
		case r.Result == gateway.MixedByHop && r.At == gateway.AtRcpt && class == 2:
			ready = append(ready, i)
		case r.Result == gateway.MixedByHop && r.At == gateway.AtRcpt && m.Reply.Code == 452:
			full = append(full, i)
		}
	}
	return ready, full, took
}

// replyTo is what was said of the recipient at a place.
func replyTo(r *gateway.Relayed, place int) gateway.Reply {
	reply := r.Reply
	if place < len(r.Rcpts) && (r.Result == gateway.MixedByHop || r.Rcpts[place].Code/100 == reply.Code/100) {
		reply = r.Rcpts[place]
	}
	reply.Text = limit(reply.Text, 500)
	return reply
}

// whyNot is a line about a relay, for lists.
func whyNot(r *gateway.Relayed) string {
	said := r.Said
	if said == "" {
		said = r.Reply.String()
	}
	return gateway.CleanText(r.AtStep(said), 200)
}

// report tells of an attempt, one change for each end that it brought.
func (w *work) report(r *gateway.Relayed) {
	byEnd := map[End][]int{}
	for i := range w.state.Rcpts {
		if m := &w.state.Rcpts[i]; m.End == Pending || !m.told {
			byEnd[m.End] = append(byEnd[m.End], i)
			m.told = m.End != Pending
		}
	}
	if r.Unreached() {
		return // the route's failure, which is told by the route
	}
	for end, what := range []string{Pending: "deferred", Done: "delivered", Failed: "failed"} {
		if list := byEnd[End(end)]; len(list) > 0 {
			w.tell(what, list, r)
		}
	}
}

// tell tells of what happened to some of the recipients.
func (w *work) tell(what string, list []int, r *gateway.Relayed) {
	w.q.tell(&Change{What: what, ID: w.ID, Route: w.route(), From: w.From.Text, Rcpts: fates(w.envelope, w.state, list),
		Size: w.Size, Arrived: w.Custody.Arrived, Attempts: w.state.Attempts, Next: w.state.Next, Said: w.state.Said, Relayed: r})
}

// late is called with how a relay ended whose answer came after the wait for it was over.
func (q *Queue) late(id gateway.ID, batch []int, r *gateway.Relayed) {
	q.mu.Lock()
	e := q.index.all[id]
	if e == nil || e.state != Waiting || e.finished {
		q.mu.Unlock()
		return // it is being tried again, or was; or a person took it away
	}
	q.index.change(e, Delivering, q.now())
	q.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out := q.guarded(e, func() outcome {
		w, out := q.open(ctx, e)
		if w == nil {
			return out
		}
		defer w.file.Close()
		out.env = w.envelope
		var open []int
		var places []gateway.Reply
		w.state.marks(len(w.Rcpts))
		took := *r
		for place, i := range batch {
			if w.state.Rcpts[i].End == Pending {
				open, places = append(open, i), append(places, replyTo(r, place))
			}
		}
		if took.Rcpts != nil {
			took.Rcpts = places
		}
		if len(open) > 0 && r.Result != gateway.OutcomeUnknown {
			w.learn(&took, open)
			w.state.Next = w.again(&took)
			w.report(&took)
		}
		return w.conclude(ctx, out)
	})
	q.mu.Lock()
	q.giveBack(e, &out, q.now())
	q.mu.Unlock()
	q.nudge()
}
