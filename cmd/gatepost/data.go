package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"gatepost/internal/config"
	"gatepost/internal/store/admin"
)

// dataFile is where control data is in the state folder, where no PostgreSQL has it.
const dataFile = "admin.db"

// dataOptions say where the configuration wants control data.
func dataOptions(b *config.Bootstrap, log *slog.Logger) (admin.Options, error) {
	o := admin.Options{Path: filepath.Join(b.StateDir, dataFile), URL: b.Store.URL, Insecure: b.Store.Insecure, Log: log}
	password, err := readPassword(b.Store.PasswordFile, log)
	if err != nil {
		return o, fmt.Errorf("store.password_file: %w", err)
	}
	o.Password = password
	return o, nil
}

// openData makes the control data, and touches neither file nor server: the loop of work does, while mail is served. d.data is
// there from then on for all who want it, and each of its calls fails, soon, while the store does not answer.
func (d *daemon) openData() error {
	o, err := dataOptions(d.bootstrap, d.log)
	if err != nil {
		return err
	}
	if d.data, err = admin.New(o); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	d.openAudit()
	d.openOwnLists()
	return d.openUsers()
}

// tendData keeps the control data usable, and rids them of what is over, as long as the daemon runs.
func (d *daemon) tendData(ctx context.Context) {
	var beside sync.WaitGroup
	beside.Go(func() { d.tendUsers(ctx) })
	beside.Go(func() { d.followOwnLists(ctx) })
	beside.Go(func() { d.watchLogins(ctx) })
	beside.Go(func() { d.runHits(ctx) })
	d.data.Tend(ctx)
	beside.Wait()
}

// dataHealth is the part "control_data" of readiness: mail goes on without it, and nobody can change anything.
func (d *daemon) dataHealth() (bool, string) {
	where := dataFile
	if d.data.Shared() {
		where = "PostgreSQL"
	}
	switch err := d.data.Health(); {
	case err != nil:
		return false, where + ": " + err.Error() + "; mail goes on, and nothing can be changed"
	case !d.data.Up():
		return true, where + ": not asked yet"
	}
	return true, where
}

// sharedInstruments shows how what nodes share fares.
func (d *daemon) sharedInstruments() {
	d.redisInstruments()
	d.dataInstruments()
	d.versionInstruments()
	d.backupInstruments()
}

// dataInstruments shows how the control data fares.
func (d *daemon) dataInstruments() {
	m := d.journal.Metrics()
	d.auditInstruments(m)
	m.Gauge("control_data_up", "1 while control data (policy versions, users, audit log, alarms) can be read and written.", func() float64 {
		if d.data.Up() {
			return 1
		}
		return 0
	})
	m.Counter("control_data_faults_total", "Times that a call found the store of control data away, or not as it should be.", func() float64 { return float64(d.data.Faults()) })
	d.journal.Health().Watch("control_data", d.dataHealth)
}
