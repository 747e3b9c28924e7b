package redis

import (
	"context"
	_ "embed" // the script
	"time"

	"gatepost/internal/reputation"
)

//go:embed reputation.lua
var reputationSource string

// Learned is what a Row's History came to, once the row is done.
type Learned struct {
	reputation.History
	Err error // nil: History is one
}

// History adds to the row what was seen of a subject; without a count it only asks. A zero now is the server's clock.
func (r *Row) History(l reputation.Lesson, now time.Time) *Learned {
	t := &Learned{Err: errNotDone}
	at := int64(0)
	if !now.IsZero() {
		at = reputation.Second(now)
	}
	args := append(make([]any, 0, 1+len(l.Counts)), at)
	for _, c := range l.Counts {
		args = append(args, c)
	}
	r.add(&call{
		script: r.c.history, want: len(t.Numbers()), err: &t.Err, keys: []string{r.c.historyKey(l.Subject)}, args: args,
		read: func(n []int64) (ok bool) {
			t.History, ok = reputation.Parsed(n)
			return ok
		},
	})
	return t
}

// historyKey is the key of a history: "h:", its kind and what stands for its name.
func (c *Client) historyKey(s reputation.Subject) string {
	b := make([]byte, 0, len(c.prefix)+24)
	b = append(b, c.prefix...)
	b = append(b, "h:"...)
	return string(c.hash.appendTo(append(b, 'a'+byte(s.Kind)), s.Name))
}

// Reputation is the histories in Redis.
type Reputation struct{ c *Client }

var _ reputation.Store = Reputation{}

// Reputation is the client as the Store of histories. Who is in it cannot be listed: names stand in it as HMACs.
func (c *Client) Reputation() Reputation { return Reputation{c} }

// Learn is as in reputation.Store, in one round trip.
func (s Reputation) Learn(ctx context.Context, lessons []reputation.Lesson, now time.Time) ([]reputation.History, error) {
	if err := reputation.Check(reputation.SubjectsOf(lessons)); err != nil {
		return nil, err
	}
	row := s.c.Row()
	learned := make([]*Learned, len(lessons))
	for i := range lessons {
		learned[i] = row.History(lessons[i], now)
	}
	if err := row.Do(ctx); err != nil {
		return nil, err
	}
	out := make([]reputation.History, len(lessons))
	for i := range learned {
		out[i] = learned[i].History
	}
	return out, nil
}

// Look is as in reputation.Store, in one round trip.
func (s Reputation) Look(ctx context.Context, subjects []reputation.Subject, now time.Time) ([]reputation.History, error) {
	lessons := make([]reputation.Lesson, len(subjects))
	for i := range subjects {
		lessons[i].Subject = subjects[i]
	}
	out, err := s.Learn(ctx, lessons, now)
	if now.IsZero() {
		now = time.Now()
	}
	for i := range out {
		if out[i].Over(now) {
			out[i] = reputation.History{}
		}
	}
	return out, err
}

// Forget is as in reputation.Store.
func (s Reputation) Forget(ctx context.Context, subject reputation.Subject) (bool, error) {
	if err := reputation.Check([]reputation.Subject{subject}); err != nil {
		return false, err
	}
	n, err := s.c.remove(ctx, s.c.historyKey(subject))
	return n > 0, err
}
