package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/spool"
	"gatepost/internal/control"
)

// Bounds of what a person can ask of the spool.
const (
	queueShown  = 100
	queueAtMost = 100_000 // in a list
	queueAtOnce = 500     // changed by one question
	rawAtMost   = 32 << 20
)

// queueList is what gatepost queue list shows.
type queueList struct {
	Messages []spool.Listed  `json:"messages"` // the oldest first
	More     bool            `json:"more"`     // there are more that the filter picks
	Totals   spool.Totals    `json:"totals"`
	Damaged  []spool.Damaged `json:"damaged,omitempty"` // where they were asked for
}

// queueDo is what a person wants done.
type queueDo struct {
	Verb   spool.Verb   `json:"verb"`
	IDs    []gateway.ID `json:"ids"`
	Query  string       `json:"query"` // the filter by which they were found: what it no longer picks is left alone
	Route  string       `json:"route,omitempty"`
	By     string       `json:"by"`
	DryRun bool         `json:"dry_run,omitempty"`
}

// queueDone is what became of one message.
type queueDone struct {
	spool.Listed
	Error string `json:"error,omitempty"`
}

// queueFilter reads a filter of a query, as queueFlags writes it.
func queueFilter(q url.Values) (*spool.Filter, error) {
	f := &spool.Filter{Route: q.Get("route"), State: q.Get("state"), From: q.Get("from"), To: q.Get("to"), Said: q.Get("said")}
	for _, text := range q["id"] {
		id, err := gateway.ParseID(text)
		if err != nil {
			return nil, err
		}
		f.IDs = append(f.IDs, id)
	}
	if text := q.Get("before"); text != "" {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, err
		}
		f.Before = at
	}
	if f.State != "" {
		var s spool.State
		if err := s.UnmarshalText([]byte(f.State)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// theQueue is the spool, where there is one.
func (d *daemon) theQueue() (*spool.Queue, error) {
	if d.queue == nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the spool could not be opened: " + d.spoolError}
	}
	return d.queue, nil
}

// queueListVerb answers gatepost queue list.
func (d *daemon) queueListVerb(_ context.Context, r *http.Request) (any, error) {
	q, err := d.theQueue()
	if err != nil {
		return nil, err
	}
	return listQueue(q, r.URL.Query())
}

// listQueue lists what a query picks.
func listQueue(q *spool.Queue, v url.Values) (*queueList, error) {
	limit, err := strconv.Atoi(v.Get("limit"))
	f, bad := queueFilter(v)
	if err != nil || limit < 1 || limit > queueAtMost || bad != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: errors.Join(err, bad, errors.New("limit is a number from 1 to "+strconv.Itoa(queueAtMost))).Error()}
	}
	f.Limit = limit + 1
	out := &queueList{Totals: q.Totals()}
	if out.Messages, err = q.List(f); err != nil {
		return nil, err
	}
	if len(out.Messages) > limit {
		out.Messages, out.More = out.Messages[:limit], true
	}
	if v.Get("damaged") != "" {
		out.Damaged, err = q.Damaged()
	}
	return out, err
}

// queueShowVerb answers gatepost queue show.
func (d *daemon) queueShowVerb(_ context.Context, r *http.Request) (any, error) {
	q, err := d.theQueue()
	if err != nil {
		return nil, err
	}
	id, err := gateway.ParseID(r.URL.Query().Get("id"))
	if err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error()}
	}
	if r.URL.Query().Get("raw") != "" {
		return rawMessage(q, id)
	}
	s, err := q.Show(id)
	return s, notInQueue(id, err)
}

// rawMessage reads a message as it goes out.
func rawMessage(q *spool.Queue, id gateway.ID) ([]byte, error) {
	m, err := q.Open(id)
	if err != nil {
		return nil, notInQueue(id, err)
	}
	defer m.Close()
	text, err := io.ReadAll(io.LimitReader(m, rawAtMost+1))
	if err == nil && len(text) > rawAtMost {
		err = &control.Fault{Status: http.StatusRequestEntityTooLarge, Message: "the message is too large for this socket", Hint: "gatepost queue show names its file"}
	}
	return text, err
}

// notInQueue words that a message is not there.
func notInQueue(id gateway.ID, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &control.Fault{Status: http.StatusNotFound, Message: id.String() + " is not in the spool", Hint: "gatepost trace " + id.String() + " tells what became of it"}
	}
	return err
}

// queueDoVerb answers what changes messages.
func (d *daemon) queueDoVerb(ctx context.Context, r *http.Request) (any, error) {
	q, err := d.theQueue()
	if err != nil {
		return nil, err
	}
	var a queueDo
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error()}
	}
	v, err := url.ParseQuery(a.Query)
	var f *spool.Filter
	if err == nil {
		f, err = queueFilter(v)
	}
	if err != nil || len(a.IDs) == 0 || len(a.IDs) > queueAtOnce {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "the messages are not named, or too many at once"}
	}
	f.IDs = a.IDs
	out := []queueDone{}
	err = q.Do(ctx, f, spool.Action{Verb: a.Verb, Route: a.Route, Why: gateway.CleanText(a.By, 64), DryRun: a.DryRun}, func(l *spool.Listed, err error) error {
		done := queueDone{Listed: *l}
		if err != nil {
			done.Error = gateway.CleanText(err.Error(), 300)
		}
		out = append(out, done)
		return nil
	})
	if err != nil && len(out) == 0 {
		return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error()}
	}
	return out, nil
}

// queueClearVerb answers gatepost queue clear-latch.
func (d *daemon) queueClearVerb(_ context.Context, r *http.Request) (any, error) {
	q, err := d.theQueue()
	if err != nil {
		return nil, err
	}
	before := q.Totals().Latched
	if before == "" {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the spool is not shut", Hint: "nothing was changed"}
	}
	if err := q.Unlatch(); err != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the disk still fails: " + err.Error(), Hint: "the spool stays shut, and mail is deferred while its route is down"}
	}
	d.journal.Daemon(journal.SpoolOperator, slog.String("did", "cleared"), slog.String("by", gateway.CleanText(r.URL.Query().Get("by"), 64)))
	return map[string]string{"was": before}, nil
}
