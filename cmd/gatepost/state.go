package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gatepost/appliance/backup"
	"gatepost/internal/api"
	"gatepost/internal/durable"
)

// errLocked says that another process owns the state folder.
var errLocked = errors.New("state folder: another gatepost runs with it")

// lockState makes the state folder and takes it: one process owns it, and the lock goes with the process. Its file is the folder's owner's.
func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	name := filepath.Join(dir, "lock")
	f, err := durable.Lock(name)
	if errors.Is(err, durable.ErrLocked) {
		text, _ := os.ReadFile(name)
		return nil, fmt.Errorf("%w: process %s, folder %s", errLocked, strings.TrimSpace(string(text)), dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err == nil {
		err = backup.Give(name, dir) // else the daemon could not take what a command of root made
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return f, nil
}

// awaitState takes the state folder, and waits for a process that owns it to end, for as long as patience says; waits is
// called once when there is somebody to wait for.
func awaitState(ctx context.Context, dir string, patience time.Duration, waits func(error)) (*os.File, error) {
	f, err := lockState(dir)
	if err == nil || patience <= 0 || !errors.Is(err, errLocked) {
		return f, err
	}
	waits(err)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lockAgain)
	defer tick.Stop()
	for errors.Is(err, errLocked) {
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
			f, err = lockState(dir)
		}
	}
	return f, err
}

// addressesOf are where the listeners are.
func addressesOf(all listeners) api.Addresses {
	a := api.Addresses{Listeners: map[string]string{}}
	for _, l := range all.smtp {
		key := l.name
		for n := 2; a.Listeners[key] != ""; n++ {
			key = l.name + "-" + strconv.Itoa(n)
		}
		a.Listeners[key] = l.Addr().String()
	}
	if all.metrics != nil {
		a.Metrics = all.metrics.Addr().String()
	}
	for _, l := range all.publicHTTP {
		a.PublicHTTP = append(a.PublicHTTP, l.Addr().String())
	}
	for _, l := range all.publicHTTPS {
		a.PublicHTTPS = append(a.PublicHTTPS, l.Addr().String())
	}
	for _, l := range all.portal {
		a.Portal = append(a.Portal, l.Addr().String())
	}
	for _, l := range all.console {
		a.Console = append(a.Console, l.Addr().String())
	}
	for _, l := range all.ssh {
		a.SSH = append(a.SSH, l.Addr().String())
	}
	return a
}

// writeAddresses leaves the addresses in the state folder, for scripts. The file is whole or not there.
func writeAddresses(a *api.Addresses, dir string) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "addresses.json")
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	return nil
}
