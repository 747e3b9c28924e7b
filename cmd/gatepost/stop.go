package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/gateway/journal"
)

// Times of a stop, after the sessions have had shutdown.grace.
const (
	endTime    = 10 * time.Second          // for the loops, and again for the last events
	afterGrace = 5*time.Second + 2*endTime // for all of it, and for sessions that are cut off
	lateAfter  = 2 * time.Second           // a loop that still runs is named
	stackSize  = 64 << 10                  // octets of stacks that are shown when one did not end
)

// loop is what runs beside the sessions until its context is done.
type loop struct {
	name string // as the log names it
	run  func(context.Context)
}

// loops are those that run. A stop waits for them, says for which, and does not wait for ever: there is no session any more,
// and what they still keep is of use only to the next start.
type loops struct {
	all     sync.WaitGroup
	mu      sync.Mutex
	running map[string]int
}

// start runs one in a goroutine of its own.
func (l *loops) start(name string, run func()) {
	l.count(name, 1)
	l.all.Go(func() {
		defer l.count(name, -1)
		run()
	})
}

func (l *loops) count(name string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == nil {
		l.running = make(map[string]int)
	}
	if l.running[name] += n; l.running[name] == 0 {
		delete(l.running, name)
	}
}

// names lists those that run.
func (l *loops) names() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(l.running)), ", ")
}

// await waits until all have ended, for endTime. Its error names those that have not.
func (l *loops) await(log *slog.Logger) error {
	ended := make(chan struct{})
	go func() {
		l.all.Wait()
		close(ended)
	}()
	for _, wait := range [...]time.Duration{lateAfter, endTime - lateAfter} {
		late := time.NewTimer(wait)
		select {
		case <-ended:
			late.Stop()
			return nil
		case <-late.C:
			log.Warn("stop: still running", "loops", l.names())
		}
	}
	stacks := make([]byte, stackSize)
	log.Error("stop: goes on without what does not end", "loops", l.names(), "stacks", string(stacks[:runtime.Stack(stacks, true)]))
	return fmt.Errorf("stop: not ended after %s: %s", endTime, l.names())
}

// end lets the sessions end, then the loops, and closes what open made. No step waits for ever.
func (d *daemon) end(stopServing, stop context.CancelFunc, running *loops) error {
	ctx, cancel := context.WithCancel(context.Background())
	var extending sync.WaitGroup
	defer extending.Wait()
	defer cancel()
	d.stopping.Store(true)
	d.told(d.notify.Stopping(d.summary()))
	extending.Go(func() { d.extend(ctx, d.summary) })
	d.drain()
	stopServing()
	d.learning.end()
	d.following.end()
	d.probing.end()
	stop()
	return errors.Join(running.await(d.log), d.close())
}

// drain lets transactions end and tells idle clients that we go (RFC 5321 section 3.8).
func (d *daemon) drain() {
	d.journal.Daemon(journal.Drain, slog.Int("sessions", d.server.Sessions()))
	ctx, cancel := context.WithTimeout(context.Background(), d.bootstrap.Shutdown.Grace)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		d.log.Warn("shutdown: some sessions were cut off", "error", err)
	}
}

// close ends what open made, the journal before the store that it writes to.
func (d *daemon) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	var ends []func() error
	closing := func(what string, end func() error) { ends = append(ends, within(ctx, what, end)) }
	// Answers that were still listened for are told as unknown, to a ledger that is open.
	late := within(ctx, "next hops", func() error {
		d.now.Load().close()
		d.parts.hops.Close()
		return nil
	})()
	closing("redis", d.parts.shaper.Close)
	if d.clients != nil {
		closing("memory of clients", d.clients.Close)
	}
	if d.knownFile != nil {
		closing("memory of domains and paths", d.knownFile.Close)
	}
	if d.pastFile != nil {
		closing("memory of histories", d.pastFile.Close)
	}
	if d.greyFile != nil {
		closing("greylist", d.greyFile.Close)
	}
	if d.digests.file != nil {
		closing("digests", d.digests.file.Close)
	}
	closing("quarantine", d.kept.close)
	closing("ledger", d.ledger.Close)
	if d.rcptFile != nil {
		closing("memory of recipients", d.rcptFile.Close)
	}
	closing("control data", d.data.Close)
	d.journal.Daemon(journal.Stop)
	closing("reports that others sent", d.parts.received.close)
	errs := []error{late, d.journal.Close(ctx), d.store.Close(ctx)}
	for _, end := range ends {
		errs = append(errs, end())
	}
	if d.spoolLock != nil { // before the state folder, for which the next process waits
		errs = append(errs, d.spoolLock.Close())
	}
	return errors.Join(errs...)
}

// within begins to end something; what it returns waits for it until ctx is done.
func within(ctx context.Context, what string, end func() error) (wait func() error) {
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	return func() error {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		select { // both may be true
		case err := <-ended:
			return err
		default:
			return fmt.Errorf("%s: close: %w", what, ctx.Err())
		}
	}
}
