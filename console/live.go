package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/control"
)

// How a live view asks, and how much it sends at once. The log is written in batches, so that nothing is seen sooner.
const (
	liveEvery = time.Second
	liveBeat  = 15 * time.Second
	liveWrite = 10 * time.Second
	liveRows  = 100
	liveBack  = 10 * time.Minute // how far back a view begins that was interrupted
)

// follow gives each row to send that comes into the log after an id, the oldest first, until ctx is done or send fails. skipped says
// how many there were more than fit. A row may come late, since long transactions are written at their end: what is new is known by
// its id among those of the last minutes.
func follow(ctx context.Context, log Log, actor *access.Actor, f *filter, after gateway.ID, send func(rows []Row, skipped int) error) error {
	seen := map[gateway.ID]bool{}
	first := after == 0
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		f.since, f.until = now.Add(-liveBack), now.Add(time.Minute)
		f.Before = 0
		found, err := find(ctx, log, actor, f, liveRows)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			var fresh []Row
			kept := map[gateway.ID]bool{}
			for _, r := range found.Rows {
				kept[r.ID] = true
				if !seen[r.ID] && !first && (len(seen) > 0 || r.ID > after) {
					fresh = append(fresh, r)
				}
			}
			seen, first = kept, false
			if len(seen) == 0 {
				seen[after] = true // so that the next row counts as new
			}
			slices.Reverse(fresh)
			skipped := 0
			if len(fresh) >= liveRows {
				skipped = found.Total() - len(fresh)
			}
			if err := send(fresh, max(skipped, 0)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// liveLog sends rows of the table to a page, as server-sent events. It ends with the session.
func (c *Console) liveLog(w http.ResponseWriter, r *http.Request) {
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f, err := readFilter(r.URL.Query(), time.Now())
	if err != nil {
		w.WriteHeader(http.StatusNoContent) // which ends an EventSource for good
		return
	}
	after, _ := gateway.ParseID(r.Header.Get("Last-Event-ID")) // none: from now on
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	write := func(format string, args ...any) error {
		_ = out.SetWriteDeadline(time.Now().Add(liveWrite))      // where it cannot be set, the server's own bounds hold
		defer func() { _ = out.SetWriteDeadline(time.Time{}) }() // HTTP/2 resets a stream when its time is over, be it idle
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return out.Flush()
	}
	_ = out.SetReadDeadline(time.Time{}) // HTTP/1.1 ends the context of the request when that is over
	if write(": begin\n\n") != nil {
		return
	}
	actor, ticks, beat := access.Of(r.Context()), c.ticks(), time.Now()
	err = follow(r.Context(), c.Log, &actor, f, after, func(rows []Row, skipped int) error {
		if time.Since(beat) > liveBeat {
			if _, _, err := c.who(r); err != nil {
				return err
			}
			beat = time.Now()
			if err := write(":\n\n"); err != nil {
				return err
			}
		}
		if skipped > 0 {
			if err := write("event: skipped\ndata: %d\n\n", skipped); err != nil {
				return err
			}
		}
		for i := range rows {
			text, err := c.rowText(&rows[i], ticks)
			if err != nil {
				return err
			}
			if err := write("id: %s\nevent: row\ndata: %s\n\n", rows[i].ID, text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrLogin) && r.Context().Err() == nil && c.Logger != nil {
		c.Logger.Debug("console: a live view ended", "error", err)
	}
}

// rowText is a row of the table, as a string of JSON: in one line.
func (c *Console) rowText(r *Row, t thresholds) ([]byte, error) {
	var b bytes.Buffer
	if err := c.templates["log"].ExecuteTemplate(&b, "tablerow", rowView{r, t}); err != nil {
		return nil, err
	}
	return json.Marshal(b.String())
}

// rowView is what the template of a row gets.
type rowView struct {
	*Row
	Ticks thresholds
}

// Views are the rows of the table.
func (v *logView) Views() []rowView {
	out := make([]rowView, len(v.Found.Rows))
	for i := range out {
		out[i] = rowView{&v.Found.Rows[i], v.Ticks}
	}
	return out
}

// logIn is what the operation takes that searches.
type logIn struct {
	Query   string `json:"q" doc:"Words and fields as in the console's query box: from: to: ip: subject: check: score:>8 id: verdict: helo:, each with - before it to exclude"`
	Verdict string `json:"verdict" enum:"stopped|accepted|deferred|quarantined|rejected" doc:"Only what became this; stopped is all but accepted"`
	Range   string `json:"range" enum:"1h|24h|7d|30d" default:"24h" doc:"How far back"`
	Cursor  string `json:"cursor" doc:"Where to go on: next of the page before"`
	Limit   int    `json:"limit" min:"1" max:"500" default:"50" doc:"How many rows"`
}

// filter makes the filter of the page of it.
func (in *logIn) filter() (*filter, error) {
	return readFilter(map[string][]string{"q": {in.Query}, "verdict": {in.Verdict}, "range": {in.Range}, "before": {in.Cursor}}, time.Now())
}

// logOut is a page of rows.
type logOut struct {
	Rows     []Row          `json:"rows"`
	Next     string         `json:"next,omitempty"`
	Counts   map[string]int `json:"counts"`           // of what was read
	Complete bool           `json:"complete"`         // whether all of the time was read
	Reached  time.Time      `json:"reached,omitzero"` // how far back it came
	Gaps     []string       `json:"gaps,omitempty"`
}

// storyOut is all that is known of a reference.
type storyOut struct {
	Why     string               `json:"why"`
	Row     Row                  `json:"row"`
	Record  *gateway.Record      `json:"record"`
	Verdict gateway.Verdict      `json:"verdict"`
	Proof   [][]gateway.Evidence `json:"evidence,omitempty"` // of the findings, in their order
	Reply   string               `json:"reply,omitempty"`
	Relayed *gateway.Relayed     `json:"relayed,omitempty"`
	Fates   []gateway.Fate       `json:"fates,omitempty"`
	Session gateway.Summary      `json:"session"`
	Policy  string               `json:"policy"`
	Took    time.Duration        `json:"took"`
	Changed []string             `json:"edits,omitempty"`
}

// Operations are those of the message log.
func (c *Console) Operations() []control.Operation {
	return []control.Operation{
		control.Define(control.Operation{Name: "log search", Method: http.MethodGet, Path: "/log", Doc: "Search the message log", Right: access.LogRead}, c.searchOperation),
		control.Define(control.Operation{Name: "trace", Method: http.MethodGet, Path: "/log/{id}", Doc: "Tell all that is known of a message", Right: access.LogRead}, c.storyOperation),
		control.DefineStream(control.Operation{Name: "log live", Method: http.MethodGet, Path: "/log/live", Doc: "Follow the message log", Right: access.LogRead}, c.liveOperation),
	}
}

func (c *Console) searchOperation(ctx context.Context, in *logIn) (*logOut, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	actor := access.Of(ctx)
	found, err := find(ctx, c.Log, &actor, f, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &logOut{Rows: found.Rows, Complete: found.Complete, Reached: found.Reached, Gaps: found.Gaps, Counts: map[string]int{}}
	if out.Rows == nil {
		out.Rows = []Row{}
	}
	for k := classAccepted; k <= classRejected; k++ {
		out.Counts[k.Class()] = found.Counts[k]
	}
	if found.Next != 0 {
		out.Next = found.Next.String()
	}
	return out, nil
}

func (c *Console) storyOperation(ctx context.Context, in *struct {
	ID string `path:"id" json:"-" doc:"The reference, as in the refusal or the log"`
}) (*storyOut, error) {
	id, err := gateway.ParseID(in.ID)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error(), Field: "id"}
	}
	actor := access.Of(ctx)
	m, err := c.message(ctx, &actor, id)
	if errors.Is(err, ErrNotFound) {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: "nothing is known of " + id.String(), Hint: "the log may not reach back so far, or it is of a domain that you do not see"}
	}
	if err != nil {
		return nil, err
	}
	e := m.Event
	return &storyOut{Why: m.Why, Row: m.Row, Record: e.Record, Verdict: e.Verdict, Proof: e.Evidence, Reply: m.Reply, Relayed: e.Relayed, Fates: m.Fates,
		Session: e.Session, Policy: e.Policy, Took: e.Took, Changed: e.Edits}, nil
}

func (c *Console) liveOperation(ctx context.Context, in *struct {
	Query string `json:"q" doc:"As of log search"`
	Last  string `header:"Last-Event-ID" json:"-" doc:"The id of the last event that was seen"`
}, send control.Send) error {
	f, err := (&logIn{Query: in.Query}).filter()
	if err != nil {
		return err
	}
	after, _ := gateway.ParseID(in.Last) // none: from now on
	actor := access.Of(ctx)
	return follow(ctx, c.Log, &actor, f, after, func(rows []Row, _ int) error {
		for i := range rows {
			if err := send(rows[i].ID.String(), "row", rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
}
