package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"gatepost/internal/dmarcreport"
	"gatepost/tls/tlsrpt"
)

// tlsKind are reports about TLS (RFC 8460). Who wants them is asked when a report is due, since nothing is published beside a
// connection: the first address of a subject is the name of its record.
type tlsKind struct{}

func (tlsKind) name() string   { return "tls" }
func (tlsKind) counts() string { return "sessions" }

// count makes the line of sessions. Those of a host that has no domain are nobody's business.
func (tlsKind) count(what any, at time.Time, _ *Settings) (c Counted, ok bool) {
	l := *what.(*tlsrpt.Line)
	if !l.Clean() || l.Count < 1 || l.Failure.Result != "" && !l.Failure.Result.Known() {
		return c, false
	}
	c.Subject = Subject{Day: DayOf(at), Domain: l.Policy.Domain}
	c.Line, _ = TLSLine(l) // a struct of texts and numbers
	return c, true
}

// TLSLine is a line as the Store keeps it.
func TLSLine(l tlsrpt.Line) (Line, error) {
	key, err := json.Marshal(&l)
	return Line{string(key), l.Count}, err
}

// ready: reports about TLS cause none, since connections that carry reports are not counted.
func (tlsKind) ready(context.Context, *Reports, *Settings, *memo, time.Time) error { return nil }

func (tlsKind) addresses(u *Stored) (use, bad []string) {
	return []string{tlsrpt.Prefix + u.Domain}, nil
}

// The reasons for which a report about TLS is not sent somewhere.
const (
	unsigned = "mail must be signed (RFC 8460 section 3): set a dkim_selector"
	noWeb    = "no report is sent by https"
)

// target asks who wants reports about a domain, and decides about each that its record names.
func (tlsKind) target(ctx context.Context, r *Reports, s *Settings, u *Stored, lines []Line, address string, now time.Time) ([]Delivery, error) {
	asking, cancel := context.WithTimeout(ctx, permitTime)
	texts, err := r.o.Resolver.LookupTXT(asking, address)
	cancel()
	if e, ok := errors.AsType[*net.DNSError](err); err != nil && (!ok || !e.IsNotFound || ctx.Err() != nil) {
		return nil, fmt.Errorf("TXT %s: %w", address, err)
	}
	record, err := tlsrpt.Find(texts)
	var out []Delivery
	if err != nil {
		out = append(out, drop(address, err.Error()))
	}
	for _, b := range record.Bad {
		out = append(out, drop(b.URI, b.Err.Error()))
	}
	id := s.tlsReport(u, lines).ID
	for _, to := range record.RUA {
		d := Delivery{Address: to.String(), Upto: len(lines), ReportID: id, State: Waiting, Next: now}
		resting, err := r.resting(ctx, s, d.destination(), now)
		switch {
		case err != nil:
			return nil, err
		case resting != "":
			d = drop(d.Address, resting)
		case d.byWeb() && s.Web == nil:
			d = drop(d.Address, noWeb)
		case !d.byWeb() && s.Sign == nil:
			d = drop(d.Address, unsigned)
		}
		if d.State == Waiting {
			content, err := (tlsKind{}).content(s, u, lines, &d, now)
			if err != nil {
				return nil, fmt.Errorf("signing: %w", err)
			}
			if d.Octets = len(content); int64(d.Octets) > s.MaxSize {
				d = drop(d.Address, fmt.Sprintf("%v: %d octets, and %d are allowed", errTooBig, len(content), s.MaxSize))
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// tlsReport makes the report of a subject.
func (s *Settings) tlsReport(u *Stored, lines []Line) *tlsrpt.Report {
	var all []tlsrpt.Line
	for _, l := range lines {
		var t tlsrpt.Line
		if json.Unmarshal([]byte(l.Key), &t) == nil && t.Clean() && t.Policy.Domain == u.Domain {
			t.Count = l.Count
			all = append(all, t)
		}
	}
	contact := s.Contact
	if contact == "" {
		contact = s.From
	}
	return &tlsrpt.Report{Organization: s.Org, Contact: contact, ID: dmarcreport.ID("tls", s.Receiver, u.Day.String(), u.Domain),
		Range: tlsrpt.DateRange{Start: u.Day.Begin(), End: (u.Day + 1).Begin().Add(-time.Second)}, Policies: tlsrpt.Aggregate(all)}
}

func (tlsKind) content(s *Settings, u *Stored, lines []Line, d *Delivery, now time.Time) ([]byte, error) {
	report := s.tlsReport(u, lines)
	packed := tlsrpt.Gzip(report.JSON())
	if d.byWeb() {
		return packed, nil
	}
	m := &tlsrpt.Mail{From: s.From, To: d.Address, Sender: s.Receiver, Date: now, Packed: packed}
	if u.Lost > 0 {
		m.Note = fmt.Sprintf("%d more sessions found no room in it.", u.Lost)
	}
	return s.signed(m.Write(report))
}

func (tlsKind) counted(u *Stored, one *Shown) { one.Sessions = u.Messages }

func (tlsKind) preview(s *Settings, u *Stored, lines []Line, one *Shown) {
	one.Report = s.tlsReport(u, lines).JSON()
}
