package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/load"
	"gatepost/internal/lab/bench/sink"
)

// target is a server that is measured. All of them lead to one sink.
type target struct {
	name string
	addr string
	part part // whose CPU and memory are shown

	daemon *lab.Gatepost // nil for a peer
}

// sample is what one round showed. Times are in the units of their names.
type sample struct {
	Rate     float64 `json:"messages_per_s"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	CPU      float64 `json:"cpu_us_per_message"`
	RSS      float64 `json:"rss_mib"` // the most that was seen
	Others   float64 `json:"others"`  // CPUs used by processes that have no part in this
	Messages int64   `json:"messages"`
}

// cell is one load, on all targets in turns.
type cell struct {
	Size        int     `json:"size"`
	Connections int     `json:"connections"`
	Pipeline    bool    `json:"pipeline"`
	Trials      []trial `json:"targets"`
}

// trial is how one target did in one cell.
type trial struct {
	Name   string   `json:"name"`
	Median sample   `json:"median"` // of each figure by itself
	Ratio  float64  `json:"ratio"`  // to the first target: the median of the rounds' ratios
	Spread float64  `json:"spread"` // of the rate: (most - least) / median
	Rounds []sample `json:"rounds"`
}

// bench measures.
type bench struct {
	plan     plan
	self     string // our own program, for child processes
	dir, dns string // where daemons live, and whom they ask
	programs binaries
	sink     *sink.Child
	targets  []target // of this section; the first is the one that others are compared with
	report   report
}

// grid measures every size at every number of connections.
func (b *bench) grid(ctx context.Context, out io.Writer) (err error) {
	stop, err := b.start(ctx, b.plan.peers, b.programs.plain())
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(out, heading); err != nil {
		return err
	}
	for _, size := range b.plan.sizes {
		for _, connections := range b.plan.connections {
			c, err := b.cell(ctx, size, connections)
			if err != nil {
				return err
			}
			if err := c.print(out); err != nil {
				return err
			}
			b.report.Cells = append(b.report.Cells, c)
		}
	}
	_, err = fmt.Fprintln(out)
	return err
}

// settleTime is how long a server may work on after the last reply.
const settleTime = 5 * time.Second

// cell measures one load. Every target is warmed first, then they take turns, so
// that what else the machine does hits all alike.
func (b *bench) cell(ctx context.Context, size, connections int) (cell, error) {
	m := load.NewMessage(size)
	job := load.Job{Message: m, Connections: connections, PerSession: b.plan.perSession, Pipeline: b.plan.pipeline,
		For: b.plan.length, Least: leastMessages, Count: b.plan.count, Timeout: sessionTimeout}
	c := cell{Size: size, Connections: connections, Pipeline: b.plan.pipeline, Trials: make([]trial, len(b.targets))}
	for i, t := range b.targets {
		c.Trials[i].Name = t.name
		warm := job
		warm.For, warm.Least, warm.Count = b.plan.length/2, 1, 2*connections
		if _, err := b.round(ctx, t, warm); err != nil {
			return c, err
		}
	}
	for range b.plan.rounds {
		for i, t := range b.targets {
			s, err := b.round(ctx, t, job)
			if err != nil {
				return c, err
			}
			c.Trials[i].Rounds = append(c.Trials[i].Rounds, s)
		}
	}
	for i := range c.Trials {
		c.Trials[i].summarise(c.Trials[0].Rounds)
	}
	return c, nil
}

// leastMessages is how many messages a round has, so that its figures mean something,
// unless that takes three times its length.
const leastMessages = 20

// sessionTimeout is far more than a session takes.
const sessionTimeout = 2 * time.Minute

// round measures one target once. Whatever was not taken, or was acknowledged and
// is not at the sink, is an error.
func (b *bench) round(ctx context.Context, t target, job load.Job) (s sample, err error) {
	before, err := b.sink.Count()
	if err != nil {
		return s, err
	}
	use, err := b.startUsage(t.part)
	if err != nil {
		return s, err
	}
	job.Addr = t.addr
	r, runErr := job.Run(ctx)
	rss := use.high()
	if runErr != nil {
		return s, fmt.Errorf("%s, %s, %d connections: %w", t.name, sizeName(job.Message.Size()), job.Connections, runErr)
	}
	cpu, others, err := use.end()
	if err != nil {
		return s, err
	}
	after, err := b.sink.Count()
	if err != nil {
		return s, err
	}
	if err := after.Minus(before).Check(r.Acknowledged); err != nil {
		return s, fmt.Errorf("%s, %s, %d connections: %w", t.name, sizeName(job.Message.Size()), job.Connections, err)
	}
	n := r.Acknowledged.Messages
	return sample{
		Rate: r.Rate(), P50: milliseconds(r.Percentile(50)), P99: milliseconds(r.Percentile(99)),
		CPU: float64(cpu.Microseconds()) / float64(n), RSS: float64(rss) / (1 << 20), Others: others, Messages: n,
	}, nil
}

// meter is the usage of the processes at the begin of a round.
type meter struct {
	bench  *bench
	part   part
	began  time.Time
	server usage
	busy   time.Duration // of the machine
	parts  time.Duration // of those that have a part in the measurement
	high   func() int64
}

func (b *bench) startUsage(p part) (*meter, error) {
	server, err := p.usage()
	if err != nil {
		return nil, err
	}
	m := &meter{bench: b, part: p, server: server, began: time.Now()}
	if m.busy, m.parts, err = b.everybody(); err != nil {
		return nil, err
	}
	m.high = highWater(p)
	return m, nil
}

// end is the CPU time of the server since the begin, and how many CPUs others used.
func (m *meter) end() (cpu time.Duration, others float64, err error) {
	now, err := settle(m.part, settleTime)
	if err != nil {
		return 0, 0, err
	}
	busy, parts, err := m.bench.everybody()
	if err != nil {
		return 0, 0, err
	}
	rest := (busy - m.busy) - (parts - m.parts)
	return now.CPU - m.server.CPU, max(rest.Seconds()/time.Since(m.began).Seconds(), 0), nil
}

// everybody is the CPU time of the machine, and that of this process, the sink and
// the targets together.
func (b *bench) everybody() (busy, parts time.Duration, err error) {
	all := map[part]bool{{pid: os.Getpid()}: true, {pid: b.sink.PID()}: true}
	for _, t := range b.targets {
		all[t.part] = true
	}
	for p := range all {
		u, err := p.usage()
		if err != nil {
			return 0, 0, err
		}
		parts += u.CPU
	}
	busy, err = machineBusy()
	return busy, parts, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
