package redis

import (
	_ "embed" // the script
	"time"

	"gatepost/greylist"
)

//go:embed teach.lua
var teachSource string

// Told is what came of a Row's Teach, once the row is done.
type Told struct {
	Changed int   // of the pair and its identity: how many were not known so
	Err     error // nil: Changed is true
}

// Teach adds to the row what a node remembers of a pair and its identity. Where Redis knows less, or knows of a later begin,
// it takes it over: after it lost what it kept, or was away. What is over by the settings is not told. A zero now is the
// server's clock; what it tells is how long ago something was, so that the clocks of nodes need not agree.
func (r *Row) Teach(k greylist.Key, record greylist.Record, p greylist.Passes, s greylist.Settings, now time.Time) *Told {
	t := &Told{Err: errNotDone}
	own := now
	if own.IsZero() {
		own = time.Now()
	}
	args := append(make([]any, 0, 8), millis(now))
	late := r.c.timeout // what the way there takes at most; nobody waits for it
	args = append(args, told(int64(record), own.Add(late), record.Time(), record.End(s))...)
	args = append(args, told(int64(p), own.Add(late), p.Time(), p.End(s))...)
	r.add(&call{
		script: r.c.teach, want: 1, err: &t.Err, keys: r.c.greyKeys(k), args: append(args, p.Count()),
		read: func(n []int64) bool {
			if n[0] < 0 || n[0] > 2 {
				return false
			}
			t.Changed = int(n[0])
			return true
		},
	})
	return t
}

// told is what a number says, as the script wants it: whether it waits or passed, how long ago, and for how long it holds on.
func told(value int64, now, since, end time.Time) []any {
	left := end.Sub(now).Milliseconds()
	if value == 0 || left <= 0 {
		return []any{0, 0, 0}
	}
	how := 1
	if value < 0 {
		how = -1
	}
	return []any{how, max(now.Sub(since).Milliseconds(), 0), left}
}
