package reports

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dmarcreport"
)

const (
	lookAgain    = time.Hour        // how often it is looked for what is due, at least
	longestPause = 5 * time.Minute  // while nothing can be sent
	ownAgain     = time.Hour        // how often our own record is asked for
	sendTime     = 5 * time.Minute  // for one mail
	saveTime     = 5 * time.Second  // for keeping what became of it
	firstRetry   = 15 * time.Minute // doubled each time
	longestRetry = 4 * time.Hour
	giveUp       = 24 * time.Hour // after the first try
	maxMails     = 10_000         // that are tried in a day: whoever forges mail of many domains shall not make us flood anybody
	restAfter    = 3              // days in a row on which nothing could be sent to a destination
	restFor      = 7 * 24 * time.Hour
)

// send sends what is due until ctx is done. One mail goes after another: nobody waits for a report.
func (r *Reports) send(ctx context.Context) {
	pause := time.Second
	var own memo
	for {
		wait := lookAgain
		if s := r.settings.Load(); s != nil {
			next, err := r.round(ctx, s, &own)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				r.tell(sending, err.Error())
				wait, pause = pause, min(2*pause, longestPause)
			default:
				r.tell(sending, "")
				wait, pause = min(max(time.Until(next), time.Second), lookAgain), time.Second
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-r.changed:
			own, pause = memo{day: own.day, mails: own.mails}, time.Second
		case <-time.After(wait):
		}
	}
}

// memo is what the sending remembers: what was last learned of the policy record of our own address, on which day the store
// last forgot, and how many mails were tried on a day.
type memo struct {
	domain string
	until  time.Time
	forgot Day
	day    Day
	mails  int
}

// mayTry counts one more mail of a day.
func (m *memo) mayTry(day Day) error {
	if m.day != day {
		m.day, m.mails = day, 0
	}
	if m.mails++; m.mails > maxMails {
		return fmt.Errorf("%d mails were tried today, and the rest waits for tomorrow", maxMails)
	}
	return nil
}

// asked makes sure that the domain of our own address asks for no reports: who gets ours would report about them, and we
// about his.
func (m *memo) asked(ctx context.Context, r *Reports, s *Settings, now time.Time) error {
	_, domain, _ := strings.Cut(s.From, "@")
	if m.domain == domain && now.Before(m.until) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, permitTime)
	defer cancel()
	at, asks, err := dmarcreport.AsksForReports(ctx, r.o.Resolver, domain)
	if err != nil {
		return fmt.Errorf("whether %s asks for reports itself is not known: %w", domain, err)
	}
	if asks {
		return fmt.Errorf("%s asks for reports: mail from %s would be reported about, for ever; give that domain a record without rua", at, s.From)
	}
	m.domain, m.until = domain, now.Add(ownAgain)
	return nil
}

// round sends what is due, and returns when more may be.
func (r *Reports) round(ctx context.Context, s *Settings, own *memo) (next time.Time, err error) {
	now := time.Now()
	today := DayOf(now)
	next = now.Add(lookAgain)
	if tomorrow := (today + 1).Begin().Add(startAfter); tomorrow.Before(next) { // when today's become due
		next = tomorrow
	}
	if own.forgot != today {
		if err := r.store().Forget(ctx, today-keepLines, today-keepAll); err != nil {
			return next, err
		}
		own.forgot = today
	}
	open, err := r.store().Open(ctx, today)
	if err != nil {
		return next, err
	}
	for _, id := range open {
		if ctx.Err() != nil || r.settings.Load() != s {
			return now, ctx.Err()
		}
		u, err := r.store().Subject(ctx, id)
		if err != nil {
			return next, err
		}
		at := s.due(&u.Subject)
		if !at.After(time.Now()) {
			if err := r.kind.ready(ctx, r, s, own, time.Now()); err != nil {
				return next, err
			}
			if at, err = r.attend(ctx, s, &u, own); err != nil {
				return next, err
			}
		}
		if at.Before(next) {
			next = at
		}
	}
	return next, nil
}

// attend does for one subject what can be done now, and returns when to come again.
func (r *Reports) attend(ctx context.Context, s *Settings, u *Stored, m *memo) (next time.Time, err error) {
	all, err := r.store().Deliveries(ctx, u.ID)
	if err != nil {
		return next, err
	}
	if soonest := soonest(all); len(all) > 0 && soonest.After(time.Now()) {
		return soonest, nil
	}
	lines, err := r.store().Lines(ctx, u.ID)
	if err != nil {
		return next, err
	}
	if u.First.IsZero() {
		u.First = time.Now()
	}
	if all, err = r.plan(ctx, s, u, lines, all); err != nil {
		return next, err
	}
	for i := range all {
		d := &all[i]
		if d.State != Waiting || d.Next.After(time.Now()) || d.First < 0 || d.Upto > len(lines) {
			continue
		}
		err := m.mayTry(DayOf(time.Now()))
		if err == nil {
			err = r.deliver(ctx, s, u, lines, d)
		}
		if err != nil {
			return next, err
		}
	}
	if next = soonest(all); next.IsZero() {
		return time.Now().Add(lookAgain), r.store().Finish(ctx, u.ID)
	}
	return next, nil
}

// soonest is when the next of the waiting ones is to be tried; zero when none waits.
func soonest(all []Delivery) (next time.Time) {
	for i := range all {
		if d := &all[i]; d.State == Waiting && (next.IsZero() || d.Next.Before(next)) {
			next = d.Next
		}
	}
	return next
}

// plan decides about each address of the record of which that is not done, and returns all deliveries.
func (r *Reports) plan(ctx context.Context, s *Settings, u *Stored, lines []Line, all []Delivery) ([]Delivery, error) {
	use, _ := r.kind.addresses(u)
	if len(all) == 0 { // all at once, so that none is forgotten when we end in between
		for _, address := range use {
			all = append(all, Delivery{Address: address, First: -1, State: Waiting, Next: u.First})
		}
		if err := r.store().Plan(ctx, u.ID, "", u.First, all); err != nil {
			return nil, err
		}
	}
	use = unasked(use, all)
	for _, address := range use {
		made, err := r.kind.target(ctx, r, s, u, lines, address, time.Now())
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			made = []Delivery{retry(Delivery{Address: address, First: -1, State: Waiting, Attempts: attempts(all, address)}, u, err.Error())}
		}
		if err := r.store().Plan(ctx, u.ID, address, u.First, made); err != nil {
			return nil, err
		}
	}
	if len(use) == 0 {
		return all, nil
	}
	return r.store().Deliveries(ctx, u.ID)
}

// unasked are the addresses of which it is not known whether they may be sent to, and whose time has come.
func unasked(use []string, all []Delivery) (out []string) {
	for _, address := range use {
		for i := range all {
			if o := &all[i]; o.Address == address && o.First < 0 && o.State == Waiting && !o.Next.After(time.Now()) {
				out = append(out, address)
			}
		}
	}
	return out
}

func attempts(all []Delivery, address string) int {
	for i := range all {
		if all[i].Address == address && all[i].First < 0 {
			return all[i].Attempts
		}
	}
	return 0
}

// retry is a delivery that failed for now: it waits longer each time, and not beyond a day after the first.
func retry(d Delivery, u *Stored, said string) Delivery {
	now := time.Now()
	d.Attempts++
	d.Last, d.Said = now, gateway.CleanText(said, 300)
	wait := longestRetry
	if d.Attempts < 6 {
		wait = min(firstRetry<<(d.Attempts-1), longestRetry)
	}
	if d.Next = now.Add(wait); d.Next.Sub(u.First) > giveUp {
		d.State, d.Next = Expired, time.Time{}
	}
	return d
}

// deliver tries one mail and keeps what became of it. The error is one that others would have too.
func (r *Reports) deliver(ctx context.Context, s *Settings, u *Stored, lines []Line, d *Delivery) error {
	content, err := r.kind.content(s, u, lines, d, time.Now())
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, sendTime)
	var said gateway.Relayed
	if d.byWeb() {
		said = s.post(bounded, d.Address, content)
	} else {
		said = s.Hop.Relay(bounded, &gateway.Delivery{ID: r.o.IDs.Next(), Route: s.Route, From: address(s.From),
			Rcpts:   []gateway.Recipient{{Address: address(d.Address), Route: s.Route}},
			Content: gateway.Content{Parts: []io.Reader{bytes.NewReader(content)}, Size: int64(len(content))}})
	}
	cancel()
	switch {
	case said.Result == gateway.NotDelivered && ctx.Err() != nil:
		return ctx.Err() // it was cut short by our end, and says nothing
	case said.Result == gateway.NotDelivered && (said.At == "dial" || said.At == "ehlo"):
		return fmt.Errorf("the way out is shut: %s: %s", s.Via, said.Said)
	case said.Result == gateway.Delivered:
		d.Attempts++
		d.State, d.Next, d.Last, d.Said = Sent, time.Time{}, time.Now(), said.Said
	case said.Result == gateway.RefusedByHop:
		d.Attempts++
		d.State, d.Next, d.Last, d.Said = Refused, time.Time{}, time.Now(), said.Said
	default:
		*d = retry(*d, u, said.Said)
	}
	d.Octets = len(content)
	r.told(u, d)
	// What was sent is kept even when we are to end now: else it would be sent twice.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	if err := r.store().Save(ctx, u.ID, *d); err != nil {
		return err
	}
	if d.State == Refused && said.At == "mail" {
		return nil // our own address was refused, which says nothing about theirs
	}
	return r.remember(ctx, s, u, d)
}

// told counts and logs how a delivery ended.
func (r *Reports) told(u *Stored, d *Delivery) {
	switch d.State {
	case Sent:
		r.sent.Add(1)
		r.o.Log.Info(r.kind.name()+" report sent", "domain", u.Domain, "day", u.Day.String(), "to", d.Address, "report_id", d.ReportID, r.kind.counts(), u.Messages)
	case Refused, Expired:
		r.undelivered.Add(1)
		r.o.Log.Warn(r.kind.name()+" report not sent", "domain", u.Domain, "day", u.Day.String(), "to", d.Address, "report_id", d.ReportID, "said", d.Said)
	}
}

// remember keeps whether a destination works: after some days of nothing but failures it is left in peace for a week.
func (r *Reports) remember(ctx context.Context, s *Settings, u *Stored, d *Delivery) error {
	if d.State == Waiting {
		return nil
	}
	rest, err := r.store().Rest(ctx, s.restKey(d.destination()))
	if err != nil {
		return err
	}
	if d.State == Sent {
		if rest.Failures == 0 {
			return nil
		}
		rest.Failures, rest.Until = 0, time.Time{}
		return r.store().SaveRest(ctx, rest)
	}
	if rest.Failures > 0 && rest.LastDay >= u.Day {
		return nil // the day has failed already
	}
	rest.Failures++
	if rest.LastDay = u.Day; rest.Failures >= restAfter {
		rest.Until = time.Now().Add(restFor)
	}
	return r.store().SaveRest(ctx, rest)
}

// byWeb reports whether it goes by https and not by mail.
func (d *Delivery) byWeb() bool { return strings.HasPrefix(d.Address, "https://") }

// destination is who fails when it does: the domain of an address, or the host of a URL.
func (d *Delivery) destination() string {
	if d.byWeb() {
		host, _, _ := strings.Cut(d.Address[len("https://"):], "/")
		return "https://" + host
	}
	return d.Address[strings.LastIndexByte(d.Address, '@')+1:]
}

// address is one that ParseRUA or the configuration has read: it needs no quotes.
func address(text string) gateway.Address {
	at := strings.LastIndexByte(text, '@')
	return gateway.Address{Text: text, Local: text[:at], Domain: strings.ToLower(text[at+1:])}
}
