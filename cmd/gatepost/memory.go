package main

import (
	"context"
	"path/filepath"
	"time"

	"gatepost/internal/memory"
	"gatepost/internal/store"
)

// memoryTime bounds the reading of what was remembered: clients that could not be read in time are tested again.
const memoryTime = 2 * time.Second

// knownTime bounds the reading of what is known of domains and paths. It is longer, since half of it would be learned anew
// from the first message on, and since when a domain asks for something would be lost.
const knownTime = 30 * time.Second

// memoryWait is how long the start waits for it: a file of a hundred thousand clients takes longer, and is read while the
// first ones are served.
const memoryWait = 50 * time.Millisecond

// openMemory reads what was remembered before the last stop, of clients, of domains, paths and sealers, what came of mail, and
// of strangers. Without its files the gateway works, and forgets at the next stop.
func (d *daemon) openMemory() {
	ctx, cancel := context.WithTimeout(context.Background(), memoryTime)
	o := memory.Options{Log: d.log}
	clients, err := store.OpenClients(ctx, filepath.Join(d.bootstrap.StateDir, "clients.db"), d.log)
	if err != nil {
		d.log.Warn("memory of clients: a restart will forget", "error", err)
	} else {
		d.clients, o.Store = clients, clients
	}
	d.memory = memory.New(o)
	known, err := store.OpenKnown(ctx, filepath.Join(d.bootstrap.StateDir, "known.db"), d.log)
	if err != nil {
		d.log.Warn("memory of domains and paths: a restart will forget", "error", err)
	} else {
		d.knownFile = known
		d.parts.known.Keep(known)
	}
	past, err := store.OpenReputation(ctx, filepath.Join(d.bootstrap.StateDir, "reputation.db"), d.log)
	if err != nil {
		d.log.Warn("reputation: a restart will forget", "error", err)
	} else {
		d.pastFile = past
		d.parts.histories.Keep(past)
	}
	d.openGreylist(ctx)
	d.openRecipients(ctx, filepath.Join(d.bootstrap.StateDir, "recipients.db"))
	read := make(chan struct{})
	go func() {
		defer close(read)
		d.memory.Load(ctx)
		cancel()
		ctx, cancel := context.WithTimeout(context.Background(), knownTime)
		defer cancel()
		d.parts.known.Load(ctx)
		d.parts.histories.Load(ctx)
		d.loadGreylist()
		d.loadRecipients(ctx)
	}()
	select {
	case <-read:
	case <-time.After(memoryWait):
	}
}
