package reports

import (
	"context"
	"time"

	"gatepost/internal/dmarcreport"
)

// kind is one sort of report: what it counts, how it is written and whom it may go to.
type kind interface {
	name() string   // for people
	counts() string // what, for people
	// count makes the line of what was taken. Not ok: it is not reported about.
	count(what any, at time.Time, s *Settings) (Counted, bool)
	// ready says why nothing may be sent at all now.
	ready(ctx context.Context, r *Reports, s *Settings, m *memo, now time.Time) error
	// addresses are what is to be decided about a subject, and what cannot be used.
	addresses(u *Stored) (use, bad []string)
	// target decides about one of them: the deliveries that come of it, dropped ones with their reason among them. The error is
	// that of DNS, which could not tell whether reports are wanted, or of the store.
	target(ctx context.Context, r *Reports, s *Settings, u *Stored, lines []Line, address string, now time.Time) ([]Delivery, error)
	// content is what a delivery sends: a mail, or the body of a post. The same delivery has the same report.
	content(s *Settings, u *Stored, lines []Line, d *Delivery, now time.Time) ([]byte, error)
	// counted and preview put into what people see how much was counted, and the report itself.
	counted(u *Stored, one *Shown)
	preview(s *Settings, u *Stored, lines []Line, one *Shown)
}

// dmarcKind are DMARC aggregate reports.
type dmarcKind struct{}

func (dmarcKind) name() string   { return "dmarc" }
func (dmarcKind) counts() string { return "messages" }

// ready makes sure that nobody will report about our reports.
func (dmarcKind) ready(ctx context.Context, r *Reports, s *Settings, m *memo, now time.Time) error {
	return m.asked(ctx, r, s, now)
}

func (dmarcKind) addresses(u *Stored) (use, bad []string) {
	p, _ := dmarcreport.ParsePublished(u.Domain, u.Method, u.Record)
	all, wrong := dmarcreport.ParseRUA(p.RUA)
	for _, d := range all {
		use = append(use, d.Address())
	}
	for _, b := range wrong {
		bad = append(bad, b.Error())
	}
	return use, bad
}

func (dmarcKind) content(s *Settings, u *Stored, lines []Line, d *Delivery, now time.Time) ([]byte, error) {
	return s.feedbackMail(s.feedback(u, lines, d.First, d.Upto), d.Address, now)
}

func (dmarcKind) counted(u *Stored, one *Shown) { one.Messages = u.Messages }

func (dmarcKind) preview(s *Settings, u *Stored, lines []Line, one *Shown) {
	one.XML = string(s.feedback(u, lines, 0, len(lines)).XML(s.Format))
}
