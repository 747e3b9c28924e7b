package redis

import (
	"context"
	_ "embed" // the script
	"time"
)

//go:embed mark.lua
var markSource string

// markTime is how long a mark holds that nobody asks for.
const markTime = 7 * 24 * time.Hour

// Mark tells one Redis from the next: one that lost what it kept has another. On a Cluster it is of one of its masters.
type Mark struct {
	ID  int64         // never 0
	Age time.Duration // how old it is
}

// Probe asks whether Redis does what mail needs of it, a script that writes, and for its mark.
func (c *Client) Probe(ctx context.Context) (Mark, error) {
	r := c.Row()
	r.probes = true
	var m Mark
	failed := errNotDone
	r.add(&call{
		script: c.mark, keys: []string{c.prefix + "e"}, args: []any{markTime.Milliseconds()}, want: 2, err: &failed,
		read: func(n []int64) bool {
			if n[0] < 1 || n[0] >= 1<<53 || n[1] < 0 || n[1] >= 1<<53 {
				return false
			}
			m = Mark{ID: n[0], Age: time.Duration(max(n[1]-n[0], 0)) * time.Microsecond}
			return true
		},
	})
	return m, r.Do(ctx)
}
