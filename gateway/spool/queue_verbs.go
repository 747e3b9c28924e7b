package spool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// Verb is what a person does to messages of the queue.
type Verb string

// The verbs.
const (
	Retry   Verb = "retry"   // try now; a dead letter begins anew
	Hold    Verb = "hold"    // do not try until it is released
	Release Verb = "release" // try again as before
	Bounce  Verb = "bounce"  // make an end of it: whoever sent it is told, where they may be
	Delete  Verb = "delete"  // remove it, and tell nobody
	Reroute Verb = "reroute" // send it by another route, now
)

// Action is a verb and what belongs to it.
type Action struct {
	Verb   Verb
	Route  string // of Reroute
	Why    string // for the log, and who did it
	DryRun bool   // say what would be done, and do nothing
}

// What a verb finds in its way.
var (
	ErrAll     = errors.New("a filter is needed: this verb is not for all messages at once")
	ErrAtWork  = errors.New("it is being delivered now")
	ErrNothing = errors.New("nothing is to be done")
)

// Do does a verb to each message that the filter picks, and calls done for each, with the error where it could not. A filter
// that picks everything is refused for Bounce, Delete and Reroute. done may end it by returning an error.
func (q *Queue) Do(ctx context.Context, f *Filter, a Action, done func(l *Listed, err error) error) error {
	switch a.Verb {
	case Retry, Hold, Release:
	case Bounce, Delete, Reroute:
		if f.Empty() {
			return ErrAll
		}
	default:
		return fmt.Errorf("%q is no verb of the queue", gateway.CleanText(string(a.Verb), 40))
	}
	if a.Verb == Reroute && (a.Route == "" || !plain(a.Route) || q.opts.Known != nil && !q.opts.Known(a.Route)) {
		return fmt.Errorf("there is no route %q", gateway.CleanText(a.Route, 80))
	}
	defer q.nudge()
	return q.Each(f, func(l *Listed) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return done(l, q.do(ctx, l.ID, f, a))
	})
}

// do does a verb to one message, if the filter still picks it: a dead letter that somebody lets be tried again, while many
// are being removed for their age, is one no more.
func (q *Queue) do(ctx context.Context, id gateway.ID, f *Filter, a Action) error {
	g := f.folded()
	q.mu.Lock()
	e := q.index.all[id]
	var err error
	switch {
	case e == nil:
		err = ErrNothing
	case e.state == Delivering:
		err = ErrAtWork
	case !g.match(e):
		err = ErrNothing
	case a.Verb == Hold && e.state == Held, a.Verb == Release && e.state != Held, a.Verb == Retry && e.state == Held,
		a.Verb == Bounce && e.state == Dead, a.Verb == Reroute && a.Route == e.lane.name, e.finished && a.Verb != Delete:
		err = ErrNothing
	}
	if err != nil || a.DryRun {
		q.mu.Unlock()
		return err
	}
	was := e.state
	q.index.change(e, Delivering, q.now())
	q.mu.Unlock()
	var failed error
	out := q.guarded(e, func() outcome {
		out, err := q.apply(ctx, e, was, a)
		failed = err
		return out
	})
	q.mu.Lock()
	q.giveBack(e, &out, q.now())
	if a.Verb == Retry || a.Verb == Reroute {
		e.lane.probe = q.now() // a person who says now means the route as well
	}
	if out.state == nil && !out.gone {
		q.index.change(e, was, q.now()) // it could not be read, and is as it was
	}
	q.mu.Unlock()
	return failed
}

// apply changes a message that nobody else is at work on.
func (q *Queue) apply(ctx context.Context, e *entry, was State, a Action) (outcome, error) {
	if a.Verb == Delete {
		return q.deleted(e, a)
	}
	w, out := q.open(ctx, e)
	if w == nil {
		if out.gone {
			return out, errors.New("it is damaged, and was set aside")
		}
		return out, errors.New(out.said)
	}
	defer w.file.Close()
	out.env = w.envelope
	s := w.state
	now := q.now().UTC().Round(0)
	what := map[Verb]string{Retry: "retried", Hold: "held", Release: "released", Bounce: "bounced", Reroute: "rerouted"}[a.Verb]
	switch a.Verb {
	case Hold:
		s.Held = true
	case Release:
		s.Held, s.Next = false, now
	case Retry, Reroute:
		s.Next, s.Fault = now, false
		if was == Dead {
			w.revive(now)
		}
		if a.Verb == Reroute {
			if s.Route = a.Route; s.Route == w.Route {
				s.Route = ""
			}
		}
	case Bounce:
		s.Held = false
		w.fail(gateway.Reply{Code: 550, Enhanced: "5.7.1", Text: bouncedText}, false)
	}
	q.tell(&Change{What: what, ID: w.ID, Route: w.route(), From: w.From.Text, Rcpts: fates(w.envelope, s, nil), Size: w.Size,
		Arrived: w.Custody.Arrived, Attempts: s.Attempts, Next: s.Next, Said: gateway.CleanText(a.Why, 200)})
	if a.Verb == Bounce {
		return w.conclude(ctx, out), nil
	}
	q.save(w.ID, s)
	out.state = s
	return out, nil
}

// revive lets the recipients of a dead letter begin anew, with a lifetime of their own.
func (w *work) revive(now time.Time) {
	s := w.state
	s.Dead, s.Since, s.Attempts = false, now, 0
	for i := range s.Rcpts {
		if s.Rcpts[i].End == DeadEnd {
			s.Rcpts[i] = mark{}
		}
	}
}

// deleted removes a message, whole or damaged.
func (q *Queue) deleted(e *entry, a Action) (outcome, error) {
	q.mu.Lock()
	l := e.listed()
	q.mu.Unlock()
	if err := durable.Remove(q.disk, q.name(e.id, ".msg")); err != nil {
		return outcome{next: q.now().Add(time.Minute), said: gateway.CleanText("delete: "+err.Error(), 200)}, err
	}
	if err := q.disk.SyncDir(q.folder(e.id)); err != nil {
		q.latch("flush of a removal", err)
	}
	_ = durable.Remove(q.disk, q.name(e.id, ".st"))
	c := &Change{What: "deleted", ID: e.id, Route: l.Route, From: l.From, Size: l.Size, Arrived: l.Arrived, Attempts: l.Attempts,
		Said: gateway.CleanText(a.Why, 200)}
	for _, to := range l.To {
		c.Rcpts = append(c.Rcpts, Fate{Address: to})
	}
	q.tell(c)
	return outcome{gone: true}, nil
}
