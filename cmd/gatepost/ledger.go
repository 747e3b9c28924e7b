package main

import (
	"path/filepath"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
	"gatepost/gateway/journal"
	"gatepost/gateway/ledger"
)

// openLedger makes what remembers to whom messages were delivered.
func (d *daemon) openLedger(key []byte) {
	if d.parts.secret != nil {
		key = d.parts.secret // of all nodes, who name a message alike
	}
	d.ledger = ledger.New(ledger.Options{File: filepath.Join(d.bootstrap.StateDir, "ledger"), Key: key, Shared: d.parts.deliveries, Log: d.log})
	var err error
	if d.names, err = accept.NewNames(key); err != nil {
		d.log.Error("ledger: messages are named without a key, which takes longer", "error", err)
	}
}

// ledgerInstruments shows what it remembers and what it was good for.
func (d *daemon) ledgerInstruments(m *journal.Metrics) {
	m.Gauge("ledger_entries", "Deliveries that are remembered, since their senders may not know of them.", func() float64 { return float64(d.ledger.Stats().Entries) })
	m.Gauge("ledger_in_flight", "Recipients whose message is on its way to the next hop.", func() float64 { return float64(d.ledger.Stats().InFlight) })
	m.Counter("ledger_joined_total", "Attempts of senders that waited for an earlier one at the same message.", func() float64 { return float64(d.ledger.Stats().Joined) })
	m.Counter("ledger_again_total", "Messages that were delivered to all at an earlier attempt, and not relayed again.", func() float64 { return float64(d.ledger.Stats().Again) })
	m.Counter("ledger_forgotten_total", "Deliveries that were forgotten before their time, for want of room.", func() float64 { return float64(d.ledger.Stats().Forgotten) })
	m.Counter("ledger_faults_total", "Times that the ledger's file or Redis did not do what it should; each may cost a second copy.", func() float64 { return float64(d.ledger.Stats().Faults) })
	d.journal.Health().Watch("ledger", d.ledger.Health)
}

// mostRestored is how many messages of the spool are looked at: those that came in the moment of a crash are the last ones.
const mostRestored = 1000

// restoreLedger tells the ledger what lies in the spool: a crash may have come between the two.
func (d *daemon) restoreLedger() {
	if d.queue == nil {
		return
	}
	d.ledger.Restore(func(since time.Time, tell func(time.Time, string, []string)) {
		d.queue.Recent(mostRestored, since, func(c gateway.Custody, to []gateway.Address) {
			rcpts := make([]string, len(to))
			for i := range to {
				rcpts[i] = to[i].Key()
			}
			tell(c.Arrived, c.Message, rcpts)
		})
	})
}

// acceptor is the only one that says 250.
func (d *daemon) acceptor() *accept.Acceptor {
	d.restoreLedger()
	return &accept.Acceptor{Ledger: d.ledger, Names: d.names, Vault: d.vaultPort(), Spool: d.spoolPort(), Log: d.log}
}

// spoolPort is the spool as it is asked for; nil where there is none.
func (d *daemon) spoolPort() gateway.Spool {
	if d.queue == nil {
		return nil // and no interface that holds nothing
	}
	return d.queue
}
