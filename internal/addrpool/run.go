package addrpool

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Run probes every address at once and then every Interval, and one with an open
// breaker when its pause is over, until ctx ends; it returns after the last probe
// did. While it runs, only a probe closes a breaker, never a caller's call.
// Without a Probe it only waits.
func (p *Pool[T]) Run(ctx context.Context) {
	if p.cfg.Probe == nil {
		<-ctx.Done()
		return
	}
	p.mu.Lock()
	p.probers++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.probers--
		p.mu.Unlock()
	}()

	var probes sync.WaitGroup
	defer probes.Wait()
	due := make([]time.Time, len(p.members)) // zero: now
	done := make(chan struct{}, 1)
	for ctx.Err() == nil {
		timer := time.NewTimer(p.startDue(ctx, due, &probes, done))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.wake:
		case <-done:
		}
		timer.Stop()
	}
}

// startDue starts the probes that are due and says how long there is nothing
// more to do.
func (p *Pool[T]) startDue(ctx context.Context, due []time.Time, probes *sync.WaitGroup, done chan<- struct{}) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	sleep := p.cfg.Interval
	for i, m := range p.members {
		if m.probing || m.health.State == HalfOpen {
			continue
		}
		at := due[i]
		if m.health.State == Open {
			at = m.health.RetryAt
		}
		if now.Before(at) {
			sleep = min(sleep, at.Sub(now))
			continue
		}
		due[i] = now.Add(p.cfg.Interval)
		m.probing = true
		s := slot[T]{member: m, trial: m.health.State == Open}
		if s.trial {
			m.health.State = HalfOpen
		}
		probes.Go(func() {
			p.probe(ctx, s)
			select {
			case done <- struct{}{}: // the loop computes its sleep anew
			default:
			}
		})
	}
	return sleep
}

// probe asks one address, outside its slots: a full address is not a dead one.
func (p *Pool[T]) probe(ctx context.Context, s slot[T]) {
	m := s.member
	probeCtx, cancel := context.WithTimeout(ctx, p.cfg.ProbeTimeout)
	defer cancel()
	start := time.Now()
	info, err := p.guardedProbe(probeCtx, m.client)

	p.mu.Lock()
	defer p.mu.Unlock()
	m.probing = false
	if err != nil && ctx.Err() != nil {
		// The loop ends; that the probe was cut off says nothing.
		if s.trial && m.health.State == HalfOpen {
			m.health.State = Open
		}
		return
	}
	m.health.Probes++
	m.health.LastProbeAt = time.Now()
	if err != nil {
		m.health.ProbeErrors++
		p.failed(s, err)
		p.grant() // nobody may wait for an address that went away
		return
	}
	m.health.Info = info
	m.health.ProbeTime = time.Since(start)
	p.worked(s)
	p.grant()
}

// guardedProbe turns a panic into an error: a probe reads what a broken server
// sends, and runs where nobody else would catch it.
func (p *Pool[T]) guardedProbe(ctx context.Context, client T) (info string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("addrpool: probe panicked: %v", r)
		}
	}()
	return p.cfg.Probe(ctx, client)
}
