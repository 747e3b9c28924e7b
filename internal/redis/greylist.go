package redis

import (
	"context"
	"time"

	"gatepost/greylist"
)

// Tried is what a Row's Try came to, once the row is done.
type Tried struct {
	greylist.Answer
	// Pair and Identity are since when a person made them forgotten, before the try; the zero time: nobody did. Whoever
	// remembers what is older forgets it too.
	Pair, Identity time.Time
	Err            error // nil: Answer is one
}

// Try adds a try of the greylist to the row, as Try of greylist.Store.
func (r *Row) Try(k greylist.Key, s greylist.Settings, now time.Time) *Tried {
	t := &Tried{Err: errNotDone}
	s = s.Filled()
	r.add(&call{
		script: r.c.grey, want: 5, err: &t.Err,
		keys: r.c.greyKeys(k),
		args: []any{millis(now), s.Delay.Milliseconds(), s.Window.Milliseconds(), s.Keep.Milliseconds(), s.Passes,
			s.Within.Milliseconds(), greylist.Apart.Milliseconds()},
		read: func(n []int64) bool {
			if n[0] < int64(greylist.First) || n[0] > int64(greylist.Exempt) ||
				n[1] < 0 || n[1] > s.Delay.Milliseconds() || n[2] < 0 || n[2] > s.Window.Milliseconds() ||
				n[3] < -1 || n[3] > mostAgo || n[4] < -1 || n[4] > mostAgo {
				return false
			}
			t.Answer = greylist.Answer{
				Outcome: greylist.Outcome(n[0]),
				Wait:    time.Duration(n[1]) * time.Millisecond,
				Waited:  time.Duration(n[2]) * time.Millisecond,
			}
			t.Pair, t.Identity = ago(now, n[3]), ago(now, n[4])
			return true
		},
	})
	return t
}

// A note that a person made somebody forgotten holds as long as any record.
const (
	forgetTime = 400 * 24 * time.Hour
	mostAgo    = 1 << 48 // ms
)

// ago is the time so many ms before now; the zero time for -1.
func ago(now time.Time, ms int64) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	if now.IsZero() {
		now = time.Now()
	}
	return now.Add(-time.Duration(min(ms, forgetTime.Milliseconds())) * time.Millisecond)
}

// greyKeys are all of a pair: its record, that of its identity, and when a person forgot each of them.
func (c *Client) greyKeys(k greylist.Key) []string {
	return []string{c.pairKey(k), c.identityKey(k.Tag), c.forgottenKey(c.pairKey(k)), c.forgottenKey(c.identityKey(k.Tag))}
}

// forgottenKey is the note of a record's key, in the same slot: "f" and what follows the prefix.
func (c *Client) forgottenKey(key string) string { return c.prefix + "f" + key[len(c.prefix):] }

// millis is a time for a script: 0, the server's clock, for the zero time.
func millis(now time.Time) int64 {
	if now.IsZero() {
		return 0
	}
	return greylist.Millis(now)
}

// pairKey is the key of a pair: "g:{TAG}PAIR", so that it lies in the slot of its identity.
func (c *Client) pairKey(k greylist.Key) string {
	text := k.String()
	return c.prefix + "g:{" + text[:greylist.TagText] + "}" + text[greylist.TagText:]
}

func (c *Client) identityKey(t greylist.Tag) string { return c.prefix + "a:{" + t.String() + "}" }

// parsePair reads what pairKey wrote.
func (c *Client) parsePair(key string) (greylist.Key, bool) {
	const tag, pair = greylist.TagText, greylist.KeyText - greylist.TagText
	head := len(c.prefix) + len("g:{")
	if len(key) != head+tag+1+pair || key[head+tag] != '}' {
		return greylist.Key{}, false
	}
	k, err := greylist.ParseKey(key[head:head+tag] + key[head+tag+1:])
	return k, err == nil
}

// Greylist is the greylist in Redis.
type Greylist struct{ c *Client }

var _ greylist.Store = Greylist{}

// Greylist is the client as the greylist's Store. A person's questions walk over all keys, page by page, each of them a
// call of its own; tries of mail do not wait for them.
func (c *Client) Greylist() Greylist { return Greylist{c} }

// Try is as in greylist.Store.
func (g Greylist) Try(ctx context.Context, k greylist.Key, s greylist.Settings, now time.Time) (greylist.Answer, error) {
	r := g.c.Row()
	t := r.Try(k, s, now)
	err := r.Do(ctx)
	return t.Answer, err
}

// Release is as in greylist.Store.
func (g Greylist) Release(ctx context.Context, k greylist.Key, s greylist.Settings, now time.Time) (bool, error) {
	r := g.c.Row()
	s = s.Filled()
	var waited bool
	failed := errNotDone
	r.add(&call{
		script: g.c.release, keys: []string{g.c.pairKey(k)}, want: 1, err: &failed,
		args: []any{millis(now), s.Window.Milliseconds(), s.Keep.Milliseconds()},
		read: func(n []int64) bool { waited = n[0] == 1; return true },
	})
	err := r.Do(ctx)
	return waited, err
}

// Forget is as in greylist.Store.
func (g Greylist) Forget(ctx context.Context, k greylist.Key) (bool, error) {
	n, err := g.c.forget(ctx, g.c.pairKey(k))
	return n > 0, err
}

// forget forgets a record, and notes when.
func (c *Client) forget(ctx context.Context, key string) (known int, err error) {
	r := c.Row()
	failed := errNotDone
	r.add(&call{
		script: c.forgets, keys: []string{key, c.forgottenKey(key)}, args: []any{forgetTime.Milliseconds()}, want: 1, err: &failed,
		read: func(n []int64) bool { known = int(n[0]); return n[0] == 0 || n[0] == 1 },
	})
	return known, r.Do(ctx)
}

// ForgetIdentity is as in greylist.Store.
func (g Greylist) ForgetIdentity(ctx context.Context, id greylist.Tag) (int, error) {
	total, err := g.c.forget(ctx, g.c.identityKey(id))
	if err != nil {
		return total, err
	}
	err = g.c.walk(ctx, g.c.prefix+"g:{"+id.String()+"}*", func(page []string, _ getter) (bool, error) {
		n, err := g.c.remove(ctx, page...)
		total += n
		return true, err
	})
	return total, err
}

// Waiting is as in greylist.Store. It remembers which pairs it told of, 16 octets each and a map's room.
func (g Greylist) Waiting(ctx context.Context, s greylist.Settings, now time.Time, yield func(greylist.Waiting) bool) error {
	if now.IsZero() {
		err := g.c.do(ctx, func(ctx context.Context) (err error) {
			now, err = g.c.r.Time(ctx).Result()
			return err
		})
		if err != nil {
			return err
		}
	}
	told := make(map[greylist.Key]struct{})
	return g.c.walk(ctx, g.c.prefix+"g:{*", func(page []string, get getter) (bool, error) {
		records, err := get(ctx, page)
		if err != nil {
			return false, err
		}
		for i, record := range records {
			k, ok := g.c.parsePair(page[i])
			if _, again := told[k]; !ok || again {
				continue // SCAN may name a key twice
			}
			if w, waits := greylist.WaitingOf(k, greylist.Record(record), s, now); waits {
				told[k] = struct{}{}
				if !yield(w) {
					return false, nil
				}
			}
		}
		return true, nil
	})
}
