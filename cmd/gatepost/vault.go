package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/quarantine"
	"gatepost/internal/clamd"
	"gatepost/internal/config"
)

// vaultFolder is where quarantined mail lies.
func vaultFolder(b *config.Bootstrap) string { return filepath.Join(b.StateDir, "vault") }

// openVault opens the quarantine, whether or not policy wants it now: mail of an earlier policy may lie in it. Where it cannot
// be opened, mail that is to be quarantined is deferred: it may neither go on nor be lost.
func (d *daemon) openVault() {
	if err := d.tryVault(); err != nil {
		d.vaultError = err.Error()
		d.log.Error("the quarantine cannot be opened; what should go there is deferred", "error", err)
	}
}

func (d *daemon) tryVault() error {
	b := d.bootstrap
	dir := vaultFolder(b)
	empty, err := quarantine.Empty(dir)
	if err != nil {
		return err
	}
	keys, err := quarantine.LoadKeys(b.VaultKey, empty)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; is its disk mounted? %s holds mail that only its keys open", err, dir)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), memoryTime)
	defer cancel()
	index, err := d.openIndex(ctx, b)
	if err != nil {
		return err
	}
	v, err := quarantine.Open(quarantine.Options{Dir: dir, Keys: keys, Index: index, Log: d.log, Tuning: vaultTuning(d.document.Load()),
		Done: d.ledger.Knows, Ledger: d.ledger, NextHop: func() gateway.NextHop { return d.now.Load().relay }, Way: d.wayOf,
		Spool: d.spoolPort(), Spools: func(route string) bool { return d.now.Load().snapshot.Spools[route] },
		Scan: d.scanAgain, Teacher: teacher{d.document.Load, d.parts}, IDs: d.ids, Hostname: b.Hostname, Told: d.vaultTold})
	if err != nil {
		return errors.Join(err, d.kept.close())
	}
	d.vault = v
	return nil
}

// vaultTuning is how long and how much is kept.
func vaultTuning(c *config.Config) quarantine.Tuning {
	q := &c.Policy.Quarantine
	return quarantine.Tuning{Keep: q.Keep, KeepOf: map[quarantine.Class]time.Duration{quarantine.Malware: q.KeepMalware}, MaxSize: int64(q.MaxSize)}
}

// runVault tends the quarantine, and tells other nodes of it.
func (d *daemon) runVault(ctx context.Context) {
	var beside sync.WaitGroup
	d.runShared(ctx, &beside)
	if d.vault != nil {
		d.vault.Run(ctx)
	}
	beside.Wait()
}

// runLessons has engines learn from what people do with mail in quarantine.
func (d *daemon) runLessons(ctx context.Context) {
	if d.vault != nil {
		d.vault.Learn(ctx)
	}
}

// noVault is a quarantine that could not be opened.
type noVault struct{ why string }

func (n noVault) Prepare(context.Context, *gateway.Keeping) (gateway.Kept, error) {
	return nil, errors.New("the quarantine could not be opened: " + n.why)
}

// vaultPort is the quarantine as the way to a 250 asks for it.
func (d *daemon) vaultPort() gateway.Vault {
	if d.vault == nil {
		return noVault{d.vaultError}
	}
	return d.vault
}

// wayOf is where mail of an address goes under the configuration in force.
func (d *daemon) wayOf(to gateway.Address) ([]gateway.Address, string, error) {
	way := d.now.Load().snapshot.Policy.Destination(to)
	if way.Domain == nil || way.Route == "" {
		return nil, "", errors.New("its domain is not served here, and mail goes to domains of ours only")
	}
	if way.To == nil {
		way.To = []gateway.Address{to}
	}
	return way.To, way.Route, nil
}

// scanAgain looks a message through before it is let go: for what clamd knows today. Without a clamd, nobody looked when it
// came either.
func (d *daemon) scanAgain(ctx context.Context, m io.Reader, size int64) (string, error) {
	if d.parts.clamav == nil {
		return "", nil
	}
	var r clamd.Result
	err := d.parts.clamav.Do(ctx, func(ctx context.Context, c *clamd.Client) (err error) {
		r, err = c.Scan(ctx, m, size)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case r.Kind == clamd.Exceeded:
		return "", fmt.Errorf("clamd could not look at all of it: %s", r.Signature)
	}
	return r.Signature, nil
}

// vaultTold passes on what becomes of mail in quarantine. It never waits.
func (d *daemon) vaultTold(c *quarantine.Change) {
	switch c.What {
	case quarantine.Latched:
		d.journal.Daemon(journal.QuarantineLatched, slog.String("said", c.Said))
		return
	case quarantine.Unlatched:
		d.journal.Daemon(journal.QuarantineCleared)
		return
	}
	d.journal.Fate(&gateway.Fate{ID: c.ID, Time: time.Now(), What: gateway.FateWord("quarantine_" + string(c.What)), From: c.From, Rcpts: c.Rcpts,
		NextHop: c.Hop, Said: c.Said, Next: c.Next, Notice: c.Ref, By: c.By})
}

// fullShare is from which share of quarantine.max_size on the vault is nearly full.
const fullShare = 0.9

// vaultHealth tells whether the quarantine takes mail, and whether all that it took can be read.
func (d *daemon) vaultHealth() (bool, string) {
	if d.vault == nil {
		return false, "it could not be opened, and mail that should go there is deferred: " + d.vaultError
	}
	s := d.vaultStatus()
	text := fmt.Sprintf("%d messages, %d of %d octets", s.Messages, s.Octets, s.Most)
	switch {
	case s.Latched != "":
		return false, "shut since its disk failed (" + s.Latched + "): what should go there is deferred; look at the disk, then gatepost quarantine clear-latch"
	case s.NoRoom:
		return false, "its disk has no room: what should go there is deferred"
	case s.Damaged > 0:
		return false, fmt.Sprintf("%d of %s cannot be read: gatepost quarantine list --damaged", s.Damaged, text)
	case float64(s.Octets) > fullShare*float64(s.Most):
		return false, "nearly full (" + text + "): the oldest of the mildest go; more room: quarantine.max_size, or less time: quarantine.keep"
	case s.Unknown > 0:
		return true, fmt.Sprintf("%s; the index is being made anew, %d to go", text, s.Unknown)
	}
	return true, text
}

// vaultCounted is how the quarantine was a moment ago.
type vaultCounted struct {
	mu sync.Mutex
	s  quarantine.Status
	at time.Time
}

// vaultStatus is how the quarantine was a moment ago.
func (d *daemon) vaultStatus() quarantine.Status {
	c := &d.vaultCounted
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.vault != nil && time.Since(c.at) > totalsAge {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.s, c.at = d.vault.Status(ctx), time.Now()
	}
	return c.s
}

// vaultInstruments shows the quarantine, and makes its part of health.
func (d *daemon) vaultInstruments(m *journal.Metrics) {
	d.journal.Health().Watch("quarantine", d.vaultHealth)
	d.digestInstruments(m)
	d.sharedKeptInstruments(m)
	d.portalInstruments(m)
	byClass := func(number func(s quarantine.Sums) float64) func() []journal.Series {
		return func() (out []journal.Series) {
			s := d.vaultStatus()
			for _, c := range quarantine.Classes() {
				out = append(out, journal.Series{Labels: []string{c.String()}, Value: number(s.Classes[c.String()])})
			}
			return out
		}
	}
	m.Gauges("quarantine_messages", "Messages in quarantine, by class.", []string{"class"}, byClass(func(s quarantine.Sums) float64 { return float64(s.Messages) }))
	m.Gauges("quarantine_octets", "Octets of their files.", []string{"class"}, byClass(func(s quarantine.Sums) float64 { return float64(s.Octets) }))
	m.Gauge("quarantine_max_octets", "Octets that all files may have.", func() float64 { return float64(d.vaultStatus().Most) })
	m.Gauge("quarantine_pending", "Messages that were written and that nobody sees, since the rest of them is on its way.", func() float64 { return float64(d.vaultStatus().Pending) })
	m.Gauge("quarantine_damaged", "Messages that cannot be read.", func() float64 { return float64(d.vaultStatus().Damaged) })
	m.Gauge("quarantine_oldest_seconds", "Age of the oldest message.", func() float64 {
		if at := d.vaultStatus().Oldest; !at.IsZero() {
			return time.Since(at).Seconds()
		}
		return 0
	})
	m.Gauge("quarantine_lessons", "Messages that engines are still to be told of.", func() float64 { return float64(d.vaultStatus().Lessons) })
	m.Gauge("quarantine_latched", "1 while nothing is taken since the disk failed.", func() float64 {
		if d.vault == nil || d.vaultStatus().Latched != "" {
			return 1
		}
		return 0
	})
	m.Counters("quarantine_events_total", "What became of mail in quarantine: stored, released, deleted, expired, evicted, refused (a release), viewed, reported, learned, unlearned, forwarded, damaged.",
		[]string{"what"}, func() (out []journal.Series) {
			if d.vault == nil {
				return nil
			}
			for what, n := range d.vault.Counts() {
				out = append(out, journal.Series{Labels: []string{string(what)}, Value: float64(n)})
			}
			return out
		})
}

// vaultRights are the folders of the keys that the daemon may read and write. Keys beside our own documents are only read, and
// are rotated while the daemon is away.
func (d *daemon) vaultRights(documents string) (read, write []string) {
	dir := filepath.Dir(d.bootstrap.VaultKey)
	switch {
	case strings.HasPrefix(dir, d.bootstrap.StateDir+string(filepath.Separator)):
		return nil, nil
	case dir == filepath.Dir(documents):
		return []string{dir}, nil
	}
	return nil, []string{dir}
}
