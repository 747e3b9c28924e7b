package reports

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gatepost/internal/dmarcreport"
)

// Query says what is to be shown.
type Query struct {
	Domain string // "" for all
	Day    *Day   // nil for all
	DryRun bool   // decide about each address as if it were sent now, and write the report
	Format *dmarcreport.Format
	Limit  int // subjects; 0: 50, or 10 with DryRun
}

// Shown is one subject as people see it.
type Shown struct {
	Day        string          `json:"day"`
	Domain     string          `json:"domain"`
	Record     string          `json:"record,omitempty"`
	Method     string          `json:"discovery_method,omitempty"`
	Messages   int64           `json:"messages,omitempty"` // of DMARC
	Sessions   int64           `json:"sessions,omitempty"` // of TLS
	Lines      int             `json:"lines"`
	Lost       int64           `json:"lost,omitempty"`
	Due        time.Time       `json:"due"`
	Done       bool            `json:"done,omitempty"`
	Deliveries []Delivery      `json:"deliveries,omitempty"` // those that were made, or with DryRun those that would be
	Bad        []string        `json:"bad,omitempty"`        // addresses that cannot be used, and why
	XML        string          `json:"xml,omitempty"`        // of DMARC, with DryRun
	Report     json.RawMessage `json:"report,omitempty"`     // of TLS, likewise
}

// Overview is the answer to a Query.
type Overview struct {
	Off      bool    `json:"off,omitempty"`     // no address is set to send from
	Trouble  string  `json:"trouble,omitempty"` // why nothing is sent
	Subjects []Shown `json:"subjects"`
	More     bool    `json:"more,omitempty"` // there are others
}

// The bounds of an Overview: octets of XML, and the time for asking destinations.
const (
	maxShown = 8 << 20
	showTime = 20 * time.Second
)

// errOff says that nothing can be previewed.
var errOff = errors.New("reports are off: no address is set to send from")

// Show tells what waits, what was sent, and what would be. It changes nothing.
func (r *Reports) Show(ctx context.Context, q Query) (*Overview, error) {
	s := r.settings.Load()
	o := &Overview{Off: s == nil, Subjects: []Shown{}}
	if s == nil && q.DryRun {
		return nil, errOff
	}
	if r.kept.Load() == nil {
		return o, nil // nothing was ever counted
	}
	if s == nil {
		s = &Settings{}
	}
	if q.Format != nil {
		other := *s
		other.Format = *q.Format
		s = &other
	}
	if _, o.Trouble = r.Health(); o.Off {
		o.Trouble = ""
	}
	if q.Limit <= 0 {
		if q.Limit = 50; q.DryRun {
			q.Limit = 10
		}
	}
	ids, err := r.store().All(ctx, q.Domain, q.Day, q.Limit+1)
	if err != nil {
		return nil, err
	}
	if o.More = len(ids) > q.Limit; o.More {
		ids = ids[:q.Limit]
	}
	asking, cancel := context.WithTimeout(ctx, showTime)
	defer cancel()
	octets := 0
	for _, id := range ids {
		one, err := r.shown(ctx, asking, s, id, q.DryRun)
		if err != nil {
			return nil, err
		}
		if octets += len(one.XML) + len(one.Report); octets > maxShown {
			one.XML, one.Report, o.More = "", nil, true
		}
		o.Subjects = append(o.Subjects, one)
	}
	return o, nil
}

// shown reads one subject. asking bounds what is asked of others.
func (r *Reports) shown(ctx, asking context.Context, s *Settings, id int64, dry bool) (one Shown, err error) {
	u, err := r.store().Subject(ctx, id)
	if err != nil {
		return one, err
	}
	one = Shown{Day: u.Day.String(), Domain: u.Domain, Record: u.Record, Method: u.Method, Lines: u.Lines,
		Lost: u.Lost, Due: s.due(&u.Subject), Done: u.Done}
	use, bad := r.kind.addresses(&u)
	one.Bad = bad
	r.kind.counted(&u, &one)
	if one.Deliveries, err = r.store().Deliveries(ctx, id); err != nil || !dry || u.Done {
		return one, err
	}
	lines, err := r.store().Lines(ctx, id)
	if err != nil || len(lines) == 0 {
		return one, err
	}
	r.kind.preview(s, &u, lines, &one)
	if len(one.Deliveries) > 0 {
		return one, nil // it is decided already
	}
	for _, address := range use {
		made, err := r.kind.target(asking, r, s, &u, lines, address, time.Now())
		if err != nil {
			if ctx.Err() != nil {
				return one, err
			}
			made = []Delivery{{Address: address, State: Waiting, Said: err.Error()}}
		}
		for i := range made {
			if made[i].State == Waiting {
				made[i].Next = one.Due
			}
		}
		one.Deliveries = append(one.Deliveries, made...)
	}
	return one, nil
}
