package main

import (
	"context"
	"errors"
	"path/filepath"

	"gatepost/appliance/update"
	"gatepost/cmd/gatepost/backups"
	"gatepost/cmd/gatepost/restores"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// errRestored ends a process whose state the next start replaces. It is an error, so that systemd starts the daemon again.
var errRestored = errors.New("a backup is restored: the next start puts it in place")

// restoring is what takes a backup in the first run, and what else restarts the machine with other settings.
type restoring struct {
	trying
	restores made[*restores.Desk]
	leave    context.CancelCauseFunc // ends the daemon
}

// restoreDesk is made once: it knows what was uploaded.
func (d *daemon) restoreDesk() *restores.Desk {
	return d.restores.get(func() *restores.Desk {
		return &restores.Desk{State: d.bootstrap.StateDir, Config: filepath.Dir(config.BootstrapIn(d.configPath)), Known: backups.Known,
			Served: func() bool { return len(d.document.Load().Policy.Domains) > 0 }, Restart: d.startAnew, Log: d.log}
	})
}

func (d *daemon) restoreOperations() []control.Operation { return d.restoreDesk().Operations() }

// startAnew restarts the appliance, whose settings are shown anew at a boot only, or else ends this process with an error.
func (d *daemon) startAnew() {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	_, err := update.Ask(ctx, update.Socket, update.DoRestart, nil, nil)
	if err == nil {
		return
	}
	if !errors.Is(err, update.ErrNoAppliance) {
		d.log.Error("the appliance cannot be restarted", "error", err)
	}
	d.leave(errRestored)
}

// left is why the daemon ends by itself; nil where it was told to.
func (d *daemon) left(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, errRestored) {
		return err
	}
	return nil
}
