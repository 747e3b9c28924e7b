package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	kept "gatepost/cmd/gatepost/quarantine"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/internal/config"
	"gatepost/internal/store"
)

// keptIndexes are those of the quarantine: the node's own, which the vault asks, and that which nodes share, if they do.
type keptIndexes struct {
	own    *store.Quarantine       // nil where it cannot be opened
	shared *store.SharedQuarantine // nil where each node has its own
	mirror *store.Mirror           // nil as well
}

// sharedIndex names the PostgreSQL in which nodes show each other what they keep.
func (d *daemon) sharedIndex() (*store.SharedQuarantine, error) {
	b := d.bootstrap
	password, err := readPassword(b.Store.PasswordFile, d.log)
	if err != nil {
		return nil, fmt.Errorf("store.password_file: %w", err)
	}
	return store.NewSharedQuarantine(&store.Shared{URL: b.Store.URL, Password: password, Insecure: b.Store.Insecure, Node: b.NodeName()})
}

// openIndex opens the index for the vault. No server is asked.
func (d *daemon) openIndex(ctx context.Context, b *config.Bootstrap) (quarantine.Index, error) {
	own, err := store.OpenQuarantine(ctx, filepath.Join(b.StateDir, "quarantine.db"), d.log)
	if err != nil {
		return nil, err
	}
	d.kept.own = own
	if !b.Store.Quarantine {
		return own, nil
	}
	if d.kept.shared, err = d.sharedIndex(); err != nil {
		return nil, errors.Join(err, d.kept.close())
	}
	d.kept.mirror = store.NewMirror(own, d.kept.shared, d.log)
	return d.kept.mirror, nil
}

// close ends the use of them.
func (k *keptIndexes) close() (err error) {
	if k.shared != nil {
		err = k.shared.Close()
	}
	if k.own != nil {
		err = errors.Join(err, k.own.Close())
	}
	*k = keptIndexes{}
	return err
}

// runShared tells other nodes what this one keeps, or, where it shall not any more, takes back what it told.
func (d *daemon) runShared(ctx context.Context, beside *sync.WaitGroup) {
	switch {
	case d.kept.mirror != nil:
		beside.Go(func() { d.kept.mirror.Run(ctx) })
	case d.bootstrap.Store.Used() && !d.bootstrap.Store.Quarantine:
		beside.Go(func() { d.leaveShared(ctx) })
	}
}

// How often, and for how long each time, it is tried to take back what was told.
const (
	leaveEvery = time.Minute
	leaveTime  = 30 * time.Second
)

func (d *daemon) leaveShared(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := d.forgetKept(ctx, d.bootstrap.NodeName())
		if err == nil {
			if n > 0 {
				d.log.Info("quarantine: other nodes are not shown any more what this one keeps", "messages", n)
			}
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaveEvery):
		}
	}
}

// forgetKept takes out of the index that nodes share what a node told, and returns how many messages that were.
func (d *daemon) forgetKept(ctx context.Context, node string) (n int64, err error) {
	q, err := d.sharedIndex()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	return q.Forget(ctx, node)
}

// nodeRemoved is told of a node that is gone for good: nobody tells any more what it kept.
func (d *daemon) nodeRemoved(ctx context.Context, name string) error {
	if !d.bootstrap.Store.Used() {
		return nil
	}
	_, err := d.forgetKept(ctx, name)
	return err
}

// others is where the quarantine's operations ask for what other nodes keep; nil where nodes do not show each other.
func (d *daemon) others() kept.Others {
	if d.kept.mirror == nil {
		return nil
	}
	return d.kept.mirror
}

// settleKept waits until other nodes are not shown any more what was erased here.
func (d *daemon) settleKept(ctx context.Context) error {
	if d.kept.mirror == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return d.kept.mirror.Settle(ctx)
}

// consoleOf is where the console of another node is, as that node said; "" where it did not, or where only its own host reaches it.
func (d *daemon) consoleOf(ctx context.Context, node string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, text := range d.nodeDesk().Consoles(ctx, node) {
		at, err := netip.ParseAddrPort(text)
		switch {
		case err != nil || at.Addr().IsLoopback():
		case at.Addr().IsUnspecified():
			return "https://" + net.JoinHostPort(node, fmt.Sprint(at.Port()))
		default:
			return "https://" + text
		}
	}
	return ""
}

// sharedHealth is the part "quarantine_index": whether nodes show each other what they keep.
func (d *daemon) sharedHealth() (bool, string) {
	if d.kept.mirror == nil {
		return false, "the quarantine could not be opened"
	}
	waiting, _, _ := d.kept.mirror.Stats()
	if err := d.kept.mirror.Trouble(); err != nil {
		return false, "PostgreSQL: " + err.Error() + "; mail goes on, and lists show only what the node keeps that is asked"
	}
	return true, fmt.Sprintf("PostgreSQL, %d changes wait", waiting)
}

// sharedKeptInstruments shows how the index fares that nodes share, where they do.
func (d *daemon) sharedKeptInstruments(m *journal.Metrics) {
	if !d.bootstrap.Store.Quarantine {
		return
	}
	d.journal.Health().Watch("quarantine_index", d.sharedHealth)
	stat := func(of func(waiting int, told, over int64) float64) func() float64 {
		return func() float64 {
			if d.kept.mirror == nil {
				return 0
			}
			return of(d.kept.mirror.Stats())
		}
	}
	m.Gauge("quarantine_index_up", "1 while other nodes are told what this one keeps.", func() float64 {
		if d.kept.mirror == nil || d.kept.mirror.Trouble() != nil {
			return 0
		}
		return 1
	})
	m.Gauge("quarantine_index_waiting", "Messages whose change other nodes are still to be told.", stat(func(waiting int, _, _ int64) float64 { return float64(waiting) }))
	m.Counter("quarantine_index_told_total", "Messages that other nodes were told of.", stat(func(_ int, told, _ int64) float64 { return float64(told) }))
	m.Counter("quarantine_index_overflow_total", "Times that too many changes waited, so that all messages are compared instead.", stat(func(_ int, _, over int64) float64 { return float64(over) }))
}
