package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatepost/internal/lab/bench/mark"
)

// Job is a load on one server. It is bounded by both For and Count.
type Job struct {
	Addr        string
	Message     *Message
	Connections int           // at the same time; at least 1
	PerSession  int           // messages on a connection before it is opened anew; at least 1
	Pipeline    bool          // MAIL, RCPT and DATA in one write where offered (RFC 2920)
	For         time.Duration // no message begins later, but for Least
	Least       int           // so many messages begin even when that takes longer, up to three times For
	Count       int           // messages in all; 0: no bound
	Rate        float64       // messages a second that are offered whatever the server does; 0: each connection sends when it may
	Timeout     time.Duration // for one session
}

// Result is what a load did.
type Result struct {
	Acknowledged mark.Tally      // messages that were answered with 250
	Elapsed      time.Duration   // from the first connection (with Rate: the first message's time) to the last reply
	Latencies    []time.Duration // of each message, from MAIL (with Rate: from when it was due) to its 250, sorted
	Due          int64           // with Rate: messages whose time came; those not acknowledged found no connection free
}

// Rate is acknowledged messages a second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Acknowledged.Messages) / r.Elapsed.Seconds()
}

// Percentile is the latency that p of 100 messages do not exceed (nearest rank).
func (r Result) Percentile(p float64) time.Duration {
	n := len(r.Latencies)
	if n == 0 {
		return 0
	}
	i := int(p/100*float64(n)+0.999999) - 1
	return r.Latencies[min(max(i, 0), n-1)]
}

// stretch is how much longer than For a load may go on for what is behind.
const stretch = 3

// Run sends until the job's bounds or ctx's end. The first message that is not
// taken, or connection that breaks, ends it with an error; what was acknowledged
// until then is in the result.
func (j Job) Run(ctx context.Context) (Result, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &pace{Job: j, began: time.Now()}
	if j.Rate > 0 {
		p.began = p.began.Add(lead)
	}
	var wg sync.WaitGroup
	workers := make([]worker, j.Connections)
	for i := range workers {
		w := &workers[i]
		w.pace = p
		wg.Go(func() {
			if err := w.run(ctx); err != nil {
				stop(fmt.Errorf("load on %s: %w", j.Addr, err))
			}
		})
	}
	wg.Wait()
	r := Result{Elapsed: time.Since(p.began), Due: p.due()}
	for i := range workers {
		r.Acknowledged = r.Acknowledged.Plus(workers[i].tally)
		r.Latencies = append(r.Latencies, workers[i].latencies...)
	}
	slices.Sort(r.Latencies)
	err := context.Cause(ctx)
	if err == nil && r.Acknowledged.Messages == 0 {
		err = fmt.Errorf("load on %s: no message within %v", j.Addr, j.For)
	}
	return r, err
}

// worker is one connection after the other.
type worker struct {
	*pace
	tally     mark.Tally
	latencies []time.Duration
}

// run sends while there are turns; ctx's end cuts it off.
func (w *worker) run(ctx context.Context) error {
	for ctx.Err() == nil && !w.over() {
		c, err := dial(w.Addr, time.Now().Add(w.Timeout))
		if err != nil {
			return err
		}
		release := context.AfterFunc(ctx, func() { c.conn.Close() })
		err = w.session(ctx, c)
		release()
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	return nil
}

func (w *worker) session(ctx context.Context, c *client) error {
	defer c.conn.Close()
	for range w.PerSession {
		due, ok := w.turn(ctx)
		if !ok {
			break
		}
		id, err := c.send(w.Message, w.Pipeline)
		if err != nil {
			return err
		}
		w.latencies = append(w.latencies, time.Since(due))
		w.tally.Add(id, int64(w.Message.size))
	}
	return c.quit()
}
