package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"gatepost/cmd/gatepost/strangers"
	"gatepost/gateway/journal"
	"gatepost/greylist"
	"gatepost/internal/store"
)

// greylistTime bounds the reading of the greylist's file: half a million pairs take a second or two.
const greylistTime = 30 * time.Second

// openGreylist opens the file of the greylist. Without it a restart makes strangers of all.
func (d *daemon) openGreylist(ctx context.Context) {
	f, err := store.OpenGreylist(ctx, filepath.Join(d.bootstrap.StateDir, "greylist.db"), d.log)
	if err != nil {
		d.log.Warn("greylist: a restart will forget", "error", err)
		return
	}
	d.greyFile = f
	d.parts.strangers.Keep(f)
}

// loadGreylist reads it. Who comes meanwhile loses nothing but, at the worst, one more try.
func (d *daemon) loadGreylist() {
	ctx, cancel := context.WithTimeout(context.Background(), greylistTime)
	defer cancel()
	if err := d.parts.strangers.Load(ctx, d.now.Load().greylist); err != nil {
		d.log.Warn("greylist: not all could be read; some who passed wait once more", "error", err)
	}
}

// runGreylist saves what changes, and forgets what is over.
func (d *daemon) runGreylist(ctx context.Context) {
	d.parts.strangers.Run(ctx, func() greylist.Settings { return d.now.Load().greylist }, d.log)
}

// strangerDesk answers what is asked of strangers.
func (d *daemon) strangerDesk() *strangers.Desk {
	return &strangers.Desk{Book: &d.guests, Greylist: func() greylist.Store { return d.parts.shaper.Greylist() }, Keyer: func() *greylist.Keyer { return d.parts.keyer },
		Settings: func() greylist.Settings { return d.now.Load().greylist }, Log: func() *store.Log { return d.store },
		Told: func(attrs ...slog.Attr) { d.journal.Daemon(journal.Greylist, attrs...) }}
}
