package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gatepost/appliance/update"
	"gatepost/gateway"
	"gatepost/internal/durable"
	"gatepost/internal/store"
	"gatepost/internal/store/admin"
)

// goBackTime is how long stores may take to be had in their old form: a copy of the control data at a slow disk.
const goBackTime = time.Minute

// goBack has the stores in the form that this version knows, where the appliance went back from a newer one that changed them (decision
// 72). It is called before they are opened. What cannot be done is told and tried again at the next start: mail does not wait for it.
func (d *daemon) goBack() {
	name := filepath.Join(d.bootstrap.StateDir, update.WentBack)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goBackTime)
	defer cancel()
	back := &store.Back{Log: d.log}
	if err == nil && d.bootstrap.Store.URL == "" {
		_, err = back.File(ctx, filepath.Join(d.bootstrap.StateDir, dataFile), admin.Known)
	}
	_, failed := back.Days(ctx, logFolder(d.bootstrap))
	if err = errors.Join(err, failed); err == nil {
		err = durable.Remove(durable.Real{}, name)
	}
	if err != nil {
		d.log.Error("a newer version ran before, and not all of its stores can be had in the form of this one", "version", gateway.CleanText(string(text), 40), "error", err)
	}
}
