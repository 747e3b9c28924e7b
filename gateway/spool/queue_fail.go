package spool

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// Failure is a message that failed for some of its recipients, for the notice to whoever sent it.
type Failure struct {
	ID      gateway.ID
	Route   string
	From    gateway.Address // never the null path
	Options gateway.MailOptions
	Client  gateway.Client
	Custody gateway.Custody
	Rcpts   []FailedRcpt
	Message *io.SectionReader // the message as it would have gone out; good until Notice returns
}

// FailedRcpt is a recipient to whom a message could not be delivered.
type FailedRcpt struct {
	gateway.Recipient
	Reply   gateway.Reply // the last word on it, of a next hop or ours; a 4xx where its time was over
	NextHop string        // who said it; "" for us
	At      time.Time
	Expired bool // it was tried until its time was over
}

// What is said of recipients that fail without a next hop's refusal.
const (
	expiredText = "It could not be delivered in time"
	bouncedText = "Returned by the postmaster"
)

// expire ends the wait of those whose time is over.
func (w *work) expire() {
	w.q.mu.Lock()
	lifetime := w.q.tuning.lifetime()
	w.q.mu.Unlock()
	now := w.q.now()
	if now.Sub(w.since()) < lifetime {
		return
	}
	w.fail(gateway.Reply{Code: 451, Enhanced: "4.4.7", Text: expiredText}, true)
}

// fail makes an end of all that are pending.
func (w *work) fail(otherwise gateway.Reply, expired bool) {
	var list []int
	marks := w.state.marks(len(w.Rcpts))
	for i := range marks {
		m := &marks[i]
		if m.End != Pending {
			continue
		}
		if m.Reply.IsZero() || !expired {
			m.Reply, m.NextHop = otherwise, ""
		}
		m.End, m.Expired, m.At, m.told = Failed, expired, w.q.now().UTC().Round(0), true
		list = append(list, i)
	}
	if len(list) > 0 {
		if expired {
			w.state.Said = gateway.CleanText("expired; last: "+w.state.Said, 200)
		}
		w.tell("failed", list, nil)
	}
}

// answer tells whoever sent the message what failed, where they may be told: their domain was authenticated, they did not
// forbid it (RFC 3461 section 4.1), and they are not a server that reports itself. All others are dead letters.
func (w *work) answer(ctx context.Context) {
	s := w.state
	var telling, dead []int
	for i := range s.Rcpts {
		if s.Rcpts[i].End != Failed {
			continue
		}
		if w.mayTell(i) {
			telling = append(telling, i)
		} else {
			dead = append(dead, i)
		}
	}
	if len(telling) > 0 {
		switch err := w.q.opts.Notice(ctx, w.failure(telling)); {
		case err == nil:
			w.end(telling, Notified)
		case errors.Is(err, ErrNoNotice):
			dead = append(dead, telling...)
		default:
			w.q.log.Error("spool: no notice of a failure could be made; it is tried again", "id", w.ID.String(), "error", err)
			s.Said = gateway.CleanText("notice: "+err.Error(), 200)
			if s.Attempts++; !s.Next.After(w.q.now()) {
				w.q.mu.Lock()
				s.Next = w.q.now().Add(w.q.tuning.after(s.Attempts)).UTC().Round(0)
				w.q.mu.Unlock()
			}
		}
	}
	w.end(dead, DeadEnd)
	if len(dead) > 0 || s.count(len(s.Rcpts), Notified) > 0 {
		w.q.save(w.ID, s)
	}
}

// end gives recipients their end and tells of it.
func (w *work) end(list []int, end End) {
	if len(list) == 0 {
		return
	}
	slices.Sort(list)
	for _, i := range list {
		w.state.Rcpts[i].End = end
	}
	w.tell(end.String(), list, nil)
}

func (w *work) mayTell(i int) bool {
	notify := w.Rcpts[i].Notify
	forbidden := len(notify) > 0 && !slices.ContainsFunc(notify, func(n string) bool { return strings.EqualFold(n, "FAILURE") })
	return w.q.opts.Notice != nil && w.Custody.Notify && w.From.Text != "" && !forbidden
}

func (w *work) failure(list []int) *Failure {
	f := &Failure{ID: w.ID, Route: w.route(), From: gateway.Address(w.From), Options: gateway.MailOptions(w.Mail), Client: w.Client,
		Custody: w.Custody, Message: io.NewSectionReader(w.file, w.start, w.Size)}
	for _, i := range list {
		m := &w.state.Rcpts[i]
		f.Rcpts = append(f.Rcpts, FailedRcpt{Recipient: w.Rcpts[i].recipient(f.Route), Reply: m.Reply, NextHop: m.NextHop, At: m.At,
			Expired: m.Expired})
	}
	return f
}
