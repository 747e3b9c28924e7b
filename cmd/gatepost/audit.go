package main

import (
	"context"
	"time"

	auditing "gatepost/cmd/gatepost/audit"
	"gatepost/gateway/journal"
	"gatepost/internal/audit"
	"gatepost/internal/control"
)

// openAudit makes the audit log over control data that may not be there yet: entries wait in a file of the state folder.
func (d *daemon) openAudit() {
	d.audit = audit.New(d.data.Audit(), d.bootstrap.NodeName(), d.bootstrap.StateDir, d.log)
}

// auditOperations are those about the audit log.
func (d *daemon) auditOperations() []control.Operation {
	desk := &auditing.Desk{Store: func() audit.Store { return d.data.Audit() }, Log: func() *audit.Log { return d.audit }}
	return desk.Operations()
}

// noting is what a Surface tells what was done; nil where nobody listens.
func (d *daemon) noting() func(context.Context, control.Entry) {
	if d.audit == nil {
		return nil
	}
	return d.audit.Audit
}

// How often the text of old entries goes, and how soon that is tried again.
const (
	retainEvery = 24 * time.Hour
	retainAgain = time.Hour
)

// runAudit brings entries to the store, and has the text of old ones go.
func (d *daemon) runAudit(ctx context.Context) {
	retaining := make(chan struct{})
	go func() {
		defer close(retaining)
		for wait := time.Minute; ; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			wait = retainEvery
			if n, err := d.audit.Retain(ctx, time.Now().Add(-d.bootstrap.Log.KeepAudit)); err != nil {
				wait = retainAgain
			} else if n > 0 {
				d.log.Info("audit: the text of old entries went by age", "entries", n)
			}
		}
	}()
	d.audit.Run(ctx)
	<-retaining
}

// auditInstruments shows how the audit log fares.
func (d *daemon) auditInstruments(m *journal.Metrics) {
	m.Gauge("audit_waiting", "Entries of the audit log that wait for its store.", func() float64 { n, _ := d.audit.Counts(); return float64(n) })
	m.Counter("audit_lost_total", "Entries of the audit log that are in the daemon's own log only.", func() float64 { _, n := d.audit.Counts(); return float64(n) })
	d.journal.Health().Watch("audit", d.audit.Health)
}
