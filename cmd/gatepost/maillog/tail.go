package maillog

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// Bounds of those who follow.
const (
	maxFollowers = 64
	followRows   = 256              // that wait for one of them
	followBack   = 10 * time.Minute // how far back a view begins that was interrupted
	followOld    = 500              // rows that it is sent of that time
)

// Keeper is what keeps events: the message log, as the journal writes to it.
type Keeper interface {
	Write(*gateway.Event) bool
	Early(minute time.Time, network netip.Prefix, reason gateway.Reason, n int) bool
	Fate(*gateway.Fate) bool
}

// Tail hands events on to whoever follows them, while it gives them to the log. It waits for nobody: who does not keep up
// misses rows, and is told how many.
type Tail struct {
	Keeper
	some atomic.Int32 // followers
	mu   sync.Mutex
	all  map[*follower]struct{}
}

// follower is one who follows.
type follower struct {
	rows    chan api.LogRow
	skipped atomic.Int64
}

// NewTail stands before the log.
func NewTail(k Keeper) *Tail { return &Tail{Keeper: k, all: map[*follower]struct{}{}} }

// Write gives an event to the log, and shows it to those who follow.
func (t *Tail) Write(e *gateway.Event) bool {
	if t.some.Load() > 0 && e != nil && e.Record != nil && listed(e) {
		row := store.RowOf(e)
		shown := rowOf(&row)
		t.mu.Lock()
		for f := range t.all {
			select {
			case f.rows <- shown:
			default:
				f.skipped.Add(1)
			}
		}
		t.mu.Unlock()
	}
	return t.Keeper.Write(e)
}

// listed reports whether a search lists an event: a connection whose transactions are listed says nothing more.
func listed(e *gateway.Event) bool {
	return e.Kind == gateway.TransactionEvent || e.Session.Transactions == 0 || e.Outcome() >= gateway.Defer
}

// join adds a follower; nil when there are too many.
func (t *Tail) join() *follower {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) >= maxFollowers {
		return nil
	}
	f := &follower{rows: make(chan api.LogRow, followRows)}
	t.all[f] = struct{}{}
	t.some.Store(int32(len(t.all)))
	return f
}

func (t *Tail) leave(f *follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, f)
	t.some.Store(int32(len(t.all)))
}

// flusher is a log that can be waited for.
type flusher interface{ Flush(context.Context) error }

func (l *Log) follow(ctx context.Context, in *api.LogFollow, send control.Send) error {
	terms, err := readTerms(in.Query)
	if err != nil {
		return &control.Fault{Status: http.StatusBadRequest, Message: err.Error(), Field: "q"}
	}
	after, _ := gateway.ParseID(in.Last) // none: from now on
	me := l.Tail.join()
	if me == nil {
		return &control.Fault{Status: http.StatusServiceUnavailable, Message: "too many follow the log", Hint: "try again later"}
	}
	defer l.Tail.leave(me)
	actor, f := access.Of(ctx), &filter{LogSearch: &api.LogSearch{Verdict: in.Verdict}, terms: terms}
	show := func(row api.LogRow) error {
		if !bound(&actor, &row, f) || !f.matches(&row) || !row.Class.Picks(in.Verdict) {
			return nil
		}
		return send(row.ID.String(), "row", row)
	}
	seen := map[gateway.ID]bool{}
	if after != 0 {
		if seen, err = l.missed(ctx, after, show); err != nil {
			return err
		}
	}
	last := after
	for {
		select {
		case <-ctx.Done():
			return nil
		case row := <-me.rows:
			if n := me.skipped.Swap(0); n > 0 {
				if err := send(last.String(), "skipped", api.LogSkipped{Rows: int(n)}); err != nil {
					return err
				}
			}
			if last = row.ID; seen[row.ID] {
				continue
			}
			if err := show(row); err != nil {
				return err
			}
		}
	}
}

// missed shows what came while a view was interrupted, the oldest first, and returns what that was.
func (l *Log) missed(ctx context.Context, after gateway.ID, show func(api.LogRow) error) (map[gateway.ID]bool, error) {
	if k, ok := l.Tail.Keeper.(flusher); ok {
		wait, cancel := context.WithTimeout(ctx, searchTime)
		_ = k.Flush(wait) // a log that hangs has nothing to show
		cancel()
	}
	since := after.Time()
	if back := time.Now().Add(-followBack); since.Before(back) {
		since = back
	}
	search, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	actor := access.Of(ctx)
	res, err := l.Reader.Search(search, store.Query{Window: store.Window{Since: since}, Domains: actor.Domains, Limit: followOld})
	if err != nil {
		return nil, err
	}
	seen := map[gateway.ID]bool{}
	for i := len(res.Rows) - 1; i >= 0; i-- {
		if row := rowOf(&res.Rows[i]); row.ID > after {
			seen[row.ID] = true
			if err := show(row); err != nil {
				return nil, err
			}
		}
	}
	return seen, nil
}
