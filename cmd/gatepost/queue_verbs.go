package main

import (
	"log/slog"
	"net/http"

	"gatepost/cmd/gatepost/queue"
	"gatepost/gateway/journal"
	"gatepost/gateway/spool"
	"gatepost/internal/control"
)

// theQueue is the spool, where there is one.
func (d *daemon) theQueue() (*spool.Queue, error) {
	if d.queue == nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the spool could not be opened: " + d.spoolError}
	}
	return d.queue, nil
}

// queueOperations are what can be asked of the spool.
func (d *daemon) queueOperations() []control.Operation {
	return (&queue.Desk{Queue: d.theQueue, Cleared: func(by string) {
		d.journal.Daemon(journal.SpoolOperator, slog.String("did", "cleared"), slog.String("by", by))
	}}).Operations()
}
