package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/load"
)

// tlsResult is what sessions of one kind cost a server.
type tlsResult struct {
	Name    string      `json:"target"`
	Kind    string      `json:"kind"` // one of tlsKinds
	Version string      `json:"version,omitempty"`
	Curve   string      `json:"curve,omitempty"`
	Median  tlsSample   `json:"median"`
	Rounds  []tlsSample `json:"rounds"`
}

type tlsSample struct {
	CPU    float64 `json:"cpu_us_per_session"` // of the server
	Others float64 `json:"others"`
}

// The kinds of sessions.
const (
	inClear   = "in clear"
	fullShake = "full"
	resumed   = "resumed"
	hybrid    = "full, hybrid"
)

func tlsKinds() []string { return []string{inClear, fullShake, resumed, hybrid} }

const tlsConnections = 10

// handshakes measures sessions that bring no message: in clear, and with a handshake, of Gatepost and of Postfix's smtpd. What a
// handshake costs is the difference. Both have a key of P-256.
func (b *bench) handshakes(ctx context.Context, out io.Writer) (err error) {
	var running []func() error
	defer func() {
		for _, end := range running {
			err = errors.Join(err, end())
		}
	}()
	b.targets = nil
	for _, program := range b.programs {
		g, err := b.launch(ctx, daemon{binary: program})
		if err != nil {
			return err
		}
		running = append(running, g.Stop)
		b.targets = append(b.targets, targetOf(program.name, g))
	}
	if slices.Contains(b.plan.peers, postfixPeer) {
		t, end, err := b.startTLSPostfix(ctx)
		if err != nil {
			return err
		}
		running = append(running, end)
		b.targets = append(b.targets, t)
	}
	results := make(map[string]*tlsResult)
	for round := range b.plan.rounds + 1 {
		for _, kind := range tlsKinds() {
			for _, t := range b.targets {
				s, met, err := b.tlsRound(ctx, t, kind)
				if err != nil {
					return err
				}
				if round == 0 { // the first warms
					results[kind+t.name] = &tlsResult{Name: t.name, Kind: kind, Version: met.Version, Curve: met.Curve}
					continue
				}
				r := results[kind+t.name]
				r.Rounds = append(r.Rounds, s)
			}
		}
	}
	for _, kind := range tlsKinds() {
		for _, t := range b.targets {
			r := results[kind+t.name]
			r.Median = tlsSample{medianOf(r.Rounds, func(s tlsSample) float64 { return s.CPU }), medianOf(r.Rounds, func(s tlsSample) float64 { return s.Others })}
			b.report.TLS = append(b.report.TLS, *r)
		}
	}
	return printTLS(out, b.report.TLS)
}

// startTLSPostfix starts a Postfix as it comes from the package, which hands out session tickets.
func (b *bench) startTLSPostfix(ctx context.Context) (t target, stop func() error, err error) {
	dir, err := os.MkdirTemp(b.dir, "smtpd-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // its processes run as several users
	}
	if err != nil {
		return t, nil, err
	}
	o := proxyOptions(b.sink.Addr())
	o.TLS = true
	p, err := lab.StartPostfix(ctx, dir, o)
	if err != nil {
		return t, nil, err
	}
	return target{name: smtpdPeer, addr: p.Addr, part: part{pid: p.PID(), group: true}}, p.Stop, nil
}

func (b *bench) tlsRound(ctx context.Context, t target, kind string) (s tlsSample, met load.Shaken, err error) {
	use, err := b.startUsage(t.part)
	if err != nil {
		return s, met, err
	}
	length := time.Second
	if b.plan.quick {
		length = b.plan.length
	}
	met, runErr := load.Handshakes{Addr: t.addr, Connections: tlsConnections, For: length, TLS: kind != inClear, Resume: kind == resumed,
		Hybrid: kind == hybrid, Timeout: time.Minute}.Run(ctx)
	cpu, others, err := use.end()
	if err = errors.Join(runErr, err); err != nil {
		return s, met, fmt.Errorf("%s, %s: %w", t.name, kind, err)
	}
	return tlsSample{float64(cpu.Microseconds()) / float64(met.Sessions), others}, met, nil
}

const tlsHeading = "| session | target | CPU µs each | of it the handshake | handshakes/s a core | with | others |\n|---|---|---:|---:|---:|---|---:|\n"

// printTLS prints sessions; those of a target in clear come first, and what a handshake costs is what is more.
func printTLS(w io.Writer, results []tlsResult) error {
	text := tlsHeading
	for _, r := range results {
		own, rate := "", ""
		if us := shake(results, r); us > 0 {
			own, rate = fmt.Sprintf("%.0f", us), fmt.Sprintf("%.0f", 1e6/us)
		}
		text += fmt.Sprintf("| %s | %s | %.0f | %s | %s | %s %s | %.1f |\n", r.Kind, r.Name, r.Median.CPU, own, rate, r.Version, r.Curve, r.Median.Others)
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}

// shake is what a handshake cost in CPU, in microseconds, with the second EHLO; 0 where that cannot be told.
func shake(all []tlsResult, r tlsResult) float64 {
	for _, o := range all {
		if o.Name == r.Name && o.Kind == inClear && r.Kind != inClear {
			return max(r.Median.CPU-o.Median.CPU, 0)
		}
	}
	return 0
}
