package spool

import (
	"context"
	"slices"
	"time"

	"gatepost/gateway"
)

// Recent tells of the messages that came last and not before since, at most n of them: to whom they go, and what is to be
// known of them. Each is proved: one that cannot be read, or is not what was written, is left out.
func (q *Queue) Recent(n int, since time.Time, tell func(c gateway.Custody, to []gateway.Address)) {
	all := q.picked(&Filter{})
	slices.SortFunc(all, func(a, b *entry) int { return int(min(max(b.since-a.since, -1), 1)) })
	for _, e := range all[:min(n, len(all))] {
		m, err := openMessage(q.name(e.id, ".msg"), e.id)
		if err != nil {
			continue
		}
		if m.Custody.Arrived.Before(since) {
			_ = m.file.Close()
			continue
		}
		buf := q.buffers.Get().(*[]byte)
		_, err = m.verify(context.Background(), *buf)
		q.buffers.Put(buf)
		if err != nil {
			_ = m.file.Close()
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
