package admin

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gatepost/internal/hits"
	"gatepost/internal/ownlist"
)

// TestListHits: what nodes count of an entry is added up, over a restart too; an entry that goes, and comes back, begins anew; those
// of own lists go with their entry; and what is old goes.
func TestListHits(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx, now := context.Background(), time.Now().UTC().Truncate(time.Microsecond)
		today := hits.Day(now)
		network := hits.Entry{List: "access.client", Kind: hits.Block, Value: "192.0.2.0/24"}
		author := hits.Entry{List: "access.author", Kind: hits.Allow, Value: "a'?$1@x.example"}
		gone := hits.Entry{List: "access.client", Kind: hits.Allow, Value: "192.0.2.0/24"}
		own := hits.Entry{List: "access.own", Kind: hits.Block, Rcpt: "bob@one.example", Value: "@eve.example"}
		hit := func(e hits.Entry, day, n int64, last time.Time) hits.Hit {
			return hits.Hit{Entry: e, Day: day, N: n, Last: last}
		}
		one, two := db.ListHits(), again().ListHits()
		began := now.Add(-time.Hour)
		must(t, one.Note(ctx, "mx1", []hits.Entry{network, author, network}, began))
		must(t, two.Note(ctx, "mx2", []hits.Entry{network}, now))
		must(t, db.OwnLists().Put(ctx, ownlist.Entry{Rcpt: own.Rcpt, Kind: ownlist.Block, Sender: own.Value, Time: now}))
		must(t, one.Add(ctx, "mx1", []hits.Hit{hit(network, today, 2, now), hit(network, today-40, 100, now.AddDate(0, 0, -40)), hit(gone, today, 1, now), hit(own, today, 3, now),
			hit(hits.Entry{List: "access.own", Kind: hits.Allow, Rcpt: own.Rcpt, Value: own.Value}, today, 1, now)}))
		must(t, two.Add(ctx, "mx2", []hits.Hit{hit(network, today, 5, now.Add(time.Second)), hit(network, today, 1, now), hit(author, today, 9, now)}))
		counts := func(s ListHits, rcpts ...string) string {
			t.Helper()
			all, err := s.Counts(ctx, today-hits.Window+1, rcpts)
			must(t, err)
			out := map[string]string{}
			for _, c := range all {
				out[c.Kind+" "+c.Value] = fmt.Sprintf("%d since %s last %s", c.N, c.Since.Sub(began), c.Last.Sub(now))
				if c.Last.IsZero() {
					out[c.Kind+" "+c.Value] = fmt.Sprintf("%d, never", c.N)
				}
			}
			return fmt.Sprint(out)
		}
		if got := counts(two); got != "map[allow a'?$1@x.example:0, never block 192.0.2.0/24:8 since 0s last 1s]" {
			t.Error(got)
		}
		if got := counts(one, "ann@one.example", own.Rcpt); got != "map[block @eve.example:3 since 1h0m0s last 0s]" {
			t.Error(got)
		}
		must(t, db.OwnLists().Remove(ctx, own.Rcpt, ownlist.Block, own.Value))
		must(t, db.OwnLists().Put(ctx, ownlist.Entry{Rcpt: own.Rcpt, Kind: ownlist.Block, Sender: own.Value, Time: now}))
		if got := counts(one, own.Rcpt); got != "map[]" {
			t.Errorf("of an entry that was taken out and put in again: %s", got)
		}
		must(t, one.Note(ctx, "mx1", []hits.Entry{author}, now))
		must(t, one.Note(ctx, "mx1", []hits.Entry{author, network}, now))
		if got := counts(one); got != "map[allow a'?$1@x.example:0, never block 192.0.2.0/24:6 since 1h0m0s last 1s]" {
			t.Errorf("of an entry that was gone at one of two nodes: %s", got)
		}
		must(t, two.Prune(ctx, today+1, now.Add(-time.Minute)))
		if got := counts(one); got != "map[allow a'?$1@x.example:0, never block 192.0.2.0/24:0 since 1h0m0s last 1s]" {
			t.Errorf("after the days are over: %s", got)
		}
		must(t, two.Prune(ctx, today+1, now.Add(time.Minute)))
		if got := counts(one); got != "map[]" {
			t.Errorf("after both nodes were silent: %s", got)
		}
	})
}
