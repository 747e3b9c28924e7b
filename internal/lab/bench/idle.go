package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"gatepost/internal/lab/bench/child"
	"gatepost/internal/lab/bench/load"
)

// idleResult is what idle connections cost a server.
type idleResult struct {
	Name        string    `json:"target"`
	Connections int       `json:"connections"`
	TLS         bool      `json:"tls"`
	Rest        float64   `json:"rest_mib"`           // before the first connection
	Each        float64   `json:"kib_per_connection"` // what RSS grew by, the median of the rounds
	Rounds      []float64 `json:"rounds"`
}

// holdTime bounds the opening of all connections of a round.
const holdTime = 3 * time.Minute

// rest is how long a daemon is left alone before its memory is read.
func (p plan) rest() time.Duration {
	if p.quick {
		return 200 * time.Millisecond
	}
	return 4 * time.Second
}

// serveHold is the process that holds the clients' side of idle connections: its descriptors are not the server's, nor
// those of the load. Each question is an idle; the one before is let go.
func serveHold(in io.Reader, out io.Writer) error {
	held := &load.Held{}
	defer func() { _ = held.Close() }()
	return child.Serve(in, out, "", func(question json.RawMessage) (any, error) {
		var i load.Idle
		if err := json.Unmarshal(question, &i); err != nil {
			return nil, err
		}
		if i.Count == 0 { // how are they?
			return held.Alive(), nil
		}
		next, err := i.Hold(context.Background(), holdTime)
		if err != nil {
			return nil, err
		}
		_ = held.Close()
		held = next
		return i.Count, nil
	})
}

// idle measures what connections that say nothing more take of memory, each time in a daemon that is new.
func (b *bench) idle(ctx context.Context, out io.Writer) error {
	if _, err := fmt.Fprint(out, idleHeading); err != nil {
		return err
	}
	for _, d := range b.programs.plain() {
		for _, count := range b.plan.idle {
			for _, secure := range []bool{false, true} {
				r, err := b.idleRounds(ctx, d, count, secure)
				if err != nil {
					return err
				}
				if err := r.print(out); err != nil {
					return err
				}
				b.report.Idle = append(b.report.Idle, r)
			}
		}
	}
	return nil
}

// idleRounds is how often it is measured: memory hardly varies, and many connections take their time.
const idleRounds = 2

func (b *bench) idleRounds(ctx context.Context, d daemon, count int, secure bool) (idleResult, error) {
	r := idleResult{Name: d.name, Connections: count, TLS: secure}
	var before []float64
	rounds := idleRounds
	if b.plan.quick || count > 10_000 {
		rounds = 1
	}
	for range rounds {
		least, each, err := b.idleOnce(ctx, d, count, secure)
		if err != nil {
			return r, fmt.Errorf("%s, %d connections: %w", d.name, count, err)
		}
		before, r.Rounds = append(before, least), append(r.Rounds, each)
	}
	r.Rest, r.Each = median(before), median(r.Rounds)
	return r, nil
}

// idleOnce starts a daemon and fills it. atRest is its memory before, in MiB, each what a connection added, in KiB.
func (b *bench) idleOnce(ctx context.Context, d daemon, count int, secure bool) (atRest, each float64, err error) {
	g, err := b.launch(ctx, d)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, g.Stop()) }()
	holder, err := child.Start(exec.Command(b.self, "-hold"))
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(holder.Close(), err) }() // before the daemon, which would tell each client of its end
	time.Sleep(b.plan.rest())
	t := targetOf(d.name, g)
	before, err := t.part.usage()
	if err != nil {
		return 0, 0, err
	}
	var n int
	if err := holder.Ask(load.Idle{Addr: t.addr, Count: count, TLS: secure}, &n); err != nil {
		return 0, 0, err
	}
	time.Sleep(b.plan.rest())
	after, err := t.part.usage()
	if err != nil {
		return 0, 0, err
	}
	if err := holder.Ask(load.Idle{}, &n); err != nil {
		return 0, 0, err
	}
	if n != count {
		return 0, 0, fmt.Errorf("only %d of %d idle connections were kept", n, count)
	}
	return float64(before.RSS) / (1 << 20), float64(after.RSS-before.RSS) / 1024 / float64(count), nil
}

const idleHeading = "| idle connections | after | target | KiB each | MiB before |\n|---:|---|---|---:|---:|\n"

// print writes one row.
func (r idleResult) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "| %d | %s | %s | %.1f | %.0f |\n", r.Connections, stage(r.TLS), r.Name, r.Each, r.Rest)
	return err
}

// stage says where idle connections stand.
func stage(secure bool) string {
	if secure {
		return "STARTTLS, EHLO"
	}
	return "EHLO"
}
