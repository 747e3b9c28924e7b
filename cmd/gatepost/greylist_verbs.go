package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/greylist"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// waiter is one pair on the waiting list.
type waiter struct {
	Key   string    `json:"key"`
	Since time.Time `json:"since"`
	Pass  time.Time `json:"pass"` // a try from then on passes
	End   time.Time `json:"end"`  // a try from then on is a first one again
	Named bool      `json:"named"`
	guestName
}

// waitingList is what gatepost greylist list shows.
type waitingList struct {
	Waiting []waiter `json:"waiting"` // those that came last first
	All     int      `json:"all"`     // how many wait, shown or not
	More    bool     `json:"more"`    // there are still more, which were not looked at
}

// greylistChange is what release and forget did.
type greylistChange struct {
	Changed int      `json:"changed"` // pairs that waited and pass now, or records that are forgotten
	Keys    []string `json:"keys"`    // that were asked for
}

// Bounds of what a person can ask.
const (
	waitersShown  = 100
	waitersAtMost = 10_000
	waitersLooked = 1 << 20
	namesFromLog  = 500             // transactions that are read for names
	namesTime     = 5 * time.Second // for that
)

// greylistList answers gatepost greylist list.
func (d *daemon) greylistList(ctx context.Context, r *http.Request) (any, error) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > waitersAtMost {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("limit is no number from 1 to %d", waitersAtMost)}
	}
	return d.waiting(ctx, limit)
}

// waiting lists who waits, with the names that are known of them.
func (d *daemon) waiting(ctx context.Context, limit int) (*waitingList, error) {
	out := &waitingList{Waiting: []waiter{}}
	var all []greylist.Waiting
	err := d.parts.shaper.Greylist().Waiting(ctx, d.now.Load().greylist, time.Time{}, func(w greylist.Waiting) bool {
		all = append(all, w)
		out.More = len(all) == waitersLooked
		return !out.More
	})
	if err != nil {
		return nil, &control.Fault{Status: http.StatusBadGateway, Message: err.Error()}
	}
	out.All = len(all)
	slices.SortFunc(all, func(a, b greylist.Waiting) int {
		return cmp.Or(b.Since.Compare(a.Since), strings.Compare(a.Key.String(), b.Key.String()))
	})
	all = all[:min(len(all), limit)]
	d.nameFromLog(ctx, all)
	for _, w := range all {
		line := waiter{Key: w.Key.String(), Since: w.Since, Pass: w.Pass, End: w.End}
		line.guestName, line.Named = d.guests.named(line.Key)
		out.Waiting = append(out.Waiting, line)
	}
	return out, nil
}

// nameFromLog reads who stands behind keys that the daemon has not seen since its start, of the transactions that were held
// last. What is not found stays without a name.
func (d *daemon) nameFromLog(ctx context.Context, list []greylist.Waiting) {
	ctx, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	since, missing := time.Now(), 0
	for _, w := range list {
		if _, ok := d.guests.named(w.Key.String()); !ok {
			missing++
			since = slices.MinFunc([]time.Time{since, w.Since}, time.Time.Compare)
		}
	}
	if missing == 0 {
		return
	}
	_ = d.store.Flush(ctx)
	reader := d.store.Reader()
	found, err := reader.Search(ctx, store.Query{Window: store.Window{Since: since.Add(-time.Hour)}, Reason: gateway.GreylistWait, Limit: namesFromLog})
	if err != nil {
		return
	}
	for i := range found.Rows {
		story, err := reader.Trace(ctx, found.Rows[i].ID)
		if ctx.Err() != nil {
			return
		}
		if err == nil && story.Event != nil {
			d.guests.note(story.Event)
		}
	}
}

// greylistRelease answers gatepost greylist release.
func (d *daemon) greylistRelease(ctx context.Context, r *http.Request) (any, error) {
	q := r.URL.Query()
	keys, err := d.greylistKeys(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &greylistChange{Keys: []string{}}
	for _, k := range keys {
		waited, err := d.parts.shaper.Greylist().Release(ctx, k, d.now.Load().greylist, time.Time{})
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadGateway, Message: err.Error()}
		}
		if waited {
			out.Changed++
			out.Keys = append(out.Keys, k.String())
		}
	}
	d.tellGreylist("release", q, out.Changed)
	return out, nil
}

// greylistForget answers gatepost greylist forget.
func (d *daemon) greylistForget(ctx context.Context, r *http.Request) (any, error) {
	q := r.URL.Query()
	out := &greylistChange{Keys: []string{}}
	grey := d.parts.shaper.Greylist()
	if text := q.Get("identity"); text != "" {
		tag, err := greylist.ParseTag(text)
		if err != nil { // it is in words
			tag = d.parts.keyer.Tag(greylist.Identity(strings.ToLower(text)))
		}
		if out.Changed, err = grey.ForgetIdentity(ctx, tag); err != nil {
			return nil, &control.Fault{Status: http.StatusBadGateway, Message: err.Error()}
		}
		out.Keys = append(out.Keys, tag.String())
		d.tellGreylist("forget", q, out.Changed)
		return out, nil
	}
	keys, err := d.greylistKeys(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		known, err := grey.Forget(ctx, k)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadGateway, Message: err.Error()}
		}
		if known {
			out.Changed++
			out.Keys = append(out.Keys, k.String())
		}
	}
	d.tellGreylist("forget", q, out.Changed)
	return out, nil
}

// greylistKeys reads which pairs are meant: by their key, or by their sender and recipient, as far as names are known.
func (d *daemon) greylistKeys(ctx context.Context, q url.Values) ([]greylist.Key, error) {
	key, from, to := q.Get("key"), q.Get("from"), q.Get("to")
	switch {
	case key != "":
		k, err := greylist.ParseKey(key)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error(), Hint: "gatepost greylist list shows the keys, and gatepost trace of a message that was held"}
		}
		return []greylist.Key{k}, nil
	case from == "" && to == "":
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "neither a key nor --from or --to"}
	}
	if _, err := d.waiting(ctx, waitersAtMost); err != nil { // for their names
		return nil, err
	}
	return d.guests.matching(from, to), nil
}

// tellGreylist tells the journal what a person did.
func (d *daemon) tellGreylist(what string, q url.Values, changed int) {
	attrs := []slog.Attr{slog.String("did", what), slog.Int("changed", changed)}
	for _, name := range [...]string{"key", "identity", "from", "to"} {
		if v := q.Get(name); v != "" {
			attrs = append(attrs, slog.String(name, gateway.CleanText(v, 320)))
		}
	}
	d.journal.Daemon(journal.Greylist, attrs...)
}
