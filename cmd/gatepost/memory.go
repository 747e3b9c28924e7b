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

// openMemory reads what was remembered of clients before the last stop. Without its file the gateway works, and forgets at
// the next stop.
func (d *daemon) openMemory() {
	ctx, cancel := context.WithTimeout(context.Background(), memoryTime)
	defer cancel()
	o := memory.Options{Log: d.log}
	clients, err := store.OpenClients(ctx, filepath.Join(d.bootstrap.StateDir, "clients.db"), d.log)
	if err != nil {
		d.log.Warn("memory of clients: a restart will forget", "error", err)
	} else {
		d.clients, o.Store = clients, clients
	}
	d.memory = memory.New(o)
	d.memory.Load(ctx)
}
