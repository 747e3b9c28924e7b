package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/load"
)

// stormResult is what refusing clients costs.
type stormResult struct {
	Name   string        `json:"target"`
	At     string        `json:"at"` // atConnect or atRcpt
	Reply  string        `json:"reply"`
	Median stormSample   `json:"median"`
	Rounds []stormSample `json:"rounds"`
}

type stormSample struct {
	Rate   float64 `json:"refused_per_s"`
	CPU    float64 `json:"cpu_us_per_connection"`
	RSS    float64 `json:"rss_mib"`
	Others float64 `json:"others"`
}

const postscreen = "postscreen"

// Where a client hears that it is refused.
const (
	atConnect = "connect"
	atRcpt    = "RCPT"
)

const (
	stormConnections = 50
	stormLength      = time.Second
)

// refuser is a target of the storm.
type refuser struct {
	target
	at string
}

// storm measures clients that are refused for their address: by Gatepost at once and, as it is shipped, at RCPT; and
// by postscreen, at once.
func (b *bench) storm(ctx context.Context, out io.Writer) (err error) {
	refusers, stop, err := b.refusers(ctx)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	results := make([]stormResult, len(refusers))
	b.targets = nil
	for _, r := range refusers {
		b.targets = append(b.targets, r.target)
	}
	for round := range b.plan.rounds + 1 {
		for i, r := range refusers {
			s, reply, err := b.stormRound(ctx, r)
			if err != nil {
				return err
			}
			if round == 0 { // the first warms
				results[i] = stormResult{Name: r.name, At: r.at, Reply: reply}
				continue
			}
			results[i].Rounds = append(results[i].Rounds, s)
		}
	}
	for i := range results {
		r := results[i].Rounds
		results[i].Median = stormSample{medianOf(r, func(s stormSample) float64 { return s.Rate }), medianOf(r, func(s stormSample) float64 { return s.CPU }),
			medianOf(r, func(s stormSample) float64 { return s.RSS }), medianOf(r, func(s stormSample) float64 { return s.Others })}
	}
	b.report.Storm = results
	return printStorm(out, results)
}

// refusers starts the targets.
func (b *bench) refusers(ctx context.Context) (list []refuser, stop func() error, err error) {
	var running []func() error
	stop = func() (err error) {
		for _, end := range running {
			err = errors.Join(err, end())
		}
		return err
	}
	for _, program := range b.programs {
		for _, at := range []string{atConnect, atRcpt} {
			d := daemon{binary: program, tables: "[checks.access.client]\n[[checks.access.client.entry]]\nnetwork = \"127.0.0.0/8\"\n"}
			if at == atConnect {
				// Strangers, from as many networks as there are: that is what a flood is. At RCPT they would wait for the banner.
				d.tables = "[trusted]\nnetworks = []\n[smtp]\nrefuse_at = \"connect\"\n" + d.tables
			}
			g, err := b.launch(ctx, d)
			if err != nil && at == atConnect && strings.Contains(err.Error(), "refuse_at: unknown key") {
				continue // an older program
			}
			if err != nil {
				return list, stop, err
			}
			running = append(running, g.Stop)
			list = append(list, refuser{targetOf(program.name, g), at})
		}
	}
	if !slices.Contains(b.plan.peers, postfixPeer) {
		return list, stop, nil
	}
	t, end, err := b.startPostscreen(ctx)
	if err != nil {
		return list, stop, err
	}
	running = append(running, end)
	return append(list, refuser{t, atConnect}), stop, nil
}

// startPostscreen starts a Postfix whose postscreen has every client of loopback on its deny list.
func (b *bench) startPostscreen(ctx context.Context) (t target, stop func() error, err error) {
	dir, err := os.MkdirTemp(b.dir, "postscreen-")
	if err != nil {
		return t, nil, err
	}
	denied := filepath.Join(dir, "denied.cidr")
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(denied, []byte("127.0.0.0/8 reject\n"), 0o644))
	if err != nil {
		return t, nil, err
	}
	port, err := lab.ReservePort()
	if err != nil {
		return t, nil, err
	}
	p, err := lab.StartPostfix(ctx, dir, lab.PostfixOptions{Name: "screen.lab.test", Services: []string{
		port.Addr() + " inet n - n - 1 postscreen",
		"  -o postscreen_access_list=cidr:" + denied,
		"  -o postscreen_denylist_action=drop",
		"  -o postscreen_cache_map=",
		"  -o postscreen_greet_wait=1s", // 0 ends the postscreen of Postfix 3.7
		"smtpd pass - - n - - smtpd",
	}})
	if err != nil {
		port.Release()
		return t, nil, err
	}
	stop = func() error {
		defer port.Release()
		return p.Stop()
	}
	return target{name: postscreen, addr: port.Addr(), part: part{pid: p.PID(), group: true}}, stop, nil
}

func (b *bench) stormRound(ctx context.Context, r refuser) (s stormSample, reply string, err error) {
	use, err := b.startUsage(r.part)
	if err != nil {
		return s, "", err
	}
	length := stormLength
	if b.plan.quick {
		length = b.plan.length
	}
	met, runErr := load.Storm{Addr: r.addr, Connections: stormConnections, For: length, Talk: r.at == atRcpt, Timeout: time.Minute}.Run(ctx)
	rss := use.high()
	if runErr != nil {
		return s, "", fmt.Errorf("%s: %w", r.name, runErr)
	}
	cpu, others, err := use.end()
	if err != nil {
		return s, "", err
	}
	return stormSample{met.Rate(), float64(cpu.Microseconds()) / float64(met.Connections), float64(rss) / (1 << 20), others}, met.Reply, nil
}

const stormHeading = "| refused | at | connections/s | CPU µs each | RSS MiB | others | with |\n|---|---|---:|---:|---:|---:|---|\n"

func printStorm(w io.Writer, results []stormResult) error {
	text := stormHeading
	for _, r := range results {
		m := r.Median
		words := strings.Fields(r.Reply)
		text += fmt.Sprintf("| %s | %s | %.0f | %.0f | %.0f | %.1f | %s |\n", r.Name, r.At, m.Rate, m.CPU, m.RSS, m.Others, strings.Join(words[:min(2, len(words))], " "))
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}
