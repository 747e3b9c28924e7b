package strangers

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/greylist"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// Desk answers what is asked of strangers.
type Desk struct {
	// Book knows who stands behind keys.
	Book *Book
	// Greylist is where pairs are remembered, and Settings are in force for them.
	Greylist func() greylist.Store
	Settings func() greylist.Settings
	// Keyer makes the tag of an identity that is given in words.
	Keyer func() *greylist.Keyer
	// Log is where names are looked for that Book does not know.
	Log func() *store.Log
	// Told tells the journal what a person did.
	Told func(...slog.Attr)
}

func listQuestion() control.Operation {
	return control.Look("greylist list", "/greylist", "List the strangers that greylisting holds, with the time at which each passes", access.SendersRead)
}

func releaseQuestion() control.Operation {
	return control.Do("greylist release", "/greylist/release", "Let strangers that wait pass from their next try on", access.SendersChange)
}

func forgetQuestion() control.Operation {
	return control.Do("greylist forget", "/greylist/forget", "Make strangers again of a pair, or of all of an organization or network", access.SendersChange)
}

// Operations are those of strangers.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(listQuestion(), d.list), control.Define(releaseQuestion(), d.release), control.Define(forgetQuestion(), d.forget)}
}

// Waiter is one pair on the waiting list.
type Waiter struct {
	Key   string    `json:"key"`
	Since time.Time `json:"since"`
	Pass  time.Time `json:"pass"` // a try from then on passes
	End   time.Time `json:"end"`  // a try from then on is a first one again
	Named bool      `json:"named"`
	Name
}

// List is what gatepost greylist list shows.
type List struct {
	Waiting []Waiter `json:"waiting"` // those that came last first
	All     int      `json:"all"`     // how many wait, shown or not
	More    bool     `json:"more"`    // there are still more, which were not looked at
}

// Changed is what release and forget did.
type Changed struct {
	Changed int      `json:"changed"` // pairs that waited and pass now, or records that are forgotten
	Keys    []string `json:"keys"`    // that were asked for
}

// Bounds of what a person can ask.
const (
	shown        = 100
	atMost       = 10_000
	looked       = 1 << 20
	namesFromLog = 500             // transactions that are read for names
	namesTime    = 5 * time.Second // for that
)

// list answers gatepost greylist list. Somebody of some domains sees who waits for those, as far as names are known.
func (d *Desk) list(ctx context.Context, in *api.GreylistAsk) (*List, error) {
	actor := access.Of(ctx)
	if actor.Everywhere() {
		return d.waiting(ctx, in.Limit)
	}
	out, err := d.waiting(ctx, atMost)
	if err != nil {
		return nil, err
	}
	out.Waiting = slices.DeleteFunc(out.Waiting, func(w Waiter) bool { return !w.Named || !actor.SeesAny(w.To) })
	out.All, out.More = len(out.Waiting), out.More || out.All > atMost
	out.Waiting = out.Waiting[:min(len(out.Waiting), in.Limit)]
	return out, nil
}

// waiting lists who waits, with the names that are known of them.
func (d *Desk) waiting(ctx context.Context, limit int) (*List, error) {
	out := &List{Waiting: []Waiter{}}
	var all []greylist.Waiting
	err := d.Greylist().Waiting(ctx, d.Settings(), time.Time{}, func(w greylist.Waiting) bool {
		all = append(all, w)
		out.More = len(all) == looked
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
		line := Waiter{Key: w.Key.String(), Since: w.Since, Pass: w.Pass, End: w.End}
		line.Name, line.Named = d.Book.named(line.Key)
		out.Waiting = append(out.Waiting, line)
	}
	return out, nil
}

// nameFromLog reads who stands behind keys that the daemon has not seen since its start, of the transactions that were held
// last. What is not found stays without a name.
func (d *Desk) nameFromLog(ctx context.Context, list []greylist.Waiting) {
	ctx, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	since, missing := time.Now(), 0
	for _, w := range list {
		if _, ok := d.Book.named(w.Key.String()); !ok {
			missing++
			since = slices.MinFunc([]time.Time{since, w.Since}, time.Time.Compare)
		}
	}
	if missing == 0 {
		return
	}
	_ = d.Log().Flush(ctx)
	reader := d.Log().Reader()
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
			d.Book.note(story.Event)
		}
	}
}

// release answers gatepost greylist release.
func (d *Desk) release(ctx context.Context, q *api.GreylistPick) (*Changed, error) {
	keys, err := d.keys(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &Changed{Keys: []string{}}
	for _, k := range keys {
		waited, err := d.Greylist().Release(ctx, k, d.Settings(), time.Time{})
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadGateway, Message: err.Error()}
		}
		if waited {
			out.Changed++
			out.Keys = append(out.Keys, k.String())
		}
	}
	d.tell(ctx, "release", &api.GreylistForget{GreylistPick: *q}, out.Changed)
	return out, nil
}

// forget answers gatepost greylist forget.
func (d *Desk) forget(ctx context.Context, q *api.GreylistForget) (*Changed, error) {
	out := &Changed{Keys: []string{}}
	grey := d.Greylist()
	if text := q.Identity; text != "" {
		tag, err := greylist.ParseTag(text)
		if err != nil { // it is in words
			tag = d.Keyer().Tag(greylist.Identity(strings.ToLower(text)))
		}
		if out.Changed, err = grey.ForgetIdentity(ctx, tag); err != nil {
			return nil, &control.Fault{Status: http.StatusBadGateway, Message: err.Error()}
		}
		out.Keys = append(out.Keys, tag.String())
		d.tell(ctx, "forget", q, out.Changed)
		return out, nil
	}
	keys, err := d.keys(ctx, &q.GreylistPick)
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
	d.tell(ctx, "forget", q, out.Changed)
	return out, nil
}

// keys reads which pairs are meant: by their key, or by their sender and recipient, as far as names are known.
func (d *Desk) keys(ctx context.Context, q *api.GreylistPick) ([]greylist.Key, error) {
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
	if _, err := d.waiting(ctx, atMost); err != nil { // for their names
		return nil, err
	}
	return d.Book.matching(from, to), nil
}

// tell tells the journal what a person did.
func (d *Desk) tell(ctx context.Context, what string, q *api.GreylistForget, changed int) {
	control.Changed(ctx, control.Change{Object: "greylist", After: map[string]any{"did": what, "changed": changed}})
	attrs := []slog.Attr{slog.String("did", what), slog.Int("changed", changed)}
	for _, x := range [...][2]string{{"key", q.Key}, {"identity", q.Identity}, {"from", q.From}, {"to", q.To}} {
		if x[1] != "" {
			attrs = append(attrs, slog.String(x[0], gateway.CleanText(x[1], 320)))
		}
	}
	d.Told(attrs...)
}
