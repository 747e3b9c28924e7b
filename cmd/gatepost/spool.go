package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/spool"
	"gatepost/internal/config"
)

// spooling names the routes whose mail is kept while they are down.
func spooling(p *config.Policy) map[string]bool {
	out := map[string]bool{}
	for i := range p.Routes {
		if r := &p.Routes[i]; r.WhenDown == config.DownSpool {
			out[r.Name] = true
		}
	}
	return out
}

// openSpool opens the spool, whether or not a route uses it now: mail of an earlier policy may lie in it. Where it cannot be
// opened the gateway goes on without it, as with when_down = "defer": what lies there is not lost.
func (d *daemon) openSpool() {
	b := &d.bootstrap.Spool
	var err error
	if d.spoolLock, err = lockSpool(b.Dir); err != nil { // it may be that of another state folder
		d.noSpool(err)
		return
	}
	if !d.sandbox.Moves() {
		d.noSpool(errors.New("the sandbox of this kernel (Landlock 1) lets no file be moved between folders: use Linux 5.19 or later, or sandbox = \"off\" in gatepost.toml"))
		return
	}
	q, err := spool.OpenQueue(spool.QueueOptions{Dir: b.Dir, MaxBytes: int64(b.MaxBytes), MaxMessages: b.MaxMessages, Reserve: int64(b.Reserve),
		Tuning: tuning(d.document.Load()), Log: d.log,
		NextHop: func() gateway.NextHop { return spoolHop{d.now.Load()} },
		Known:   func(route string) bool { return spoolHop{d.now.Load()}.knows(route) },
		Told:    d.spoolTold, Notice: d.notice})
	if err != nil {
		d.noSpool(err)
		return
	}
	d.queue = q
	if t := q.Totals(); t.Messages > 0 {
		d.log.Info("spool", "messages", t.Messages, "octets", t.Octets, "damaged", t.Damaged)
	}
	if where, vanishes := inMemory(b.Dir); vanishes && len(d.now.Load().snapshot.Spools) > 0 {
		d.log.Warn("spool.dir is in memory: what lies in it is lost at a restart of the machine", "dir", b.Dir, "file_system", where)
	}
}

// lockSpool takes the folder of the spool. The file is not open to be written, so that a sick disk can be made read-only.
func lockSpool(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDONLY|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for range spoolTries {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(lockAgain) // the process before may be at its very end: it gave up the state folder already
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errors.New("another gatepost runs with it")
	}
	return nil, fmt.Errorf("spool: %s: %w", dir, err)
}

// spoolTries is how often the folder of the spool is asked for.
const spoolTries = 20

func (d *daemon) noSpool(err error) {
	d.spoolError = err.Error()
	d.log.Error("the spool cannot be opened; mail is deferred while its route is down", "error", err)
}

// tuning is how the spool's mail is tried.
func tuning(c *config.Config) spool.Tuning {
	return spool.Tuning{Schedule: c.Policy.Queue.Schedule, Lifetime: c.Policy.Queue.Lifetime}
}

// inMemory reports whether a folder, or where it will be made, lies in memory only.
func inMemory(dir string) (where string, vanishes bool) {
	var fs unix.Statfs_t
	for unix.Statfs(dir, &fs) != nil {
		if dir == filepath.Dir(dir) {
			return "", false
		}
		dir = filepath.Dir(dir)
	}
	switch uint32(fs.Type) {
	case unix.TMPFS_MAGIC:
		return "tmpfs", true
	case unix.RAMFS_MAGIC:
		return "ramfs", true
	}
	return "", false
}

// spoolPlace warns of a spool that a restart of the machine empties.
func spoolPlace(c *config.Config) config.Problems {
	where, vanishes := inMemory(c.Bootstrap.Spool.Dir)
	if !vanishes || !c.Policy.Spooling() {
		return nil
	}
	return config.Problems{{File: config.BootstrapFile, Key: "spool.dir", Warning: true, Message: fmt.Sprintf("%q lies in memory (%s): what was answered with 250 is lost at a restart of the machine", c.Bootstrap.Spool.Dir, where),
		Instead: "write a folder on a disk"}}
}

// deadEvery is how often dead letters are looked at for those whose time is over.
const deadEvery = time.Hour

// runSpool delivers what lies in the spool, and removes dead letters that were kept for long enough.
func (d *daemon) runSpool(ctx context.Context) {
	if d.queue == nil {
		return
	}
	tending, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		tick := time.NewTicker(deadEvery)
		defer tick.Stop()
		for {
			d.forgetDead(tending)
			select {
			case <-tending.Done():
				return
			case <-tick.C:
			}
		}
	}()
	d.queue.Run(ctx)
}

// forgetDead removes dead letters that were there longer than queue.dead_keep. Each is told as any other removal.
func (d *daemon) forgetDead(ctx context.Context) {
	keep := d.document.Load().Policy.Queue.DeadKeep
	f := spool.Filter{State: spool.Dead.String(), Before: time.Now().Add(-keep)}
	err := d.queue.Do(ctx, &f, spool.Action{Verb: spool.Delete, Why: "queue.dead_keep"}, func(l *spool.Listed, err error) error {
		if err != nil {
			d.log.Warn("spool: a dead letter that is too old is not removed", "id", l.ID.String(), "error", err)
		}
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil {
		d.log.Error("spool: old dead letters", "error", err)
	}
}

// spoolTold passes on what becomes of mail in the spool. It never waits.
func (d *daemon) spoolTold(c *spool.Change) {
	d.spoolCounts.add(c)
	switch c.What {
	case "latched":
		d.journal.Daemon(journal.SpoolLatched, slog.String("said", c.Said))
		return
	case "unlatched":
		d.journal.Daemon(journal.SpoolCleared)
		return
	case "notified":
		return // told by notice, which knows the reference of the notice
	}
	f := gateway.Fate{ID: c.ID, Time: time.Now(), What: gateway.FateWord(c.What), Route: c.Route, From: c.From, Attempt: c.Attempts, Said: c.Said}
	if f.What.ByOperator() {
		f.By, f.Said = c.Said, ""
	}
	if c.Relayed != nil {
		f.NextHop = c.Relayed.NextHop
	}
	if f.What == gateway.FateDeferred {
		f.Next = c.Next
	}
	for i := range c.Rcpts {
		to := &c.Rcpts[i]
		f.Rcpts = append(f.Rcpts, to.Address)
		if i == 0 && !to.Reply.IsZero() && c.Relayed != nil {
			f.Said = to.Reply.String()
		}
	}
	d.journal.Fate(&f)
}
