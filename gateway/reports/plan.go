package reports

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"gatepost/internal/dmarcreport"
)

const (
	startAfter  = 10 * time.Minute // past midnight UTC, when everything of the day is in the store
	maxParts    = 16               // of one report to one address
	permitTime  = 10 * time.Second // for asking whether a destination wants reports
	restingText = "the destination rests until %s after failures on %d days"
)

// due is when a report is sent first: at the same time of each day for one domain and one installation, spread over the
// window, so that not all the world's reporters call at midnight.
func (s *Settings) due(u *Subject) time.Time {
	h := fnv.New64a()
	h.Write([]byte(s.Receiver + "\x00" + u.Domain))
	return (u.Day + 1).Begin().Add(startAfter + time.Duration(h.Sum64()%uint64(max(s.Window, 1))))
}

// feedback makes the report of some lines of a subject; upto is not among them.
func (s *Settings) feedback(u *Stored, lines []Line, first, upto int) *dmarcreport.Feedback {
	f := &dmarcreport.Feedback{Org: s.Org, Email: s.From, Contact: s.Contact, Generator: s.Generator, Begin: u.Day.Begin(),
		End: (u.Day + 1).Begin().Add(-time.Second), Records: dmarcRecords(lines[first:upto]),
		ID: dmarcreport.ID(s.Receiver, u.Day.String(), u.Domain, u.Method, u.Record, strconv.Itoa(first), strconv.Itoa(upto))}
	f.Policy, _ = dmarcreport.ParsePublished(u.Domain, u.Method, u.Record) // what does not parse is never counted
	_, bad := dmarcreport.ParseRUA(f.Policy.RUA)
	for _, b := range bad {
		f.Errors = append(f.Errors, "rua: "+b.Error())
	}
	if u.Lost > 0 {
		f.Errors = append(f.Errors, fmt.Sprintf("%d more messages found no room in this report", u.Lost))
	}
	return f
}

// feedbackMail makes the mail of a report to an address, and signs it.
func (s *Settings) feedbackMail(f *dmarcreport.Feedback, to string, now time.Time) ([]byte, error) {
	m := &dmarcreport.Mail{From: s.From, To: to, Receiver: s.Receiver, Date: now, Packed: dmarcreport.Gzip(f.XML(s.Format))}
	return s.signed(m.Write(f))
}

func (s *Settings) signed(mail []byte) ([]byte, error) {
	if s.Sign == nil {
		return mail, nil
	}
	return s.Sign(mail)
}

// parts cuts the lines of a subject into reports whose mails are not larger than limit octets.
func (s *Settings) parts(u *Stored, lines []Line, to string, limit int64, now time.Time) (out []Delivery, err error) {
	var cut func(first, upto int) error
	cut = func(first, upto int) error {
		f := s.feedback(u, lines, first, upto)
		mail, err := s.feedbackMail(f, to, now)
		switch {
		case err != nil:
			return fmt.Errorf("signing: %w", err)
		case int64(len(mail)) <= limit:
			out = append(out, Delivery{Address: to, First: first, Upto: upto, ReportID: f.ID, State: Waiting, Next: now, Octets: len(mail)})
			if len(out) > maxParts {
				return fmt.Errorf("%w: more than %d mails of %d octets", errTooBig, maxParts, limit)
			}
			return nil
		case upto-first < 2:
			return fmt.Errorf("%w: one line takes %d octets, %d are allowed", errTooBig, len(mail), limit)
		}
		middle := first + (upto-first)/2
		if err := cut(first, middle); err != nil {
			return err
		}
		return cut(middle, upto)
	}
	err = cut(0, len(lines))
	return out, err
}

// errTooBig says that a report is larger than its reader or we allow.
var errTooBig = errors.New("too big")

// target decides about one address of a record: the deliveries to it, dropped ones with their reason among them. The error
// is that of DNS, which could not tell whether it wants reports, or of the store.
func (dmarcKind) target(ctx context.Context, r *Reports, s *Settings, u *Stored, lines []Line, address string, now time.Time) ([]Delivery, error) {
	d, ok := destinationOf(u, address)
	if !ok {
		return nil, fmt.Errorf("%s is not in the record", address)
	}
	asking, cancel := context.WithTimeout(ctx, permitTime)
	to, err := dmarcreport.Permitted(asking, r.o.Resolver, u.Domain, d)
	cancel()
	if errors.Is(err, dmarcreport.ErrNotAllowed) {
		return []Delivery{drop(d.Address(), err.Error())}, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for _, o := range to {
		limit := s.MaxSize
		if o.MaxSize > 0 {
			limit = min(limit, o.MaxSize)
		}
		resting, err := r.resting(ctx, s, o.Domain, now)
		if err != nil {
			return nil, err
		}
		if resting != "" {
			out = append(out, drop(o.Address(), resting))
			continue
		}
		parts, err := s.parts(u, lines, o.Address(), limit, now)
		if err != nil {
			parts = []Delivery{drop(o.Address(), err.Error())}
		}
		out = append(out, parts...)
	}
	return out, nil
}

// drop is a delivery that is not tried.
func drop(address, why string) Delivery {
	return Delivery{Address: address, First: -1, State: Dropped, Said: why}
}

// destinationOf finds an address among those of the record.
func destinationOf(u *Stored, address string) (dmarcreport.Destination, bool) {
	p, _ := dmarcreport.ParsePublished(u.Domain, u.Method, u.Record)
	use, _ := dmarcreport.ParseRUA(p.RUA)
	at := slices.IndexFunc(use, func(d dmarcreport.Destination) bool { return d.Address() == address })
	if at < 0 {
		return dmarcreport.Destination{}, false
	}
	return use[at], true
}

// resting says that a destination is left in peace; "" where it is not.
func (r *Reports) resting(ctx context.Context, s *Settings, destination string, now time.Time) (string, error) {
	rest, err := r.store().Rest(ctx, s.restKey(destination))
	if err != nil || !rest.Until.After(now) {
		return "", err
	}
	return fmt.Sprintf(restingText, rest.Until.UTC().Format(time.DateTime), rest.Failures), nil
}

// restKey names a destination and the way there: when the way is another, a refusal says nothing any more.
func (s *Settings) restKey(domain string) string { return s.Via + " " + domain }
