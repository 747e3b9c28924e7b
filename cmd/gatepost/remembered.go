package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatepost/gateway/relay"
)

// hopsFile is where what next hops said to EHLO is kept over a restart, so that a gateway that starts while one is away
// still offers what it carries. It is no part of any promise: without it, and when it is damaged, all is learned anew.
const hopsFile = "nexthops.json"

// Bounds of the file, and how often it is written.
const (
	mostHopsFile = 1 << 20 // octets
	hopsPause    = time.Minute
)

// readHops reads the file; none when there is none.
func readHops(stateDir string) ([]relay.Remembered, error) {
	f, err := os.Open(filepath.Join(stateDir, hopsFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > mostHopsFile {
		return nil, fmt.Errorf("it has %d octets", info.Size())
	}
	var list []relay.Remembered
	if err := json.NewDecoder(f).Decode(&list); err != nil {
		return nil, err
	}
	return list, nil
}

// recallHops gives the pools what was remembered.
func recallHops(stateDir string, pools *relay.Pools, log *slog.Logger) {
	list, err := readHops(stateDir)
	if err != nil {
		log.Warn("what next hops carry is learned anew", "file", hopsFile, "error", err)
	}
	pools.Recall(list)
}

// rememberHops writes the file.
func rememberHops(stateDir string, list []relay.Remembered) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	name := filepath.Join(stateDir, hopsFile)
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// keepHops writes what next hops say, when it has changed, until ctx is done and once more then.
func (d *daemon) keepHops(ctx context.Context) {
	var kept []relay.Remembered
	said := func(a, b relay.Remembered) bool { // what is older by less than a day need not be written
		old := b.At.Sub(a.At) > 24*time.Hour
		a.At, b.At = time.Time{}, time.Time{}
		return a == b && !old
	}
	for pause := time.Second; ; pause = hopsPause {
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		if now := d.parts.hops.Remembered(); !slices.EqualFunc(kept, now, said) {
			if err := rememberHops(d.bootstrap.StateDir, now); err != nil {
				d.log.Warn("what next hops carry cannot be kept", "error", err)
			}
			kept = now
		}
		if ctx.Err() != nil {
			return
		}
	}
}
