package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gatepost/cmd/gatepost/backups"
	"gatepost/internal/control"
)

// Times of backups that are made by themselves.
const (
	backupLook = time.Minute   // how often is looked whether one is due
	backupMost = 6 * time.Hour // that one may take
)

// backupOperations are those about backups.
func (d *daemon) backupOperations() []control.Operation { return d.backupDesk().Operations() }

// backupDesk is what they share with the schedule.
func (d *daemon) backupDesk() *backups.Desk {
	return d.backing.get(func() *backups.Desk { return backups.NewDesk(d.bootstrap) })
}

// runBackups has backups made when they are due or asked for, each in a process of its own, which yields to ours.
func (d *daemon) runBackups(ctx context.Context) {
	desk, tick := d.backupDesk(), time.NewTicker(backupLook)
	defer tick.Stop()
	var tried time.Time // also of one that came to no outcome
	for asked := false; ; {
		if asked || d.bootstrap.Backup.Used() && time.Since(tried) >= backups.Again && d.backupIsDue() {
			tried = time.Now()
			desk.Making(func() error { return d.makeBackup(ctx) })
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			asked = false
		case <-desk.Asked():
			asked = true
		}
	}
}

func (d *daemon) backupIsDue() bool {
	last, err := backups.Outcomes(d.bootstrap.StateDir)
	if err != nil {
		d.log.Warn("backup: what came of the last one is not known", "error", err)
	}
	return backupDue(last, d.bootstrap.Backup.Every, time.Now())
}

// backupDue reports whether the last one is so old that another is due, or failed some time ago.
func backupDue(last []backups.Outcome, every time.Duration, now time.Time) bool {
	return !backups.Due(last, every, now).After(now)
}

// makeBackup has one made. The error is that it came to no outcome for some target, in words for people.
func (d *daemon) makeBackup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, backupMost)
	defer cancel()
	cmd := ownCommand(ctx, "backup", "run", "--config", d.configPath)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said // with none, it would need leave to write to /dev/null
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Start()
	if err == nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, 10) // else it is as urgent as we are
		err = cmd.Wait()
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("backup: not all went well", "error", err, "said", said.String()[:min(said.Len(), 2000)])
		err = fmt.Errorf("%w: %s", err, said.String()[:min(said.Len(), 400)])
	}
	return err
}

// backupHealth is the part "backup": no target may be without a good backup for twice as long as one is to be made in.
func (d *daemon) backupHealth() (bool, string) {
	last, err := backups.Outcomes(d.bootstrap.StateDir)
	if err != nil {
		return false, "what came of the last one is not known: " + err.Error()
	}
	return backupWell(last, d.bootstrap.Backup.Every, d.started, time.Now())
}

func backupWell(last []backups.Outcome, every time.Duration, since, now time.Time) (ok bool, detail string) {
	ok = true
	var told []string
	for i := range last {
		o := &last[i]
		text := "none yet"
		if o.Good.IsZero() {
			ok = ok && o.Error == "" && now.Sub(since) <= 2*every
		} else {
			text = "last good " + o.Good.Format("2006-01-02 15:04") + " UTC"
			if now.Sub(o.Good) > 2*every {
				ok, text = false, text+", too old"
			}
		}
		if o.Error != "" {
			text += "; " + o.Error
		}
		told = append(told, fmt.Sprintf("%s: %s", o.Target, text))
	}
	if len(last) == 0 {
		return now.Sub(since) < 2*every, "none was made yet"
	}
	return ok, strings.Join(told, "; ")
}

// backupInstruments shows how old the last good backup is.
func (d *daemon) backupInstruments() {
	if !d.bootstrap.Backup.Used() {
		return
	}
	d.journal.Metrics().Gauge("backup_age_seconds", "Seconds since each target of [backup] last got a good backup: of the one that is worst off.", func() float64 {
		last, err := backups.Outcomes(d.bootstrap.StateDir)
		worst := 0.0
		for i := range last {
			if last[i].Good.IsZero() {
				err = fmt.Errorf("target %s has none", last[i].Target)
			}
			worst = max(worst, time.Since(last[i].Good).Seconds())
		}
		if err != nil || len(last) == 0 {
			return time.Since(d.started).Seconds()
		}
		return worst
	})
	d.journal.Health().Watch("backup", d.backupHealth)
}
