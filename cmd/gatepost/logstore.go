package main

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"path/filepath"
	"time"

	"gatepost/internal/config"
	"gatepost/internal/store"
)

func logFolder(b *config.Bootstrap) string { return filepath.Join(b.StateDir, "log") }

// sharedLog is where nodes keep one message log; nil where each has its own.
func sharedLog(b *config.Bootstrap, log *slog.Logger) (*store.Shared, error) {
	if b.Store.Log == "" {
		return nil, nil
	}
	password, err := readPassword(cmp.Or(b.Store.LogPasswordFile, b.Store.PasswordFile), log)
	if err != nil {
		return nil, fmt.Errorf("store.log_password_file: %w", err)
	}
	return &store.Shared{URL: b.Store.Log, Password: password, Insecure: b.Store.Insecure, Node: b.NodeName()}, nil
}

// openLog begins to write the message log. Where nodes share it, or show each other what they keep, references tell them apart: those of one never are those of another,
// unless two of at most 255 names come to the same number, which costs nothing but that a reference may then lead to either.
func (d *daemon) openLog() error {
	b := d.bootstrap
	d.goBack()
	shared, err := sharedLog(b, d.log)
	if err != nil {
		return err
	}
	if shared != nil || b.Store.Quarantine {
		d.ids.Node = nodeNumber(b.NodeName())
	}
	d.store, err = store.Open(store.Options{Dir: logFolder(b), Days: int(b.Log.Keep / (24 * time.Hour)), MaxBytes: int64(b.Log.KeepBytes), Queue: b.Log.Queue, Log: d.log, Shared: shared})
	return err
}

// nodeNumber is the number of a node in references: 1 to 255.
func nodeNumber(name string) uint8 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return uint8(h.Sum32()%255 + 1)
}

// theLog is the message log for a command that searches it, by known addresses also where those have pseudonyms.
func theLog(b *config.Bootstrap) (*store.Reader, error) {
	shared, err := sharedLog(b, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	r := store.NewReader(logFolder(b))
	if shared != nil {
		if r, err = store.NewSharedReader(shared); err != nil {
			return nil, err
		}
	}
	return r.Known(logNames(b)), nil
}

// readLog is likewise for what the daemon does.
func (d *daemon) readLog() *store.Reader {
	if d.store == nil { // operations are listed before anything is opened
		return store.NewReader(logFolder(d.bootstrap))
	}
	return d.store.Reader().Known(logNames(d.bootstrap))
}

// How often the message log is looked through for what its class no longer keeps, and how soon after the start.
const (
	retentionSoon  = 7 * time.Minute
	retentionEvery = time.Hour
)

// runRetention removes of old days that of which no content came, where the operator wants it earlier than all else.
func (d *daemon) runRetention(ctx context.Context) {
	keep := d.bootstrap.Log.KeepRefused
	if keep == 0 {
		return
	}
	for wait := retentionSoon; ; wait = retentionEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		c, err := d.store.DropContentless(ctx, time.Now().Add(-keep))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil || len(c.Gaps) > 0:
			d.log.Error("log: some of it is kept for longer than log.keep_refused", "days", c.Gaps, "error", err)
		case c.Events > 0:
			d.log.Info("log: old events without content were removed", "events", c.Events)
		}
	}
}
