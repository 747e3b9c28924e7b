package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"gatepost/internal/lab/bench/load"
)

// pacedResult is how long messages take when they come at a rate that does not depend on the server.
type pacedResult struct {
	Name    string   `json:"target"`
	Load    string   `json:"load"` // sameLoad or ownHalf
	Offered float64  `json:"offered_per_s"`
	Median  sample   `json:"median"`
	Rounds  []sample `json:"rounds"`
}

const (
	sameLoad = "same"     // 0.8 of what the slowest of all can
	ownHalf  = "own half" // 0.5 of what this one can
)

// The load of the paced section.
const (
	pacedSize        = 10 << 10
	pacedConnections = 50
	pacedLength      = 3 * time.Second
)

// paced measures latencies at the same offered load for Gatepost and Postfix, and for Gatepost at half of what it can.
func (b *bench) paced(ctx context.Context, out io.Writer) (err error) {
	peers := words{}
	if slices.Contains(b.plan.peers, postfixPeer) {
		peers = words{postfixPeer}
	}
	stop, err := b.start(ctx, peers, b.programs.plain())
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	// What each can, in the same minute as what is asked of it.
	c, err := b.cell(ctx, pacedSize, pacedConnections)
	if err != nil {
		return err
	}
	least := c.Trials[1].Median.Rate
	for _, t := range c.Trials[1:] {
		least = min(least, t.Median.Rate)
	}
	var results []pacedResult
	var targets []target
	for i, t := range b.targets[1:] {
		results = append(results, pacedResult{Name: t.name, Load: sameLoad, Offered: 0.8 * least})
		targets = append(targets, t)
		if t.name != postfixPeer {
			results = append(results, pacedResult{Name: t.name, Load: ownHalf, Offered: 0.5 * c.Trials[1+i].Median.Rate})
			targets = append(targets, t)
		}
	}
	length := pacedLength
	if b.plan.quick {
		length = b.plan.length
	}
	job := load.Job{Message: load.NewMessage(pacedSize), Connections: pacedConnections, PerSession: b.plan.perSession,
		Pipeline: b.plan.pipeline, For: length, Timeout: sessionTimeout}
	for range b.plan.rounds {
		for i := range results {
			job.Rate = results[i].Offered
			s, err := b.round(ctx, targets[i], job)
			if err != nil {
				return err
			}
			results[i].Rounds = append(results[i].Rounds, s)
		}
	}
	for i := range results {
		results[i].Median = medians(results[i].Rounds)
	}
	b.report.Paced = results
	return printPaced(out, results)
}

const pacedHeading = "| 10K, 50 connections | offered/s | messages/s | p50 ms | p99 ms | CPU µs/message | others |\n" +
	"|---|---:|---:|---:|---:|---:|---:|\n"

func printPaced(w io.Writer, results []pacedResult) error {
	text := pacedHeading
	for _, r := range results {
		m := r.Median
		name := map[string]string{sameLoad: r.Name + ", the same load", ownHalf: r.Name + ", half of its own most"}[r.Load]
		text += fmt.Sprintf("| %s | %.0f | %.0f | %.2f | %.2f | %.0f | %.1f |\n", name, r.Offered, m.Rate, m.P50, m.P99, m.CPU, m.Others)
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}
