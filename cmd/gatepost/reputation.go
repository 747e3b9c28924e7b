package main

import (
	"time"

	histories "gatepost/cmd/gatepost/reputation"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/shaping"
)

// trusts reports whether a way of mail was seen to leave that of others whole.
func (p *parts) trusts(way gateway.Path) bool {
	return p.known.Path(way).Standing(time.Now()) == gateway.PathTrusted
}

// reputationInstruments shows how much is known of whom, and what becomes of lessons.
func (d *daemon) reputationInstruments(m *journal.Metrics) {
	m.Gauges("reputation_known", "Histories that this process keeps: of addresses (clients and networks) and names (organizations and domains).", []string{"of"}, func() []journal.Series {
		addresses, names := d.parts.histories.Len()
		return []journal.Series{{Labels: []string{"addresses"}, Value: float64(addresses)}, {Labels: []string{"names"}, Value: float64(names)}}
	})
	counts := d.parts.reputation.Counts
	m.Counter("reputation_lessons_total", "What messages taught, of one subject each.", func() float64 { return float64(counts().Taught) })
	m.Counter("reputation_alone_total", "Questions that Redis did not answer, and this process did.", func() float64 { return float64(counts().Alone) })
	m.Counter("reputation_dropped_total", "Lessons that Redis was not told of, or may not have taken: only this process learned them.", func() float64 { return float64(counts().Dropped) })
}

// reputationDesk answers what is asked of histories.
func (d *daemon) reputationDesk() *histories.Desk {
	return &histories.Desk{Memory: func() *shaping.Reputation { return d.parts.reputation }, Log: d.log}
}
