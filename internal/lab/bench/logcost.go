package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/load"
)

// logResult is what the message log costs, and whether it keeps up.
type logResult struct {
	Cells  []cell       `json:"cells"` // each program, and the same without a log
	Events []eventCount `json:"events"`
}

// eventCount is a load under which no event may be lost.
type eventCount struct {
	Name     string  `json:"target"`
	Offered  float64 `json:"offered_per_s"`
	Rate     float64 `json:"messages_per_s"`
	Messages int64   `json:"messages"`
	Lost     float64 `json:"lost"` // events and lines that found no room, in the log or another sink
}

const (
	withoutLog = " without the log"
	eventRate  = 3000 // of the targets
	eventTime  = 5 * time.Second
)

// logCost measures each program with its message log, and without.
func (b *bench) logCost(ctx context.Context, out io.Writer) (err error) {
	var daemons []daemon
	for _, program := range b.programs {
		bare := program
		bare.name += withoutLog
		daemons = append(daemons, daemon{binary: program}, daemon{binary: bare, noLog: true})
	}
	stop, err := b.start(ctx, nil, daemons)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(out, heading); err != nil {
		return err
	}
	for _, size := range []int{10 << 10, 100 << 10, 1 << 20} {
		if b.plan.quick && size > 10<<10 {
			break
		}
		c, err := b.cell(ctx, size, 10)
		if err != nil {
			return err
		}
		if err := c.print(out); err != nil {
			return err
		}
		b.report.Log.Cells = append(b.report.Log.Cells, c)
	}
	for i, d := range daemons {
		t := b.targets[1+i]
		lost, err := lostEvents(ctx, t.daemon)
		if err != nil {
			return err
		}
		if d.noLog {
			if lost == 0 {
				return fmt.Errorf("%s: it keeps events all the same", t.name)
			}
			continue
		}
		e, err := b.countEvents(ctx, t)
		if err != nil {
			return err
		}
		b.report.Log.Events = append(b.report.Log.Events, e)
		if _, err := fmt.Fprintf(out, "\n%s: %d messages at %.0f/s (offered %.0f/s): %.0f events lost\n", e.Name, e.Messages, e.Rate, e.Offered, e.Lost); err != nil {
			return err
		}
	}
	return nil
}

// countEvents offers messages faster than most installations see them, and counts what the journal lost, in this load
// and in all before.
func (b *bench) countEvents(ctx context.Context, t target) (e eventCount, err error) {
	job := load.Job{Message: load.NewMessage(1 << 10), Connections: 50, PerSession: b.plan.perSession, For: eventTime, Rate: eventRate, Timeout: sessionTimeout}
	if b.plan.quick {
		job.For = b.plan.length
	}
	s, err := b.round(ctx, t, job)
	if err != nil {
		return e, err
	}
	lost, err := lostEvents(ctx, t.daemon)
	return eventCount{Name: t.name, Offered: job.Rate, Rate: s.Rate, Messages: s.Messages, Lost: lost}, err
}

// lostEvents is what a daemon's journal has lost since its start.
func lostEvents(ctx context.Context, g *lab.Gatepost) (float64, error) {
	m, err := metrics(ctx, g)
	return m["gatepost_log_dropped_total"] + m["gatepost_journal_dropped_total"], err
}

// logShare is the CPU time a message that the log adds at a size, in µs.
func (r logResult) logShare(size int, program string) (share, without float64, ok bool) {
	for _, c := range r.Cells {
		with, bare := c.trial(program), c.trial(program+withoutLog)
		if c.Size != size || with == nil || bare == nil {
			continue
		}
		var shares []float64
		for i := range min(len(with.Rounds), len(bare.Rounds)) {
			shares = append(shares, with.Rounds[i].CPU-bare.Rounds[i].CPU)
		}
		return median(shares), bare.Median.CPU, true
	}
	return 0, 0, false
}

// trial finds a target's.
func (c cell) trial(name string) *trial {
	if i := slices.IndexFunc(c.Trials, func(t trial) bool { return t.Name == name }); i >= 0 {
		return &c.Trials[i]
	}
	return nil
}
