package main

import (
	"context"
	"log/slog"
	"net/http"

	kept "gatepost/cmd/gatepost/quarantine"
	"gatepost/gateway/digest"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/internal/control"
	"gatepost/internal/routing"
)

// theVault is the quarantine, where it could be opened.
func (d *daemon) theVault() (*quarantine.Vault, error) {
	if d.vault == nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the quarantine could not be opened: " + d.vaultError}
	}
	return d.vault, nil
}

// keptOperations are what can be asked of the quarantine.
func (d *daemon) keptOperations() []control.Operation {
	return (&kept.Desk{Vault: d.theVault, Digests: d.tellDigests, Address: routing.Address, Shared: d.others, Node: d.bootstrap.NodeName(), Console: d.consoleOf, Told: func(did, key, by string) {
		attrs := []slog.Attr{slog.String("did", did)}
		if key != "" {
			attrs = append(attrs, slog.String("key", key))
		}
		d.journal.Daemon(journal.QuarantineOperator, append(attrs, slog.String("by", by))...)
	}}).Operations()
}

// tellDigests shows the digests that would be sent now, or sends them.
func (d *daemon) tellDigests(ctx context.Context, rcpt string, send bool) ([]digest.Told, error) {
	if d.digests.Digest == nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "digests cannot be sent: " + d.digests.why}
	}
	if len(digestSettings(d.document.Load(), d.now.Load().snapshot.Policy).Domains) == 0 {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "no domain has a digest", Hint: `write at = ["07:00"] in [quarantine.digest] of policy.toml`}
	}
	return d.digests.Now(ctx, rcpt, send)
}
