package maillog

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
)

// columns is how many pieces the time of a search is shown in.
const columns = 48

func (l *Log) search(ctx context.Context, in *api.LogSearch) (*api.LogPage, error) {
	f, err := readFilter(in, time.Now())
	if err != nil {
		return nil, err
	}
	actor := access.Of(ctx)
	f.query.Domains = actor.Domains
	out := &api.LogPage{Rows: []api.LogRow{}, Since: f.since, Until: f.until, Columns: spans(f.since, f.until, columns)}
	if f.plain() && in.Since.IsZero() && in.Until.IsZero() {
		return out, l.recent(ctx, &actor, f, out)
	}
	f.query.Limit = scanRows
	res, err := l.Reader.Search(ctx, f.query)
	if err != nil {
		return nil, asked(err)
	}
	out.Reached, out.Gaps, out.Complete = res.Reached, gaps(res.Gaps), !res.More && !res.Partial && f.before == 0
	var last gateway.ID
	more := false
	for i := range res.Rows {
		row := rowOf(&res.Rows[i])
		last = row.ID
		if !bound(&actor, &row, f) || !f.matches(&row) {
			continue
		}
		*out.Counts.Of(row.Class)++
		if at := spanOf(out.Columns, row.Time); at != nil {
			*at.Of(row.Class)++
		}
		switch {
		case !row.Class.Picks(in.Verdict):
		case len(out.Rows) == in.Limit:
			more = true
		default:
			out.Rows = append(out.Rows, row)
		}
	}
	switch {
	case more:
		out.Next = out.Rows[len(out.Rows)-1].ID.String()
	case res.Partial && res.Next != 0: // that may be of an event, or of none
		out.Next = res.Next.String()
	case (res.More || res.Partial) && last != 0:
		out.Next = last.String()
	}
	return out, nil
}

// recent answers a question for a class and a time only: the rows of a page are all that is read, and the counts are at hand. Where they
// are not yet, the rows are there before them.
func (l *Log) recent(ctx context.Context, actor *access.Actor, f *filter, out *api.LogPage) error {
	if err := l.newest(ctx, actor, f, out); err != nil {
		return err
	}
	tally, err := l.counts.of(ctx, actor.Domains, f.since, f.until, f.Hurry)
	if err != nil {
		return err
	}
	out.Counts, out.Complete, out.Counting, out.Reached = tally.total.LogCounts, tally.complete, tally.counting, tally.reached
	out.Gaps = append(tally.gaps, slices.DeleteFunc(out.Gaps, func(g string) bool { return slices.Contains(tally.gaps, g) })...)
	tally.into(out.Columns)
	return nil
}

// newest finds the rows of a page.
func (l *Log) newest(ctx context.Context, actor *access.Actor, f *filter, out *api.LogPage) error {
	for _, c := range api.Classes() {
		if c.Picks(f.Verdict) && f.Verdict != "" {
			f.query.Verdicts = append(f.query.Verdicts, c.Outcomes()...)
		}
	}
	f.query.Limit = f.Limit + 1
	for {
		res, err := l.Reader.Search(ctx, f.query)
		if err != nil {
			return asked(err)
		}
		out.Gaps = append(out.Gaps, slices.DeleteFunc(gaps(res.Gaps), func(g string) bool { return slices.Contains(out.Gaps, g) })...)
		for i := range res.Rows {
			row := rowOf(&res.Rows[i])
			f.query.Before = row.ID
			if !bound(actor, &row, f) || !row.Class.Picks(f.Verdict) {
				continue
			}
			if len(out.Rows) == f.Limit {
				out.Next = out.Rows[f.Limit-1].ID.String()
				return nil
			}
			out.Rows = append(out.Rows, row)
		}
		if res.Partial && res.Next != 0 {
			f.query.Before = res.Next
		}
		if res.Partial && f.query.Before != 0 {
			out.Next = f.query.Before.String()
		}
		if !res.More || res.Partial {
			return nil
		}
	}
}

// bound leaves of a row what an actor sees: false where that is nothing.
func bound(actor *access.Actor, row *api.LogRow, f *filter) bool {
	if actor.Everywhere() {
		return true
	}
	all := len(row.Rcpts)
	row.Rcpts = slices.DeleteFunc(slices.Clone(row.Rcpts), func(to string) bool { return !actor.SeesAny(to) })
	if len(row.Rcpts) < all {
		row.Reply = "" // it may name another's recipient
	}
	// The log looked at all recipients; whoever guesses one of another domain learns nothing by it.
	return len(row.Rcpts) > 0 && (f.query.To == "" || slices.ContainsFunc(row.Rcpts, func(to string) bool { return like(to, f.query.To) }))
}

// like is how the log itself looks for an address: a domain, a part, with * for anything.
func like(address, asked string) bool {
	asked = strings.ToLower(strings.TrimSpace(asked))
	asked = strings.TrimSuffix(strings.TrimPrefix(asked, "<"), ">")
	if strings.HasPrefix(asked, "@") || !strings.ContainsAny(asked, "@*") && strings.Contains(asked, ".") {
		return api.Domain(address) == strings.TrimSuffix(strings.TrimPrefix(asked, "@"), ".")
	}
	if strings.Contains(asked, "@") && !strings.Contains(asked, "*") {
		return address == asked
	}
	for _, part := range strings.Split(asked, "*") {
		i := strings.Index(address, part)
		if i < 0 {
			return false
		}
		address = address[i+len(part):]
	}
	return true
}

// spans cuts a time into pieces.
func spans(since, until time.Time, n int) []api.LogSpan {
	out := make([]api.LogSpan, n)
	step := until.Sub(since) / time.Duration(n)
	for i := range out {
		out[i].From = since.Add(time.Duration(i) * step)
		out[i].To = out[i].From.Add(step)
	}
	return out
}

// spanOf is the piece that a moment is in; nil for none.
func spanOf(all []api.LogSpan, t time.Time) *api.LogSpan {
	if len(all) == 0 || t.Before(all[0].From) {
		return nil
	}
	if i := int(t.Sub(all[0].From) / max(all[0].To.Sub(all[0].From), 1)); i < len(all) {
		return &all[i]
	}
	return nil
}
