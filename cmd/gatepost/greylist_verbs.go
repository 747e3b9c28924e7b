package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/greylist"
	"gatepost/internal/access"
	"gatepost/internal/api"
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

// greylistList answers gatepost greylist list. Somebody of some domains sees who waits for those, as far as names are known.
func (d *daemon) greylistList(ctx context.Context, in *api.GreylistAsk) (*waitingList, error) {
	actor := access.Of(ctx)
	if actor.Everywhere() {
		return d.waiting(ctx, in.Limit)
	}
	out, err := d.waiting(ctx, waitersAtMost)
	if err != nil {
		return nil, err
	}
	out.Waiting = slices.DeleteFunc(out.Waiting, func(w waiter) bool { return !w.Named || !actor.SeesAny(w.To) })
	out.All, out.More = len(out.Waiting), out.More || out.All > waitersAtMost
	out.Waiting = out.Waiting[:min(len(out.Waiting), in.Limit)]
	return out, nil
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
func (d *daemon) greylistRelease(ctx context.Context, q *api.GreylistPick) (*greylistChange, error) {
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
	d.tellGreylist(ctx, "release", &api.GreylistForget{GreylistPick: *q}, out.Changed)
	return out, nil
}

// greylistForget answers gatepost greylist forget.
func (d *daemon) greylistForget(ctx context.Context, q *api.GreylistForget) (*greylistChange, error) {
	out := &greylistChange{Keys: []string{}}
	grey := d.parts.shaper.Greylist()
	if text := q.Identity; text != "" {
		tag, err := greylist.ParseTag(text)
		if err != nil { // it is in words
			tag = d.parts.keyer.Tag(greylist.Identity(strings.ToLower(text)))
		}
		if out.Changed, err = grey.ForgetIdentity(ctx, tag); err != nil {
			return nil, &control.Fault{Status: http.StatusBadGateway, Message: err.Error()}
		}
		out.Keys = append(out.Keys, tag.String())
		d.tellGreylist(ctx, "forget", q, out.Changed)
		return out, nil
	}
	keys, err := d.greylistKeys(ctx, &q.GreylistPick)
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
	d.tellGreylist(ctx, "forget", q, out.Changed)
	return out, nil
}

// greylistKeys reads which pairs are meant: by their key, or by their sender and recipient, as far as names are known.
func (d *daemon) greylistKeys(ctx context.Context, q *api.GreylistPick) ([]greylist.Key, error) {
	key, from, to := q.Key, q.From, q.To
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
func (d *daemon) tellGreylist(ctx context.Context, what string, q *api.GreylistForget, changed int) {
	control.Changed(ctx, control.Change{Object: "greylist", After: map[string]any{"did": what, "changed": changed}})
	attrs := []slog.Attr{slog.String("did", what), slog.Int("changed", changed)}
	for _, x := range [...][2]string{{"key", q.Key}, {"identity", q.Identity}, {"from", q.From}, {"to", q.To}} {
		if x[1] != "" {
			attrs = append(attrs, slog.String(x[0], gateway.CleanText(x[1], 320)))
		}
	}
	d.journal.Daemon(journal.Greylist, attrs...)
}
