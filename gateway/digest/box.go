package digest

import (
	"context"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// box is what is new for a recipient: names only, since all that lies in quarantine may be new.
type box struct {
	to     gateway.Address
	domain string
	ids    []gateway.ID // the newest first
}

// collect finds what each recipient was not told of.
func (d *Digest) collect(ctx context.Context, s *Settings, want func(domain, rcpt string) bool, rcpt string) (map[string]*box, error) {
	boxes := map[string]*box{}
	visible := quarantine.Visible
	f := &quarantine.Filter{State: &visible, Rcpt: rcpt, Limit: page}
	for {
		rows, err := d.opts.Kept.Find(ctx, f)
		if err != nil {
			return nil, err
		}
		if err := d.sort(ctx, s, want, rcpt, rows, boxes); err != nil {
			return nil, err
		}
		if len(rows) < page {
			break
		}
		f.Before = rows[len(rows)-1].ID
	}
	return boxes, nil
}

// sort puts a page of messages into the boxes of those who were not told of them.
func (d *Digest) sort(ctx context.Context, s *Settings, want func(domain, rcpt string) bool, rcpt string, rows []quarantine.Row, boxes map[string]*box) error {
	places, texts := map[string][]int{}, map[string]string{}
	for i := range rows {
		for j := range rows[i].Rcpts {
			to := &rows[i].Rcpts[j]
			name := strings.ToLower(to.Address)
			if to.State != quarantine.Visible || rows[i].Damaged != "" || rcpt != "" && !strings.EqualFold(rcpt, to.Address) {
				continue
			}
			if at := places[name]; len(at) == 0 || at[len(at)-1] != i {
				places[name], texts[name] = append(at, i), to.Address
			}
		}
	}
	for name, at := range places {
		b := boxes[name]
		if b == nil {
			to, err := d.opts.Address(texts[name])
			if err != nil {
				continue // nobody can be written to there
			}
			if b = (&box{to: to, domain: s.DomainOf(to)}); !want(b.domain, name) {
				continue
			}
		}
		ids := make([]gateway.ID, len(at))
		for k, i := range at {
			ids[k] = rows[i].ID
		}
		told, err := d.opts.Store.Told(ctx, name, ids)
		if err != nil {
			return err
		}
		for k := range at {
			if told[ids[k]] {
				continue
			}
			boxes[name] = b
			b.ids = append(b.ids, ids[k])
		}
	}
	return nil
}

// rows are the newest messages of a box, as they are now; what is no more there is not told of.
func (d *Digest) rows(ctx context.Context, name string, b *box) ([]quarantine.Row, error) {
	visible := quarantine.Visible
	newest := b.ids[:min(len(b.ids), Most)]
	rows, err := d.opts.Kept.Find(ctx, &quarantine.Filter{IDs: newest, Rcpt: name, State: &visible, Limit: len(newest)})
	if err != nil {
		return nil, err
	}
	still := make([]gateway.ID, 0, len(b.ids))
	for i := range rows {
		still = append(still, rows[i].ID)
	}
	b.ids = append(still, b.ids[len(newest):]...)
	return rows, nil
}

func (d *Digest) mail(s *Settings, b *box, rows []quarantine.Row, now time.Time, links bool) *Mail {
	m := &Mail{Host: d.opts.Host, From: "postmaster@" + b.to.Domain, To: b.to.Text, Language: s.Language, Date: now, Zone: s.Zone, Rows: rows,
		More: len(b.ids) - len(rows), Until: now.Add(s.Valid)}
	switch {
	case s.Portal == "":
	case !links:
		m.Link = func(gateway.ID) string { return "(link)" }
	default:
		m.Link = func(id gateway.ID) string {
			return s.Portal + "/release/" + Make(d.opts.Key, &Token{ID: id, Rcpt: b.to.Text, Action: Release, Expires: m.Until})
		}
	}
	return m
}
