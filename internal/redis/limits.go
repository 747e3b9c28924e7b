package redis

import (
	"context"
	"slices"
	"time"

	"gatepost/internal/limit"
)

// Taken is what a Row's Take came to, once the row is done.
type Taken struct {
	limit.Answer
	Err error // nil: Answer is one
}

// Take adds a Take of limits to the row, as Take of limit.Store. It sets Ahead of the charges when the row is done.
func (r *Row) Take(charges []limit.Charge) *Taken {
	t := &Taken{Answer: limit.Answer{Denied: -1}, Err: errNotDone}
	a := &call{script: r.c.gcra, want: 3 + len(charges), err: &t.Err}
	if err := limit.Check(charges); err != nil {
		t.Err = err
	} else {
		a.keys = make([]string, len(charges))
		a.args = make([]any, 0, 4*len(charges))
	}
	for i := range a.keys {
		c := &charges[i]
		a.keys[i] = r.c.limitKey(c.Key)
		how := 0
		if c.Observed {
			how++
		}
		if c.Asked {
			how += 2
		}
		a.args = append(a.args, c.Rate.Interval, c.Rate.Burst, c.Cost, how)
	}
	a.read = func(n []int64) bool {
		if n[0] < -1 || n[0] >= int64(len(charges)) || n[2] < 0 || n[2] >= 1<<len(charges) ||
			slices.ContainsFunc(append(n[3:], n[1]), func(us int64) bool { return us < 0 || us > limit.MostFull.Microseconds() }) {
			return false
		}
		t.Answer = limit.Answer{Denied: int(n[0]), Wait: time.Duration(n[1]) * time.Microsecond, Over: uint32(n[2])}
		for i := range charges {
			charges[i].Ahead = time.Duration(n[3+i]) * time.Microsecond
		}
		return true
	}
	r.add(a)
	return t
}

// limitKey is the key of a limit: "r:{l}" and what it is of. All lie in one slot: what is counted together, all or
// nothing, has to.
func (c *Client) limitKey(k limit.Key) string {
	b := make([]byte, 0, len(c.prefix)+32)
	b = append(b, c.prefix...)
	b = append(b, "r:{l}"...)
	b = append(b, 'a'+byte(k.Dimension), 'a'+byte(k.Unit), 'a'+byte(k.Reputation))
	return string(c.hash.appendTo(b, k.Subject))
}

// Limits is the limits' counters in Redis.
type Limits struct{ c *Client }

var _ limit.Store = Limits{}

// Limits is the client as the limits' Store.
func (c *Client) Limits() Limits { return Limits{c} }

// Take is as in limit.Store.
func (l Limits) Take(ctx context.Context, charges []limit.Charge) (limit.Answer, error) {
	r := l.c.Row()
	t := r.Take(charges)
	err := r.Do(ctx)
	return t.Answer, err
}
