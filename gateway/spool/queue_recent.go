package spool

import (
	"slices"

	"gatepost/gateway"
)

// Recent tells of the messages that came last, at most n of them: to whom they go, and what is to be known of them. One that
// cannot be read is left out.
func (q *Queue) Recent(n int, tell func(c gateway.Custody, to []gateway.Address)) {
	all := q.picked(&Filter{})
	slices.SortFunc(all, func(a, b *entry) int { return int(min(max(b.since-a.since, -1), 1)) })
	for _, e := range all[:min(n, len(all))] {
		m, err := openMessage(q.name(e.id, ".msg"), e.id)
		if err != nil {
			continue
		}
		to := make([]gateway.Address, len(m.Rcpts))
		for i := range m.Rcpts {
			to[i] = gateway.Address(m.Rcpts[i].Address)
		}
		_ = m.file.Close()
		tell(m.Custody, to)
	}
}
