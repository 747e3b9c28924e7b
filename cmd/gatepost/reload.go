package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"gatepost/gateway/journal"
	"gatepost/internal/api"
	"gatepost/internal/clamd"
	"gatepost/internal/cli"
	"gatepost/internal/config"
)

// errBootstrap says that a reload cannot change what is bound at the start.
var errBootstrap = errors.New("gatepost.toml has changed: its keys take effect at a restart; the policy was not reloaded either, so that both stay as they are")

// reload reads both documents again, or of a version that was published the files that it names, and swaps the policy as one.
// Whatever is wrong, nothing changes. note is what whoever asked should know.
func (d *daemon) reload(ctx context.Context) (note string, err error) {
	d.swapping.Lock()
	defer d.swapping.Unlock()
	d.told(d.notify.Reloading())
	defer func() { d.told(d.notify.Ready(d.summary())) }() // refused or not, the reload is over
	c, problems, note := d.loadInForce()
	err = problems.Err()
	if c != nil {
		err = outside(d.take(ctx, c))
	}
	if err != nil {
		d.journal.Daemon(journal.ReloadFailed, slog.String("error", err.Error()))
		return note, err
	}
	attrs := []slog.Attr{slog.String("policy", c.PolicyVersion), slog.Int("warnings", len(problems))}
	if note != "" {
		attrs = append(attrs, slog.String("note", note))
	}
	d.journal.Daemon(journal.Reload, attrs...)
	return note, nil
}

// take puts new documents and the certificates they name in force, or nothing of it.
func (d *daemon) take(ctx context.Context, c *config.Config) error {
	if !reflect.DeepEqual(c.Bootstrap, d.bootstrap) {
		return errBootstrap
	}
	show, err := d.files.Reread()
	if err != nil {
		return fmt.Errorf("tls: %w", unreadable(err))
	}
	if err := d.swap(ctx, c); err != nil {
		return err
	}
	show()
	return nil
}

// swap builds a configuration and puts it in force. Sessions that began under the old one keep it to their end.
func (d *daemon) swap(ctx context.Context, c *config.Config) error {
	next, err := d.prepare(ctx, c)
	if err != nil {
		return err
	}
	d.install(ctx, c, next)
	return nil
}

// prepare builds a configuration, with all that it names. Nothing is in force by it.
func (d *daemon) prepare(ctx context.Context, c *config.Config) (*built, error) {
	next, err := assemble(c, d.parts)
	if err != nil {
		return nil, err
	}
	if err := next.readFiles(ctx); err != nil {
		next.close()
		return nil, err
	}
	return next, nil
}

// install puts what was built in force. d.swapping is held.
func (d *daemon) install(ctx context.Context, c *config.Config, next *built) {
	d.useLists(ctx, next.lists)
	d.document.Store(c)
	d.warnDescriptors()
	d.tellRoutes(c)
	before := d.now.Swap(next)
	d.hostPolicies()
	d.parts.policies.Want(policyDomains(c.Policy)...)
	d.learning.with(ctx, next.relay.Tend)
	d.parts.directories.keep(next.directories)
	d.following.with(ctx, d.runSources(next))
	d.reports.Set(next.reports)
	d.tlsReports.Set(next.tlsReports)
	d.alarms.Tune(next.alarms)
	if d.queue != nil {
		d.queue.Tune(tuning(c))
	}
	if d.vault != nil {
		d.vault.Tune(vaultTuning(c))
	}
	before.close()
}

// limitTimes are when the limit of clamd is looked for: soon after the start, and again now and then, since a clamd may be
// restarted with another configuration.
const (
	limitSoon  = time.Second
	limitPause = 30 * time.Second
	limitAgain = 10 * time.Minute
)

// learnScanLimit finds how large a message every clamd looks through, and lowers SIZE below it: what cannot be scanned is
// refused at MAIL, and never deferred for ever.
func (d *daemon) learnScanLimit(ctx context.Context) {
	if d.parts.clamav == nil {
		return
	}
	wait, pause := time.NewTimer(0), limitSoon
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		want := int64(d.document.Load().Policy.Limits.MessageSize) + scanReserve
		found, err := d.parts.probeLimit(ctx, want)
		if err != nil {
			wait.Reset(pause)
			pause = min(2*pause, limitPause)
			continue
		}
		pause = limitSoon
		wait.Reset(limitAgain)
		if d.parts.scanLimit.Swap(found) == found {
			continue
		}
		if found < want {
			d.log.Warn("clamav: messages are taken up to what clamd looks through; raise StreamMaxLength, MaxFileSize and MaxScanSize for more",
				"octets", found-scanReserve)
		}
		d.swapping.Lock()
		if err := d.swap(ctx, d.document.Load()); err != nil {
			d.log.Error("clamav: limit", "error", err)
		}
		d.swapping.Unlock()
	}
}

// probeLimit finds how large a message every engine looks through that mail waits for.
func (p *parts) probeLimit(ctx context.Context, want int64) (least int64, err error) {
	least = want
	for _, engine := range p.clamds() {
		err := engine.Do(ctx, func(ctx context.Context, c *clamd.Client) error {
			found, err := c.ProbeLimit(ctx, want)
			least = min(least, found)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return least, nil
}

// reload asks the running daemon to reload.
func reload(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "reload")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	said, err := cli.Call[api.Loaded](ctx, e, f, reloadQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "reload", err)
	}
	if said.Note != "" {
		fmt.Fprintln(e.Err, said.Note)
	}
	fmt.Fprintln(e.Err, "the configuration was read and is in force for new sessions")
	return cli.Done
}
