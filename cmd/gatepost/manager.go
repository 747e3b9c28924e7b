package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"gatepost/internal/systemd"
)

// Times of what is said to the service manager.
const (
	statusEvery = 10 * time.Second       // without a watchdog, only for people who look
	answerTime  = 2 * time.Second        // how long a lock that every session takes may be held
	lateBeat    = 4 * time.Second        // an accept loop beats each second
	extendEvery = 5 * time.Second        // while we end, or wait for the state folder
	extendBy    = 3 * extendEvery        // how much time we ask for each time
	lockAgain   = 100 * time.Millisecond // between two looks at the lock of the state folder
)

// pulsed lets the accept loop of a listener show that it lives.
func (d *daemon) pulsed(l net.Listener) net.Listener {
	p := systemd.NewPulse(l)
	d.pulses = append(d.pulses, p)
	return p
}

// alive reports whether every accept loop turns and the sessions can be counted; a process that only has timers that go off
// is not alive. What is merely full, out of descriptors or drained is: a restart would make nothing better.
func (d *daemon) alive() bool {
	within := max(lateBeat, d.notify.Watched()/4)
	if slices.ContainsFunc(d.pulses, func(p *systemd.Pulse) bool { return !p.Beats(within) }) {
		return false
	}
	answered := make(chan int, 1)
	go func() { answered <- d.server.Sessions() }()
	late := time.NewTimer(answerTime)
	defer late.Stop()
	select {
	case <-answered:
		return true
	case <-late.C:
		return false
	}
}

// watchdog tells the service manager that we live, at half the time it allows, for as long as it is true.
func (d *daemon) watchdog(ctx context.Context) {
	if !d.notify.On() {
		return
	}
	every := statusEvery
	if w := d.notify.Watched(); w > 0 {
		every = w / 2
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	well := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := well
		if well = d.alive(); !well {
			if before {
				d.log.Error("watchdog: a listener does not take connections any more; systemd is not told that we live, and will restart us")
			}
			continue
		}
		d.told(d.notify.Alive(d.summary()))
	}
}

// told logs what the service manager would not hear. It is no reason to do anything else.
func (d *daemon) told(err error) {
	if err != nil {
		d.log.Warn("systemd", "error", err)
	}
}

// summary is the line that systemctl status shows.
func (d *daemon) summary() string {
	word := "serving"
	if o := d.drained.Load(); o != nil {
		word = o.String()
	}
	if d.stopping.Load() {
		word = "draining"
	}
	return fmt.Sprintf("%s: %d sessions, mode %s, policy %s", word, d.server.Sessions(), d.now.Load().snapshot.Policy.Mode, d.document.Load().PolicyVersion)
}

// extend asks the service manager for time, again and again until ctx is done.
func (d *daemon) extend(ctx context.Context, status func() string) {
	if !d.notify.On() {
		return
	}
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		d.told(d.notify.Extend(extendBy, status()))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
